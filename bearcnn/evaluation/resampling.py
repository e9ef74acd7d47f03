"""Photos ranked by probability, and bootstrap resamples of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CELLS_AT_ONCE = 1 << 16
"""The size of a chunk of resamples: a few megabytes, about the CPU's cache."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The photos by falling probability, with all that scoring a resample needs."""

    order: NDArray[np.intp]  # (n,): the photos' places in the arguments
    labels: NDArray[np.int64]  # (n,)
    ends: NDArray[np.intp]  # (groups,): the last photo of each group of equal probabilities
    above: int  # the number of photos at or above the threshold
    squares: NDArray[np.float64]  # (n,): each photo's Brier score
    logarithms: NDArray[np.float64]  # (n,): each photo's log loss

    @property
    def n(self) -> int:
        """The number of photos."""
        return len(self.labels)


def rank(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> Ranking:
    """Check labels and probabilities, each (n,), and sort the photos by falling probability.

    Raises:
        ValueError: an array has the wrong shape or a value outside its range.
    """
    truth = np.asarray(labels)
    scores = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise ValueError(f"labels {truth.shape} and probabilities {scores.shape} must both be (n,)")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not ((scores >= 0) & (scores <= 1)).all() or not 0 <= threshold <= 1:
        raise ValueError("probabilities and threshold must lie between 0 and 1")
    order = np.argsort(-scores, kind="stable")
    truth, scores = truth[order].astype(np.int64), scores[order]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
    # Clipped at a float's smallest step: the loss of a certain, wrong answer is finite, as in scikit-learn.
    certainty = np.clip(np.where(truth == 1, scores, 1 - scores), np.finfo(np.float64).eps, 1)
    above = int((scores >= threshold).sum())
    return Ranking(order, truth, ends, above, (scores - truth) ** 2, -np.log(certainty))


def resample(
    n: int, resamples: int, seed: int, clusters: NDArray[np.int64] | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield the number of times that each of n photos is drawn in each resample, in chunks of (resamples, n).

    With `clusters` (n,), from 0, whole clusters are drawn, as many as there are (Davison & Hinkley 1997, 3.8).
    """
    units = n if clusters is None else int(clusters.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    rows = max(1, _CELLS_AT_ONCE // max(1, n))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        # Counting uniform draws is a multinomial draw, and faster than n binomial ones.
        drawn = generator.integers(max(1, units), size=(size, units)) + units * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        yield counts if clusters is None else counts[:, clusters]


def accumulate(ranking: Ranking, counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the positives and the negatives down to each group of equal probabilities, each (rows, groups).

    `counts` (rows, n) say how often each photo is drawn, in the ranking's order.
    """
    found = np.cumsum(counts * ranking.labels, axis=1)[:, ranking.ends].astype(np.float64)
    alarms = np.cumsum(counts * (1 - ranking.labels), axis=1)[:, ranking.ends].astype(np.float64)
    return found, alarms


def roc_auc(found: NDArray[np.float64], alarms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the area under the ROC curve from the counts of `accumulate`, (rows,); NaN without one of the classes."""
    found_here, alarms_here = np.diff(found, axis=1, prepend=0.0), np.diff(alarms, axis=1, prepend=0.0)
    pairs = found_here.sum(axis=1) * alarms_here.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((alarms_here * (found - found_here / 2)).sum(axis=1) / pairs)


def percentile_interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return the percentile interval of resampled values; undefined ones are skipped."""
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
