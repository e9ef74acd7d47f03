"""Intervals, paired differences, tests and power for the numbers of repeated training runs.

`import scipy` takes 10 ms; its parts (scipy.stats takes half a second) load when a number is first computed.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

SIGN_FLIPS = 100_000
"""The most choices of signs that are tried: all of them up to 16 pairs, random ones beyond."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds with its t interval; None where there are too few numbers."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    deviation: float | None  # standard deviation of the single numbers, n - 1 in its denominator

    @property
    def error(self) -> float | None:
        """Standard error of the mean."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.n)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One setting against the baseline, seed by seed; a positive difference means a higher number of the setting."""

    difference: Mean
    low_simultaneous: float | None  # as low, but all m comparisons hold at once with the same confidence
    high_simultaneous: float | None
    p_value: float | None  # two-sided, by sign flips
    p_holm: float | None  # corrected for the number of comparisons


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Mean:
    """Compute the mean and Student's t interval of independent numbers (n,); non-finite ones are skipped.

    With one number there is a mean and no interval.
    """
    numbers = _finite(values)
    n = len(numbers)
    if n < 2:
        return Mean(n, float(numbers[0]) if n else None, None, None, None)
    mean, deviation = float(numbers.mean()), float(numbers.std(ddof=1))
    if not deviation:
        return Mean(n, mean, mean, mean, 0.0)
    low, high = scipy.stats.t.interval(confidence, n - 1, mean, deviation / math.sqrt(n))
    return Mean(n, mean, float(low), float(high), deviation)


def beats_chance(means: Sequence[Mean], positives: int, negatives: int, confidence: float = 0.95) -> bool:
    """Check whether any of some mean AUCs, on the same photos, is shown to be above 0.5.

    The mean must be above what chance gives with so many photos: the normal approximation of the Mann-Whitney test,
    with Bonferroni's correction for the number of means.
    """
    if not positives or not negatives:
        return False
    error = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    highest = 0.5 + error * float(scipy.stats.norm.isf((1 - confidence) / 2 / max(1, len(means))))
    return any(each.mean is not None and each.mean > highest for each in means)


def compare_paired(
    settings: Sequence[Mapping[int, float]], baseline: Mapping[int, float], confidence: float = 0.95
) -> list[Comparison]:
    """Compare each setting's numbers by seed with the baseline's, on the seeds that both have.

    The simultaneous intervals are Bonferroni's: with m comparisons each has the confidence 1 - (1 - confidence) / m.
    The p-values are those of sign-flip permutation tests (Fisher 1935), corrected by Holm (1979).
    """
    differences = [
        _finite([values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())])
        for values in settings
    ]
    simultaneous = 1 - (1 - confidence) / max(1, len(differences))
    p_values = [sign_flip_test(each) for each in differences]
    comparisons = []
    for each, p_value, p_holm in zip(differences, p_values, holm(p_values), strict=True):
        wide = mean_interval(each, simultaneous)
        comparisons.append(Comparison(mean_interval(each, confidence), wide.low, wide.high, p_value, p_holm))
    return comparisons


def sign_flip_test(differences: ArrayLike) -> float | None:
    """Compute the two-sided p-value of paired differences (n,) by sign flips; None without a difference.

    If two settings are alike, each difference could as well have the other sign. The p-value is the share of all 2^n
    choices of signs whose sum is at least as far from 0 as the observed one, itself included: never below 2 / 2^n.
    """
    numbers = _finite(differences)
    if len(numbers) < 2 or not numbers.any():
        return 1.0 if len(numbers) else None
    # Rounded: sums that differ only by rounding count as equal.
    return float(
        scipy.stats.permutation_test(
            (numbers / np.abs(numbers).max(),),
            lambda signed, axis: np.abs(signed.sum(axis)).round(12),
            permutation_type="samples",
            alternative="greater",
            n_resamples=SIGN_FLIPS,
            batch=10_000,
            rng=0,
        ).pvalue
    )


def smallest_p_value(n: int) -> float:
    """Return the smallest two-sided p-value that the sign-flip test of n pairs can give."""
    return min(1.0, 2.0 ** (1 - n))


def seeds_for_significance(comparisons: int, level: float = 0.05) -> int:
    """Return the fewest seeds with which the sign-flip test can reach the level at all.

    Holm multiplies the smallest p-value by the number of comparisons.
    """
    n = 1
    while max(1, comparisons) * smallest_p_value(n) > level:
        n += 1
    return n


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number by Holm's step-down rule (1979); None stays None and doesn't count."""
    known = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return corrected


def pooled_deviation(comparisons: Sequence[Comparison]) -> float | None:
    """Pool the standard deviation of a paired difference over the comparisons, by their degrees of freedom."""
    parts = [
        (each.difference.n - 1, each.difference.deviation)
        for each in comparisons
        if each.difference.deviation is not None
    ]
    freedom = sum(part for part, _ in parts)
    return math.sqrt(sum(part * deviation**2 for part, deviation in parts) / freedom) if freedom else None


def paired_power(n: int, deviation: float, difference: float, level: float = 0.05) -> float:
    """Compute the chance that a two-sided paired t-test of n seeds detects a true difference.

    `deviation` is the standard deviation of a single pair's difference.
    """
    if n < 2:
        return 0.0
    if deviation == 0:
        return 1.0 if difference else level
    shift = abs(difference) * math.sqrt(n) / deviation
    critical = float(scipy.special.stdtrit(n - 1, 1 - level / 2))
    if shift - critical > 30:  # where the non-central t underflows
        return 1.0
    # The tail on the wrong side is NaN where it is negligible. scipy.stats.nct and statsmodels' TTestPower have that
    # gap too: NaN for 149 of 2000 random cases, from which solve_power does not converge.
    tails = [1 - scipy.special.nctdtr(n - 1, shift, critical), scipy.special.nctdtr(n - 1, shift, -critical)]
    return float(np.nansum(tails))


def seeds_needed(
    deviation: float, difference: float, power: float = 0.8, level: float = 0.05, most: int = 100_000
) -> int | None:
    """Find the fewest seeds with which a paired t-test detects a true difference; None beyond `most`."""
    n = bisect_left(range(most + 1), power, lo=2, key=lambda n: paired_power(n, deviation, difference, level))
    return n if n <= most else None


def visible_difference(n: int, deviation: float, power: float = 0.8, level: float = 0.05) -> float | None:
    """Find the smallest true difference that a paired t-test of n seeds detects; None for one seed."""
    if n < 2:
        return None

    def excess(ratio: float) -> float:  # of the power, for a difference of `ratio` standard deviations
        return paired_power(n, 1.0, ratio, level) - power

    # Two seeds, the worst case, detect 14 standard deviations.
    return deviation * float(scipy.optimize.brentq(excess, 0.0, 1000.0))


def within_one_standard_error(means: Sequence[Mean]) -> tuple[int, int]:
    """Return (best, chosen): the highest mean, and the first one at most one standard error of the best below it.

    The order of the means is the order of preference between equals (Breiman et al. 1984). A best mean without a
    standard error is itself chosen.

    Raises:
        ValueError: there is no mean.
    """
    known = [(index, each.mean) for index, each in enumerate(means) if each.mean is not None]
    if not known:
        raise ValueError("no setting has a number")
    best, highest = max(known, key=lambda pair: (pair[1], -pair[0]))
    allowed = highest - (means[best].error or 0.0)
    return best, next(index for index, mean in known if mean >= allowed)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64).ravel()
    return numbers[np.isfinite(numbers)]
