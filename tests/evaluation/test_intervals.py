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
