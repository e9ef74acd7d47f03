"""Two thresholds with "unsure" photos between them, and how many those are.

The lower threshold finds the wanted share of the positives; it is the model's own. From the upper one on, the wanted
share of the photos is positive, in the mixture of photos of the intended use, and nobody needs to look at them.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bearcnn.evaluation.formats import percent, target_percent
from bearcnn.evaluation.intervals import Estimate, clustered_proportion, weighted_sum
from bearcnn.evaluation.thresholds import as_scores, between, operating_point


@dataclass(frozen=True, slots=True)
class UnsureRange:
    """Two thresholds and the reason for the upper one."""

    lower: float
    upper: float
    wanted: float  # precision from the upper threshold on
    reached: float | None  # on the photos that it was chosen on, brought to this prevalence; None if none is above
    prevalence: float
    photos: int  # that it was chosen on
    bears: int

    @property
    def empty(self) -> bool:
        """Whether no photo is unsure: the precision is reached at the lower threshold already."""
        return self.lower == self.upper


@dataclass(frozen=True, slots=True)
class UnsureAssessment:
    """The costs of two thresholds in use, on photos that they weren't chosen on."""

    range: UnsureRange
    prevalence: float
    unsure: Estimate  # share of all photos in use
    called: Estimate  # share of all photos in use that are positive without a look
    precision: Estimate  # of those
    found_alone: Estimate  # share of the positives that are found without a look
    bears_unsure: Estimate  # share of the positives that are unsure

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        return asdict(self)


def choose_for_precision(
    labels: ArrayLike, probabilities: ArrayLike, target: float, lower: float, prevalence: float
) -> UnsureRange:
    """Choose the lowest threshold from `lower` on with at least this precision where `prevalence` are positive.

    It lies halfway between the last photo above it and the next one below. Where the precision is reached at `lower`,
    it is `lower`, and no photo is unsure. Where no threshold reaches it, it is 1. Raises ValueError without a positive
    or without a negative.
    """
    truth, scores = as_scores(labels, probabilities)
    bears, others = int(truth.sum()), int(len(truth) - truth.sum())
    if not bears or not others or not 0 < target <= 1:
        raise ValueError(f"target={target} must lie between 0 and 1, and photos of both classes be there")
    candidates = np.concatenate([[lower], np.unique(scores[scores > lower])])
    reached = _precision_from(candidates, truth, scores, prevalence)
    enough = np.flatnonzero(reached >= target)  # NaN, where no photo is above, is never enough
    if not len(enough):
        (last,) = _precision_from(np.array([1.0]), truth, scores, prevalence).tolist()
        return UnsureRange(lower, 1.0, target, None if np.isnan(last) else last, prevalence, len(truth), bears)
    first = int(enough[0])
    upper = max(lower, between(float(candidates[first]), scores)) if first else lower
    return UnsureRange(lower, upper, target, float(reached[first]), prevalence, len(truth), bears)


def assess_unsure(
    labels: ArrayLike,
    probabilities: ArrayLike,
    chosen: UnsureRange,
    prevalence: float | None = None,
    clusters: NDArray[np.int64] | None = None,
) -> UnsureAssessment:
    """Compute what two thresholds cost where the share `prevalence` of the photos is positive.

    None stands for the share among these photos. The intervals are those of `thresholds.operating_point`, also with
    `clusters` (n,).
    """
    truth, scores = as_scores(labels, probabilities)
    point = operating_point(truth, scores, chosen.upper, prevalence=prevalence, clusters=clusters)
    between_both = (scores >= chosen.lower) & (scores < chosen.upper)
    of_bears, of_others = (
        clustered_proportion(between_both[rows], None if clusters is None else clusters[rows])
        for rows in (truth == 1, truth == 0)
    )
    return UnsureAssessment(
        range=chosen,
        prevalence=point.prevalence,
        unsure=weighted_sum((point.prevalence, 1 - point.prevalence), (of_bears, of_others)),
        called=point.photos_to_look_at,
        precision=point.precision,
        found_alone=point.recall,
        bears_unsure=of_bears,
    )


def explain_precision(assessment: UnsureAssessment) -> str | None:
    """Explain why these photos don't show the wanted precision; None if they do."""
    precision, wanted = assessment.precision, assessment.range.wanted
    if precision.low is not None and precision.low >= wanted:
        return None
    text = f"{target_percent(wanted)} precision from the upper threshold on is not shown"
    if precision.value is None:
        return f"{text}: no photo lies above it"
    return f"{text}: it is {percent(precision.value)} ({percent(precision.low)} to {percent(precision.high)})"


def _precision_from(
    thresholds: NDArray[np.float64], truth: NDArray[np.int64], scores: NDArray[np.float64], prevalence: float
) -> NDArray[np.float64]:
    """Return the precision from each threshold on, (n,); NaN where no photo is above it."""
    recall, alarms = (
        1 - np.searchsorted(np.sort(scores[truth == label]), thresholds) / (truth == label).sum() for label in (1, 0)
    )
    found = prevalence * recall
    with np.errstate(invalid="ignore"):  # 0 / 0
        precision: NDArray[np.float64] = found / (found + (1 - prevalence) * alarms)
    return precision
