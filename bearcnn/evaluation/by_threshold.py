"""Scores and errors at each of many thresholds, for a page whose reader moves the threshold.

Each function returns what changes, and from which of the thresholds on: between two of them most numbers stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.intervals import Estimate, clustered_proportion
from bearcnn.evaluation.metrics import proportions
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays, as_clusters

_STEPS = 400


@dataclass(frozen=True, slots=True)
class ScoresFrom:
    """The scores from one of the thresholds on."""

    start: int  # the threshold's place in the list
    found: int
    false_alarms: int
    estimates: dict[str, Estimate]  # those of `metrics.proportions`


@dataclass(frozen=True, slots=True)
class ErrorsFrom:
    """The wrong answers from one of the thresholds on."""

    start: int
    missed: int
    false_alarms: int
    rate: Estimate


def spread_thresholds(predictions: Sequence[LabelledPrediction], also: Sequence[float]) -> list[float]:
    """Spread at most 402 thresholds and those in `also` over the photos, not over 0 to 1: each changes an answer.

    The first calls every photo positive, and the last none but those of a probability of 1.
    """
    _, probabilities = as_arrays(predictions)
    places = np.unique(np.quantile(probabilities, np.linspace(0, 1, _STEPS), method="nearest"))
    between = (places[1:] + places[:-1]) / 2
    above_all = min(1.0, float(places[-1]) + (1 - float(places[-1])) / 2 + 1e-9)
    return np.unique([0.0, *between, *also, above_all]).tolist()  # type: ignore[no-any-return]


def scores_by_threshold(predictions: Sequence[LabelledPrediction], thresholds: Sequence[float]) -> list[ScoresFrom]:
    """Compute the scores of all photos by threshold; the thresholds ascend."""
    labels, probabilities = as_arrays(predictions)
    clusters, positive = as_clusters(predictions), labels == 1
    return [
        ScoresFrom(
            start,
            int((called & positive).sum()),
            int((called & ~positive).sum()),
            proportions(positive, called, clusters),
        )
        for start, called in _changes(probabilities, thresholds)
    ]


def errors_by_threshold(
    photos: Sequence[LabelledPrediction], thresholds: Sequence[float], clustered: bool = True
) -> list[ErrorsFrom]:
    """Count the wrong answers of a group of photos by threshold; the thresholds ascend.

    The interval counts photos that hang together as one, unless `clustered` says that all of these do.
    """
    labels, probabilities = as_arrays(photos)
    clusters, positive = as_clusters(photos) if clustered else None, labels == 1
    return [
        ErrorsFrom(
            start,
            int((~called & positive).sum()),
            int((called & ~positive).sum()),
            clustered_proportion(called != positive, clusters),
        )
        for start, called in _changes(probabilities, thresholds)
    ]


def _changes(
    probabilities: NDArray[np.float64], thresholds: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the places of the thresholds at which an answer changes, and the photos called positive from there on."""
    before = -1
    for place, threshold in enumerate(thresholds):
        called = probabilities >= threshold
        if (number := int(called.sum())) != before:
            before = number
            yield place, called
