"""Thresholds chosen on some photos, and their recall and false alarms on others.

A photo counts as positive when its probability is at least the threshold.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bearcnn.evaluation.formats import percent, target_percent
from bearcnn.evaluation.intervals import (
    UNDEFINED,
    Estimate,
    clustered_proportion,
    photos_to_prove,
    proportion,
    weighted_sum,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold and the reason for it."""

    threshold: float
    rule: str  # target_recall, max_false_alarms_per_day, given (by the user), model (the file's own)
    wanted: float  # the recall, the false alarms per day, or the threshold itself
    reached: float  # the same number on the photos that it was chosen on
    photos: int  # that it was chosen on; 0 if it wasn't chosen on photos
    bears: int

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold's recall and costs in use, with intervals; `prevalence` is the share of photos with a bear there."""

    threshold: float
    bears: int
    others: int
    recall: Estimate
    precision: Estimate  # among photos in which bears are as frequent as in use
    false_positive_rate: Estimate
    photos_to_look_at: Estimate  # share of all photos in use
    prevalence: float
    photos_per_day: float
    alerts_per_day: Estimate
    false_alarms_per_day: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        return asdict(self)


def choose_for_recall(labels: ArrayLike, probabilities: ArrayLike, target: float) -> Choice:
    """Choose the highest threshold that finds at least the share `target` of the positives.

    It lies halfway between the last positive to be found and the next photo below it: a rounding difference on another
    computer can't lose that positive. Raises ValueError without a positive.
    """
    truth, scores = as_scores(labels, probabilities)
    positives = np.sort(scores[truth == 1])[::-1]
    if not len(positives) or not 0 < target <= 1:
        raise ValueError(f"target={target} must lie between 0 and 1, and at least one photo be positive")
    # Rounding must not turn 0.98 * 50 into 49.000000001 positives.
    needed = max(1, int(np.ceil(target * len(positives) - 1e-9)))
    threshold = between(float(positives[needed - 1]), scores)
    reached = float((positives >= threshold).mean())
    return Choice(threshold, "target_recall", target, reached, len(truth), len(positives))


def choose_for_false_alarms(
    labels: ArrayLike, probabilities: ArrayLike, per_day: float, photos_per_day: float, prevalence: float
) -> Choice:
    """Choose the lowest threshold with at most `per_day` false alarms per day, which finds most bears.

    Where even a threshold of 1 gives too many, `reached` is above `wanted`. Raises ValueError without a negative.
    """
    truth, scores = as_scores(labels, probabilities)
    negatives = np.sort(scores[truth == 0])[::-1]
    if not len(negatives) or per_day < 0:
        raise ValueError(f"per_day={per_day} must be at least 0, and at least one photo be negative")
    quiet_photos = photos_per_day * (1 - prevalence)
    allowed = len(negatives) if quiet_photos == 0 else int(per_day / quiet_photos * len(negatives) + 1e-9)
    if allowed >= len(negatives):
        threshold = 0.0
    else:
        # Above the first negative that must give no alarm, and above all with the same score.
        loudest = float(negatives[allowed])
        above = scores[scores > loudest]
        threshold = (loudest + (float(above.min()) if len(above) else 1.0)) / 2
    reached = float((negatives >= threshold).mean()) * quiet_photos
    return Choice(threshold, "max_false_alarms_per_day", per_day, reached, len(truth), int(truth.sum()))


def operating_point(
    labels: ArrayLike,
    probabilities: ArrayLike,
    threshold: float,
    *,
    prevalence: float | None = None,
    photos_per_day: float = 1000,
    confidence: float = 0.95,
    clusters: NDArray[np.int64] | None = None,
) -> OperatingPoint:
    """Compute a threshold's recall and costs where the share `prevalence` of the photos has a bear.

    None stands for the share among these photos. Recall and false-positive rate don't depend on it. They have Wilson
    intervals, and with `clusters` (n,) those of `clustered_proportion`. Sums of both combine their distances
    (`weighted_sum`). The precision's low end is computed from the worse ends of both, its high end from the better
    ends: this interval is wider than 95%, never narrower.
    """
    truth, scores = as_scores(labels, probabilities)
    called = scores >= threshold
    bears, others = int(truth.sum()), int(len(truth) - truth.sum())
    recall, alarms = (
        clustered_proportion(called[rows], None if clusters is None else clusters[rows], confidence)
        for rows in (truth == 1, truth == 0)
    )
    if prevalence is None:
        prevalence = bears / len(truth) if len(truth) else 0.0
    looked_at = weighted_sum((prevalence, 1 - prevalence), (recall, alarms))
    return OperatingPoint(
        threshold=float(threshold),
        bears=bears,
        others=others,
        recall=recall,
        precision=_precision(recall, alarms, prevalence),
        false_positive_rate=alarms,
        photos_to_look_at=looked_at,
        prevalence=prevalence,
        photos_per_day=photos_per_day,
        alerts_per_day=weighted_sum((photos_per_day,), (looked_at,)),
        false_alarms_per_day=weighted_sum((photos_per_day * (1 - prevalence),), (alarms,)),
    )


def explain_proof(
    target: float, found: int, bears: int, confidence: float = 0.95, recall: Estimate | None = None
) -> str | None:
    """Explain why these bears don't show a recall of `target`; None if they do show it.

    `recall` is the estimate where the bears aren't independent.
    """
    recall = recall or proportion(found, bears, confidence)
    if recall.low is not None and recall.low >= target:
        return None
    if target >= 1:
        return "no number of photos can prove that no bear is ever missed"
    text = f"{target_percent(target)} recall is not shown: {found:,} of {bears:,} test bears found"
    if recall.value is not None:
        text += f", {percent(recall.value)} ({percent(recall.low)} to {percent(recall.high)})"
    needed = photos_to_prove(target, confidence)
    return f"{text}; {needed:,} test bears, all found, would show it" if bears < needed else text


def as_scores(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels and probabilities as arrays, each (n,); raises ValueError for other shapes."""
    truth, scores = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise ValueError(f"labels {truth.shape} and probabilities {scores.shape} must both be (n,)")
    return truth, scores


def between(score: float, scores: NDArray[np.float64]) -> float:
    """Return the middle between a score and the next lower one, else half of it."""
    below = scores[scores < score]
    return (score + float(below.max())) / 2 if len(below) else score / 2


def _precision(recall: Estimate, alarms: Estimate, prevalence: float) -> Estimate:
    def at(found: float | None, false: float | None) -> float | None:
        if found is None or false is None:
            return None
        bears, others = prevalence * found, (1 - prevalence) * false
        return bears / (bears + others) if bears + others else None

    value = at(recall.value, alarms.value)
    if value is None:
        return UNDEFINED
    return Estimate(value, at(recall.low, alarms.high), at(recall.high, alarms.low))
