import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import f1_score, roc_auc_score

from bearcnn.evaluation.intervals import (
    UNDEFINED,
    Estimate,
    auc_interval,
    clustered_proportion,
    complement,
    effective_number,
    f1_interval,
    photos_to_prove,
    proportion,
    weighted_sum,
    wilson_interval,
)


@given(st.floats(0.5, 1), st.integers(2, 200), st.integers(2, 200), st.floats(0.5, 0.99))
def test_the_ends_of_an_auc_lie_z_standard_errors_away(auc: float, bears: int, others: int, confidence: float) -> None:
    z, mean = norm.ppf((1 + confidence) / 2), (bears + others) / 2 - 1

    def error(area: float) -> float:
        inner = 1 + mean * ((1 - area) / (2 - area) + area / (1 + area))
        return float(z * math.sqrt(area * (1 - area) * inner / (bears * others)))

    low, high = auc_interval(auc, bears, others, confidence)
    assert 0 <= low <= auc <= high <= 1
    if auc > 1e-6:
        assert low == pytest.approx(brentq(lambda area: auc - area - error(area), 0, auc - 1e-12, xtol=1e-14), abs=1e-7)
    assert high == 1 or high - auc == pytest.approx(error(high), abs=1e-7)


@pytest.mark.slow  # simulates 400 evaluations
def test_intervals_of_auc_and_f1_hold_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(3)
    distance, n = 2.0, 40

    def draw(photos: int) -> tuple[np.ndarray, np.ndarray]:
        labels = generator.integers(0, 2, photos)
        return labels, generator.normal(size=photos) + distance * labels

    truth = draw(400_000)
    auc, f1 = norm.cdf(distance / math.sqrt(2)), f1_score(truth[0], truth[1] > 1)
    held = [0, 0]
    for _ in range(400):
        labels, scores = draw(n)
        positives, called = int(labels.sum()), scores > 1
        found = int((called & (labels == 1)).sum())
        low, high = auc_interval(roc_auc_score(labels, scores), positives, n - positives)
        held[0] += low <= auc <= high
        low, high = f1_interval(proportion(found, found + int((called != (labels == 1)).sum())))
        held[1] += low <= f1 <= high
    assert min(held) >= 368 and max(held) <= 396, held


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_of_f1_holds_f1(found: int, wrong: int) -> None:
    low, high = f1_interval(proportion(found, found + wrong))
    if found + wrong == 0:
        assert math.isnan(low)
    else:
        assert 0 <= low <= 2 * found / (2 * found + wrong) + 1e-12 and low < high <= 1


def test_a_sum_of_one_part_is_that_part_and_of_two_is_newcombes() -> None:
    part, other = proportion(8, 10), proportion(3, 20)
    assert part.value is not None and part.low is not None and other.value is not None and other.low is not None
    scaled = weighted_sum((50,), (part,))
    assert scaled.low == pytest.approx(50 * part.low)
    both = weighted_sum((0.5, 0.5), (part, other))
    assert both.value == pytest.approx((0.8 + 0.15) / 2)
    assert both.low == pytest.approx(0.475 - math.hypot(0.8 - part.low, 0.15 - other.low) / 2)
    assert weighted_sum((1, 1), (part, UNDEFINED)) == UNDEFINED
    with pytest.raises(ValueError, match="at least 0"):
        weighted_sum((-1,), (part,))


def test_the_rest_of_a_share_has_the_interval_of_what_is_left() -> None:
    found, missed = complement(proportion(18, 20)), proportion(2, 20)
    assert (found.value, found.low, found.high) == pytest.approx((missed.value, missed.low, missed.high))
    assert complement(UNDEFINED) == UNDEFINED


def test_a_proportion_of_nothing_is_undefined() -> None:
    assert proportion(0, 0) == UNDEFINED
    assert proportion(20, 20) == Estimate(1.0, *wilson_interval(20, 20))


@pytest.mark.parametrize(("target", "photos"), [(0.98, 149), (0.95, 59), (0.99, 299), (0.5, 5)])
def test_the_photos_to_prove_a_recall_are_the_fewest_that_luck_cant_pass(target: float, photos: int) -> None:
    assert photos_to_prove(target) == photos
    assert target**photos <= 0.05 < target ** (photos - 1)


def test_no_number_proves_certainty() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        photos_to_prove(1.0)


def test_a_share_of_clusters_is_wilsons_where_each_is_one_trial_and_wider_where_they_are_alike() -> None:
    hits = np.array([True] * 30 + [False] * 10)
    assert clustered_proportion(hits, None) == proportion(30, 40)
    alone = clustered_proportion(hits, np.arange(40))
    assert (alone.low, alone.high) == pytest.approx(wilson_interval(30, 40), rel=0.02)
    alike = clustered_proportion(hits, np.arange(40) // 5)
    assert (alike.low, alike.high) == pytest.approx(wilson_interval(6, 8), rel=0.05)
    assert clustered_proportion(hits[:0], np.arange(0)) == UNDEFINED
    one, none = clustered_proportion(np.arange(40) > 0, np.arange(40) // 5), clustered_proportion(hits[:0], None)
    whole = clustered_proportion(np.ones(40, np.bool_), np.arange(40) // 5)
    assert none == UNDEFINED
    assert one.low is not None and whole.low is not None and one.low < whole.low < wilson_interval(40, 40)[0]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_interval_of_clusters_holds_the_share_and_is_never_narrower(trials: list[tuple[bool, int]]) -> None:
    hits, clusters = np.array([hit for hit, _ in trials]), np.array([cluster for _, cluster in trials])
    found, plain = clustered_proportion(hits, clusters), proportion(int(hits.sum()), len(hits))
    assert found.value == plain.value
    assert found.low is not None and found.high is not None and plain.low is not None and plain.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1  # type: ignore[operator]
    assert found.low <= plain.low + 1e-9 and found.high >= plain.high - 1e-9
    assert effective_number(clusters) <= len(clusters)


def test_intervals_of_clusters_hold_the_truth_where_those_of_photos_do_not() -> None:
    generator = np.random.default_rng(5)
    held = [0, 0]
    for _ in range(300):
        shares = generator.beta(4, 1, 30)  # each site has its own recall; their mean is 0.8
        hits = (generator.random((30, 10)) < shares[:, None]).ravel()
        sites = np.repeat(np.arange(30), 10)
        for place, found in enumerate((clustered_proportion(hits, sites), clustered_proportion(hits, None))):
            assert found.low is not None and found.high is not None
            held[place] += found.low <= 0.8 <= found.high
    assert held[0] >= 273 and held[1] <= 262, held
