import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.evaluation.intervals import proportion
from bearcnn.evaluation.thresholds import choose_for_false_alarms, choose_for_recall, explain_proof, operating_point

SAMPLES = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0, 1, width=32)),
    min_size=1,
    max_size=40,
)


def arrays(sample: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in sample]), np.array([probability for _, probability in sample])


@given(SAMPLES.filter(lambda sample: any(label for label, _ in sample)), st.floats(0.01, 1))
def test_the_threshold_for_a_recall_is_the_highest_that_reaches_it(
    sample: list[tuple[int, float]], target: float
) -> None:
    labels, probabilities = arrays(sample)
    choice = choose_for_recall(labels, probabilities, target)
    bears = probabilities[labels == 1]

    def recall(threshold: float) -> float:
        return float((bears >= threshold).mean())

    assert recall(choice.threshold) == choice.reached >= target - 1e-9
    # Every threshold that calls fewer photos positive is one of these.
    higher = [score for score in probabilities if score > choice.threshold]
    above_the_next = [score for score in higher if score > min(higher)] + [1.1]
    assert all(recall(threshold) < target - 1e-12 for threshold in above_the_next)


@given(
    SAMPLES.filter(lambda sample: not all(label for label, _ in sample)),
    st.integers(0, 210),
    st.sampled_from([0.0, 0.125, 0.5, 1.0]),
)
def test_the_threshold_for_few_false_alarms_is_the_lowest_that_is_quiet_enough(
    sample: list[tuple[int, float]], per_day: int, prevalence: float
) -> None:
    labels, probabilities = arrays(sample)
    choice = choose_for_false_alarms(labels, probabilities, per_day, 200, prevalence)
    others = probabilities[labels == 0]

    def alarms(threshold: float) -> float:
        return float((others >= threshold).mean()) * 200 * (1 - prevalence)

    assert choice.reached == pytest.approx(alarms(choice.threshold))
    quiet = [threshold for threshold in {0.0, 1.0, *probabilities} if alarms(threshold) <= per_day + 1e-9]
    called = (probabilities >= choice.threshold).sum()
    if quiet:
        assert choice.reached <= per_day + 1e-9
        assert called == max((probabilities >= threshold).sum() for threshold in quiet)
    elif probabilities.max() == 1.0:
        assert called == (probabilities == 1.0).sum() or choice.reached <= per_day + 1e-9


def test_the_threshold_leaves_room_below_the_last_bear() -> None:
    assert choose_for_recall([1, 1, 0, 0], [0.9, 0.6, 0.4, 0.1], 1.0).threshold == pytest.approx(0.5)


def test_rounding_asks_for_no_bear_too_many() -> None:
    scores = np.linspace(0.5, 1, 50)
    assert choose_for_recall(np.ones(50), scores, 0.98).reached == 0.98


def test_an_operating_point_counts_as_one_would_by_hand() -> None:
    labels = [1] * 10 + [0] * 40
    probabilities = [0.9] * 8 + [0.2] * 2 + [0.9] * 4 + [0.1] * 36
    point = operating_point(labels, probabilities, 0.5, prevalence=0.02, photos_per_day=500)
    assert point.recall == proportion(8, 10) and point.false_positive_rate == proportion(4, 40)
    assert point.alerts_per_day.value == pytest.approx(500 * (0.02 * 0.8 + 0.98 * 0.1))
    assert point.false_alarms_per_day.value == pytest.approx(49)
    assert point.precision.value == pytest.approx(0.016 / (0.016 + 0.098))
    as_here = operating_point(labels, probabilities, 0.5)
    assert as_here.prevalence == 0.2 and as_here.precision.value == pytest.approx(8 / 12)
    assert as_here.photos_to_look_at.value == pytest.approx(12 / 50)


def test_intervals_of_an_operating_point_hold_the_truth_at_least_95_times_in_100() -> None:
    generator = np.random.default_rng(9)
    recall, alarms, prevalence = 0.9, 0.1, 0.05
    truth = {
        "precision": prevalence * recall / (prevalence * recall + (1 - prevalence) * alarms),
        "photos_to_look_at": prevalence * recall + (1 - prevalence) * alarms,
        "alerts_per_day": 300 * (prevalence * recall + (1 - prevalence) * alarms),
        "false_alarms_per_day": 300 * (1 - prevalence) * alarms,
    }
    labels = np.repeat([1, 0], [40, 80])
    held = dict.fromkeys(truth, 0)
    for _ in range(400):
        called = generator.random(120) < np.where(labels == 1, recall, alarms)
        point = operating_point(labels, called.astype(float), 0.5, prevalence=prevalence, photos_per_day=300)
        for name, value in truth.items():
            estimate = getattr(point, name)
            held[name] += estimate.low <= value <= estimate.high
    assert min(held.values()) >= 368, held


@pytest.mark.parametrize(
    ("target", "found", "bears", "said"),
    [
        (
            0.98,
            40,
            40,
            "98% recall is not shown: 40 of 40 test bears found, 100% (91% to 100%); 149 test bears, all found, ",
        ),
        (0.98, 581, 600, "98% recall is not shown: 581 of 600 test bears found, 97% (95% to 98%)"),
        (0.98, 199, 200, "98% recall is not shown: 199 of 200 test bears found, >99% (97% to >99%)"),
        (0.98, 0, 0, "98% recall is not shown: 0 of 0 test bears found; 149 test bears"),
        (1.0, 500, 500, "no number of photos can prove"),
    ],
)
def test_it_says_when_the_photos_cant_prove_the_target(target: float, found: int, bears: int, said: str) -> None:
    assert (explain_proof(target, found, bears) or "").startswith(said)


def test_enough_bears_prove_it() -> None:
    assert explain_proof(0.98, 1000, 1000) is None


@pytest.mark.parametrize("labels", [[0, 0], []])
def test_a_recall_needs_a_bear(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one photo"):
        choose_for_recall(labels, [0.5] * len(labels), 0.9)


def test_false_alarms_need_another_photo() -> None:
    with pytest.raises(ValueError, match="at least one photo"):
        choose_for_false_alarms([1], [0.5], 1, 100, 0.1)
