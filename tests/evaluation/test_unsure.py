import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.evaluation.formats import percent
from bearcnn.evaluation.thresholds import choose_for_recall
from bearcnn.evaluation.unsure import assess_unsure, choose_for_precision, explain_precision
from bearcnn.evaluation.wording import unsure_origin

SAMPLES = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0, 1, width=32)),
    min_size=2,
    max_size=40,
).filter(lambda sample: len({label for label, _ in sample}) == 2)


def arrays(sample: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in sample]), np.array([probability for _, probability in sample])


def precision(labels: np.ndarray, scores: np.ndarray, threshold: float, prevalence: float) -> float | None:
    recall = float((scores[labels == 1] >= threshold).mean()) * prevalence
    alarms = float((scores[labels == 0] >= threshold).mean()) * (1 - prevalence)
    return recall / (recall + alarms) if recall + alarms else None


@given(SAMPLES, st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.01, 0.99))
def test_the_upper_threshold_is_the_lowest_with_the_precision_and_never_below_the_lower_one(
    sample, target_recall, target, prevalence
):
    labels, scores = arrays(sample)
    lower = choose_for_recall(labels, scores, target_recall).threshold
    chosen = choose_for_precision(labels, scores, target, lower, prevalence)
    assert chosen.lower == lower <= chosen.upper <= 1
    reached = precision(labels, scores, chosen.upper, prevalence)
    assert chosen.reached == (None if reached is None else pytest.approx(reached))
    lower_ones = [each for each in (lower, *scores.tolist()) if lower <= each < chosen.upper]
    calls = {int((scores >= chosen.upper).sum())}
    for each in lower_ones:
        found = precision(labels, scores, each, prevalence)
        # A threshold that calls the same photos is the same one.
        assert int((scores >= each).sum()) in calls or found is None or found < target + 1e-9


def test_the_upper_threshold_depends_on_how_rare_bears_are_in_use():
    labels = np.array([1] * 50 + [0] * 50)
    scores = np.concatenate([np.linspace(0.5, 1, 50), np.linspace(0, 0.7, 50)])
    common, rare = (choose_for_precision(labels, scores, 0.9, 0.4, prevalence) for prevalence in (0.5, 0.02))
    assert 0.4 < common.upper < rare.upper
    assert rare.upper > 0.69
    assert "for a precision of at least 90% where 2% of the photos have a bear; it reaches" in unsure_origin(
        rare, "bear"
    )


def test_no_photo_is_unsure_where_the_lower_threshold_is_precise_enough():
    chosen = choose_for_precision([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 0.9, 0.5, 0.5)
    assert (chosen.lower, chosen.upper, chosen.empty) == (0.5, 0.5, True)
    assert unsure_origin(chosen, "bear").startswith("No photo needs to be unsure: of the validation photos")


def test_every_photo_from_the_lower_threshold_on_is_unsure_where_none_is_precise_enough():
    chosen = choose_for_precision([1, 1, 0, 0], [0.3, 0.4, 0.5, 0.6], 0.9, 0.3, 0.5)
    assert (chosen.upper, chosen.reached) == (1.0, None)
    assert unsure_origin(chosen, "bear").startswith("No threshold gives the 90% precision asked for")
    assert assess_unsure([1, 0], [0.4, 0.5], chosen).unsure.value == 1


def test_what_is_left_to_a_person_is_that_of_the_intended_use():
    labels = np.array([1] * 10 + [0] * 10)
    scores = np.array([0.9] * 6 + [0.5] * 3 + [0.1] + [0.9] * 1 + [0.5] * 2 + [0.1] * 7)
    chosen = choose_for_precision(labels, scores, 0.8, 0.3, 0.5)
    assert chosen.upper == pytest.approx(0.7)
    found = assess_unsure(labels, scores, chosen, prevalence=0.1)
    assert found.unsure.value == pytest.approx(0.1 * 0.3 + 0.9 * 0.2)
    assert found.called.value == pytest.approx(0.1 * 0.6 + 0.9 * 0.1)
    assert found.precision.value == pytest.approx(0.06 / 0.15)
    assert (found.found_alone.value, found.bears_unsure.value) == (0.6, 0.3)
    assert all(each.low < each.value < each.high for each in (found.unsure, found.called, found.precision))
    assert explain_precision(found) == (
        "80% precision from the upper threshold on is not shown: it is 40% "
        f"({percent(found.precision.low)} to {percent(found.precision.high)})"
    )


def test_photos_of_few_sites_tell_less():
    labels = np.array([1] * 40 + [0] * 40)
    scores = np.array([0.9] * 30 + [0.5] * 10 + [0.5] * 4 + [0.1] * 36)
    chosen = choose_for_precision(labels, scores, 0.9, 0.3, 0.5)
    alone = assess_unsure(labels, scores, chosen)
    together = assess_unsure(labels, scores, chosen, clusters=np.arange(80) // 10)
    for name in ("unsure", "called", "precision", "found_alone", "bears_unsure"):
        narrow, wide = getattr(alone, name), getattr(together, name)
        assert wide.value == narrow.value
        assert wide.high - wide.low > narrow.high - narrow.low


def test_enough_photos_show_the_precision():
    labels, scores = np.array([1] * 500 + [0] * 500), np.array([0.9] * 500 + [0.1] * 500)
    assert explain_precision(assess_unsure(labels, scores, choose_for_precision(labels, scores, 0.9, 0.5, 0.5))) is None


def test_photos_of_one_class_choose_nothing():
    with pytest.raises(ValueError, match="both classes"):
        choose_for_precision([1, 1], [0.1, 0.9], 0.9, 0.5, 0.5)
