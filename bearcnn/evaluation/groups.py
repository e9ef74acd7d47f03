"""Errors by group of photos: by subclass, and by pairs of conditions."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from bearcnn.evaluation.intervals import Estimate, clustered_proportion
from bearcnn.evaluation.predictions import LabelledPrediction, as_clusters


@dataclass(frozen=True, slots=True)
class GroupErrors:
    """The number of wrong answers in a group of photos at the threshold."""

    name: str
    label: int
    photos: int
    wrong: int
    rate: Estimate  # of false alarms among other photos, of missed bears among bears


def group_errors(predictions: Iterable[LabelledPrediction], threshold: float) -> list[GroupErrors]:
    """Count wrong answers by subclass, the most frequent first, and where there are both, by pairs of conditions.

    These are colour and grey, day and night by the clock, and seen and unseen sites.
    """
    return [row for row, _ in groups_with_photos(predictions, threshold)]


def groups_with_photos(
    predictions: Iterable[LabelledPrediction], threshold: float
) -> list[tuple[GroupErrors, list[LabelledPrediction]]]:
    """Return the rows of `group_errors`, each with its photos."""
    predictions = list(predictions)
    subclasses: dict[tuple[str, int], list[LabelledPrediction]] = defaultdict(list)
    for prediction in predictions:
        subclasses[prediction.subclass, prediction.label].append(prediction)
    rows = [(_count_errors(name, label, photos, threshold), photos) for (name, label), photos in subclasses.items()]
    rows.sort(key=lambda row: (-row[0].label, -(row[0].rate.value or 0), row[0].name))
    for names, condition in _CONDITIONS:
        met = [condition(prediction) for prediction in predictions]
        if not {True, False} <= set(met):
            continue
        for label in (1, 0):
            for wanted, name in zip((False, True), names, strict=True):
                pairs = zip(predictions, met, strict=True)
                photos = [each for each, found in pairs if each.label == label and found is wanted]
                if photos:
                    rows.append((_count_errors(name, label, photos, threshold), photos))
    return rows


def _is_night(prediction: LabelledPrediction) -> bool | None:
    """Check by the camera's clock alone; None for an unknown time."""
    return None if prediction.taken is None else not 6 <= datetime.fromisoformat(prediction.taken).hour < 18


_CONDITIONS: tuple[tuple[tuple[str, str], Callable[[LabelledPrediction], bool | None]], ...] = (
    (("in colour", "grey (infrared?)"), lambda prediction: prediction.grey),
    (("taken 6:00 to 18:00", "taken 18:00 to 6:00"), _is_night),
    (("at unseen sites", "at sites trained on"), lambda prediction: prediction.seen),
)
"""The names for photos that don't meet a condition and for those that do, and the condition; None: it isn't known."""


def _count_errors(name: str, label: int, photos: list[LabelledPrediction], threshold: float) -> GroupErrors:
    wrong = np.array([(photo.probability >= threshold) != (label == 1) for photo in photos])
    return GroupErrors(name, label, len(photos), int(wrong.sum()), clustered_proportion(wrong, as_clusters(photos)))
