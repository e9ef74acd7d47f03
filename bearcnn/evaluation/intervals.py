"""Confidence intervals by formula, of proportions and of numbers derived from them.

A bootstrap interval of a perfect score has no width: every resample is perfect too, even with 5 photos. These formulas
give an interval with a width there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.formats import decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its confidence interval; None where the data doesn't define it."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Return `0.943 (0.921 to 0.961)`, or `undefined`."""
        if self.value is None or self.low is None or self.high is None:
            return decimal(self.value)
        return f"{decimal(self.value)} ({decimal(self.low)} to {decimal(self.high)})"


LEAST_CORRELATION = 0.05
"""The correlation of trials of a cluster that is assumed where they show less: few errors, or few clusters, show none.

Without it, no miss at all among 50 bears of two sites would tell as much as among 50 bears of 50 sites.
"""

UNDEFINED = Estimate(None, None, None)


def estimate(value: float, low: float, high: float) -> Estimate:
    """Return an estimate of floats, with None for each that is NaN."""
    return Estimate(*(None if math.isnan(number) else float(number) for number in (value, low, high)))


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    """Return a share with its Wilson interval; undefined without a trial."""
    return Estimate(successes / trials, *wilson_interval(successes, trials, confidence)) if trials else UNDEFINED


def clustered_proportion(
    successes: NDArray[np.bool_], clusters: NDArray[np.int64] | None, confidence: float = 0.95
) -> Estimate:
    """Return the share of successes, (trials,), with a Wilson interval that knows of the trials' `clusters`, (trials,).

    The clusters are numbers from 0, of which some may be missing.

    It is the interval of as many independent trials as tell the same (Kish 1965; Korn & Graubard 1998): where the
    clusters differ more than chance explains, each trial counts for less, and always as little as a correlation within
    clusters of `LEAST_CORRELATION` says. None is for independent trials.
    """
    number = int(successes.sum())
    if clusters is None or not len(successes):
        return proportion(number, len(successes), confidence)
    sizes = np.bincount(clusters)
    found, sizes = np.bincount(clusters, successes)[sizes > 0], sizes[sizes > 0]
    share, trials = number / len(successes), _effective_number(sizes)
    if 0 < share < 1 and len(sizes) > 1:
        variance = len(sizes) / (len(sizes) - 1) * ((found - share * sizes) ** 2).sum() / len(successes) ** 2
        trials = min(trials, max(1.0, share * (1 - share) / max(variance, 1e-12)))
    return Estimate(share, *wilson_interval(share * trials, trials, confidence))


def effective_number(clusters: NDArray[np.int64]) -> float:
    """Return the number of independent trials that tell as much as those in `clusters`, (trials,), at the very most."""
    return _effective_number(np.bincount(clusters)) if len(clusters) else 0.0


def wilson_interval(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (1927), no continuity correction; NaN without a trial."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return math.nan, math.nan
    z = _z(confidence)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding must not push an end past the proportion at 0 or 1.
    return max(0.0, min(share, (centre - spread) / scale)), min(1.0, max(share, (centre + spread) / scale))


def complement(share: Estimate) -> Estimate:
    """Return the rest of a share, such as the missed bears beside those found."""
    if share.value is None or share.low is None or share.high is None:
        return UNDEFINED
    return Estimate(1 - share.value, 1 - share.high, 1 - share.low)


def weighted_sum(weights: Sequence[float], parts: Sequence[Estimate]) -> Estimate:
    """Return a weighted sum of independent numbers, weights 0 or more; undefined if one of the numbers is.

    The interval adds the squares of the parts' distances to their ends (Newcombe 1998; MOVER of Zou & Donner 2008): it
    has a width wherever they have one.
    """
    value, below, above = 0.0, 0.0, 0.0
    for weight, part in zip(weights, parts, strict=True):
        if weight < 0:
            raise ValueError(f"a weight is {weight}: it must be at least 0")
        if part.value is None or part.low is None or part.high is None:
            return UNDEFINED
        value += weight * part.value
        below += (weight * (part.value - part.low)) ** 2
        above += (weight * (part.high - part.value)) ** 2
    return Estimate(value, value - math.sqrt(below), value + math.sqrt(above))


def f1_interval(found: Estimate) -> tuple[float, float]:
    """Return the interval of F1 from the share of positives found among all that are positive or predicted positive.

    F1 = 2 J / (1 + J), where J is that share: a proportion, whose interval goes through the same formula.
    """
    if found.low is None or found.high is None:
        return math.nan, math.nan
    return 2 * found.low / (1 + found.low), 2 * found.high / (1 + found.high)


def auc_interval(auc: float, positives: float, negatives: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of an area under the ROC curve, which has a width at 1 (Newcombe 2006, method 5).

    Its ends are the areas that lie z of their own standard errors from the observed one.
    """
    if not positives or not negatives:
        return math.nan, math.nan
    z, mean = _z(confidence), (positives + negatives) / 2 - 1

    def distance(area: float) -> float:
        inner = 1 + mean * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(area - auc) - z * math.sqrt(max(0.0, area * (1 - area) * inner / (positives * negatives)))

    return _cross(distance, auc, 0.0), _cross(distance, auc, 1.0)


def photos_to_prove(target: float, confidence: float = 0.95) -> int:
    """Return the number of bears that prove a recall if all are found: with a lower recall, a chance of 5% at most."""
    if not 0 < target < 1:
        raise ValueError(f"target={target} must lie between 0 and 1")
    return math.ceil(math.log(1 - confidence) / math.log(target))


def _effective_number(sizes: NDArray[np.int64]) -> float:
    trials = int(sizes.sum())
    return trials / (1 + (float((sizes**2).sum()) / trials - 1) * LEAST_CORRELATION)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _cross(distance: Callable[[float], float], inside: float, outside: float) -> float:
    """Find where `distance` goes from negative to positive on the way out; the end itself if it never does."""
    if distance(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        if distance(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return inside
