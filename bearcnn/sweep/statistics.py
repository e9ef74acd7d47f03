"""Numbers of repeated trainings -> intervals, paired differences, tests.

What is known from n seeds, and what isn't. It needs numpy, and scipy.special inside functions; it must not import
torch, fastai, matplotlib or pandas.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_UP_TO = 20
"""Sign flips are all tried up to this many pairs (a million), and drawn at random beyond."""

_RANDOM_FLIPS = 100_000


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds with its t interval; None where so few numbers say nothing."""

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
    """One setting against the baseline, seed by seed: positive differences are gains in the number."""

    difference: Mean
    low_together: float | None  # as low and high, but all m comparisons hold at once with the same confidence
    high_together: float | None
    p_value: float | None  # two-sided, all sign flips
    p_holm: float | None  # corrected for the number of comparisons


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Mean:
    """Mean and Student's t interval of independent numbers (n,); non-finite ones are left out.

    With one number there is a mean and no interval.
    """
    from scipy.special import stdtrit

    numbers = _finite(values)
    n = len(numbers)
    if not n:
        return Mean(0, None, None, None, None)
    mean = float(numbers.mean())
    if n == 1:
        return Mean(1, mean, None, None, None)
    deviation = float(numbers.std(ddof=1))
    reach = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Mean(n, mean, mean - reach, mean + reach, deviation)


def compare_paired(
    settings: Sequence[Mapping[int, float]], baseline: Mapping[int, float], confidence: float = 0.95
) -> list[Comparison]:
    """Each setting's numbers by seed against the baseline's, on the seeds that both have.

    The intervals "together" are Bonferroni's: with m comparisons each is at 1 - (1 - confidence) / m. The p-values are
    exact sign-flip permutation tests (Fisher 1935), corrected by Holm (1979).
    """
    differences = [
        _finite([values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())])
        for values in settings
    ]
    together = 1 - (1 - confidence) / max(1, len(differences))
    p_values = [sign_flip_test(each) for each in differences]
    comparisons = []
    for each, p_value, p_holm in zip(differences, p_values, holm(p_values), strict=True):
        wide = mean_interval(each, together)
        comparisons.append(Comparison(mean_interval(each, confidence), wide.low, wide.high, p_value, p_holm))
    return comparisons


def sign_flip_test(differences: ArrayLike) -> float | None:
    """Two-sided p-value that paired differences (n,) have no preferred sign; None without any.

    Were the two settings alike, each difference could as well have the other sign. The p-value is the share of all 2^n
    choices of signs whose sum is at least as far from 0 as the one found, itself among them: never below 2 / 2^n. For
    more than `EXACT_UP_TO` pairs the signs are drawn at random, always the same ones.
    """
    numbers = _finite(differences)
    if not len(numbers):
        return None
    # Sums that differ in rounding alone count as equal.
    least = abs(numbers.sum()) - 1e-12 * float(np.abs(numbers).sum())
    if len(numbers) > EXACT_UP_TO:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (_RANDOM_FLIPS, len(numbers)))
        return float((1 + (np.abs(signs @ numbers) >= least).sum()) / (1 + _RANDOM_FLIPS))
    sums: NDArray[np.float64] = numbers[:1]  # the other half of all choices mirrors this one
    for number in numbers[1:]:
        sums = np.concatenate([sums + number, sums - number])
    return float(np.mean(np.abs(sums) >= least))


def smallest_p_value(n: int) -> float:
    """The least that the sign-flip test of n pairs can ever give, two-sided."""
    return min(1.0, 2.0 ** (1 - n))


def seeds_for_significance(comparisons: int, level: float = 0.05) -> int:
    """Seeds below which the sign-flip test, corrected for so many comparisons, can't reach the level whatever happens.

    Holm multiplies the smallest p-value by the number of comparisons.
    """
    n = 1
    while max(1, comparisons) * smallest_p_value(n) > level:
        n += 1
    return n


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number by Holm's step-down rule (1979); None stays None and doesn't count."""
    known = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return corrected


def pooled_deviation(comparisons: Sequence[Comparison]) -> float | None:
    """The standard deviation of a paired difference, pooled over the comparisons by their degrees of freedom."""
    parts = [
        (each.difference.n - 1, each.difference.deviation)
        for each in comparisons
        if each.difference.deviation is not None
    ]
    freedom = sum(part for part, _ in parts)
    return math.sqrt(sum(part * deviation**2 for part, deviation in parts) / freedom) if freedom else None


def paired_power(n: int, deviation: float, difference: float, level: float = 0.05) -> float:
    """The chance that a two-sided paired t-test of n seeds sees a true difference; `deviation` is of single pairs."""
    from scipy.special import nctdtr, stdtrit

    if n < 2:
        return 0.0
    if deviation == 0:
        return 1.0 if difference else level
    shift = abs(difference) * math.sqrt(n) / deviation
    critical = float(stdtrit(n - 1, 1 - level / 2))
    if shift - critical > 30:  # where the non-central t underflows
        return 1.0
    wrong_side = float(nctdtr(n - 1, shift, -critical))
    # SciPy gives NaN for some of those that are too small to matter.
    return float(1 - nctdtr(n - 1, shift, critical)) + (0.0 if math.isnan(wrong_side) else wrong_side)


def seeds_needed(
    deviation: float, difference: float, power: float = 0.8, level: float = 0.05, most: int = 100_000
) -> int | None:
    """The fewest seeds with which a paired t-test sees a true difference with this chance; None beyond `most`."""
    low, high = 1, 2
    while paired_power(high, deviation, difference, level) < power:
        low, high = high, 2 * high
        if high > 2 * most:
            return None
    while high - low > 1:  # more seeds never see less
        middle = (low + high) // 2
        if paired_power(middle, deviation, difference, level) < power:
            low = middle
        else:
            high = middle
    return high if high <= most else None


def visible_difference(n: int, deviation: float, power: float = 0.8, level: float = 0.05) -> float | None:
    """The smallest true difference that a paired t-test of n seeds sees with this chance; None for a single seed."""
    if n < 2:
        return None
    if deviation == 0:
        return 0.0
    low, high = 0.0, deviation
    while paired_power(n, deviation, high, level) < power:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if paired_power(n, deviation, middle, level) < power else (low, middle)
    return high


def within_one_standard_error(means: Sequence[Mean]) -> tuple[int, int]:
    """(best, chosen): the highest mean, and the first one at most a standard error of the best below it.

    The order says what is to be preferred when nothing speaks against it (Breiman et al. 1984). Where the best has no
    standard error, it is itself chosen.

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
