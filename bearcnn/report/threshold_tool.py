"""The slider of a report: what the page says at each threshold.

All numbers and their intervals are computed here; the page's script only looks them up, and counts photos of 1,000.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bearcnn.evaluation.assessment import Assessment
from bearcnn.evaluation.by_threshold import (
    ErrorsFrom,
    ScoresFrom,
    errors_by_threshold,
    scores_by_threshold,
    spread_thresholds,
)
from bearcnn.evaluation.formats import decimal, percent, target_percent
from bearcnn.evaluation.groups import groups_with_photos
from bearcnn.evaluation.intervals import Estimate, complement
from bearcnn.evaluation.predictions import LabelledPrediction
from bearcnn.evaluation.wording import interval, share
from bearcnn.report.verdict import mark_thresholds

MOST_SITES = 50
"""Sites on the page, the worst ones; metrics.json has all."""

DRAWN = ("recall", "precision", "false_positive_rate")
"""The estimates whose ends the script needs, to move the charts' marks."""


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A threshold worth a mark on the slider."""

    place: int
    words: str


@dataclass(frozen=True, slots=True)
class ThresholdTool:
    """The thresholds of the slider, in ascending order, and what the page says from which of them on."""

    thresholds: list[float]
    start: int  # the place of the model's threshold
    suggested: int | None  # of a better one
    marks: list[PlacedMark]
    bears: int
    others: int
    scores: list[ScoresFrom]
    groups: list[list[ErrorsFrom]]  # in the order of the assessment's groups
    sites: list[list[ErrorsFrom]]  # of its first sites

    def place_of(self, threshold: float) -> int:
        """Return the place of a threshold that the slider has."""
        return self.thresholds.index(threshold)

    def shown_at(self, place: int) -> dict[str, str]:
        """Return the page's texts at a threshold, by their names in the page."""
        row = next(row for row in reversed(self.scores) if row.start <= place)
        of_1000 = 1000 / (self.bears + self.others)
        found, alarms = row.found * of_1000, row.false_alarms * of_1000
        counts = {
            "found": row.found,
            "missed": self.bears - row.found,
            "alarms": row.false_alarms,
            "quiet": self.others - row.false_alarms,
            "look": row.found + row.false_alarms,
        }
        return {
            "threshold": label(self.thresholds[place]),
            **{f"count-{name}": f"{count:,}" for name, count in counts.items()},
            "like-look": of_thousand(found + alarms),
            "like-found": of_thousand(found),
            "like-missed": of_thousand(self.bears * of_1000 - found),
            "like-alarms": of_thousand(alarms),
            **_texts(row.estimates),
        }

    def to_json(self) -> dict[str, Any]:
        """Return what the page's script looks up; rows are [first threshold, ...], the shortest that says it."""
        return {
            "thresholds": self.thresholds,
            "labels": [label(threshold) for threshold in self.thresholds],
            "start": self.start,
            "suggested": self.suggested,
            "bears": self.bears,
            "others": self.others,
            "texts": list(_texts(self.scores[0].estimates)),
            "scores": [
                [
                    row.start,
                    row.found,
                    row.false_alarms,
                    *(_ends(row.estimates[name]) for name in DRAWN),
                    list(_texts(row.estimates).values()),
                ]
                for row in self.scores
            ],
            "groups": [[_error_row(row) for row in rows] for rows in self.groups],
            "sites": [[_error_row(row) for row in rows] for rows in self.sites],
        }


def make_tool(
    predictions: Sequence[LabelledPrediction],
    validation: Sequence[LabelledPrediction],
    assessment: Assessment,
    suggested: float | None = None,
) -> ThresholdTool:
    """Compute the slider of an assessment of these predictions, with marks chosen on the validation photos."""
    chosen = assessment.choice.threshold
    marks = mark_thresholds(validation)
    also = [chosen, *(threshold for _, threshold in marks), *([] if suggested is None else [suggested])]
    thresholds = spread_thresholds(predictions, also)
    sites: dict[str, list[LabelledPrediction]] = {row.site: [] for row in assessment.sites[:MOST_SITES]}
    for each in predictions:
        if each.site in sites:
            sites[each.site].append(each)
    bears = sum(each.label for each in predictions)
    return ThresholdTool(
        thresholds=thresholds,
        start=thresholds.index(chosen),
        suggested=None if suggested is None else thresholds.index(suggested),
        marks=[PlacedMark(thresholds.index(threshold), target_percent(recall)) for recall, threshold in marks],
        bears=bears,
        others=len(predictions) - bears,
        scores=scores_by_threshold(predictions, thresholds),
        groups=[errors_by_threshold(photos, thresholds) for _, photos in groups_with_photos(predictions, chosen)],
        # The photos of a site hang together: its rate is theirs alone, and tells nothing about other sites.
        sites=[errors_by_threshold(photos, thresholds, clustered=False) for photos in sites.values()],
    )


def label(threshold: float) -> str:
    """Return a threshold with three digits, and with more where it would be 1 otherwise."""
    text = f"{threshold:.3g}"
    return f"{threshold:.6g}" if text == "1" and threshold < 1 else text


def of_thousand(number: float) -> str:
    """Return a number of 1,000 photos: whole, and with one decimal below 10."""
    if 0 < number < 0.05:
        return "<0.1"
    if 0 < number < 9.95:
        return f"{math.floor(number * 10 + 0.5 + 1e-6) / 10:.1f}"
    return f"{math.floor(number + 0.5 + 1e-6):,}"


def bounded(estimate: Estimate) -> str:
    """Return a share with its interval, and of nothing or everything only the end that isn't certain."""
    if estimate.value == 0 and estimate.high is not None:
        return f"up to {percent(estimate.high)}"
    if estimate.value == 1 and estimate.low is not None:
        return f"at least {percent(estimate.low)}"
    return share(estimate)


def _texts(estimates: dict[str, Estimate]) -> dict[str, str]:
    recall, alarms = estimates["recall"], estimates["false_positive_rate"]
    return {
        "share-found": bounded(recall),
        "share-missed": bounded(complement(recall)),
        "share-alarms": bounded(alarms),
        "share-quiet": bounded(complement(alarms)),
        **{f"{name}-value": decimal(estimate.value) for name, estimate in estimates.items()},
        **{f"{name}-interval": interval(estimate) for name, estimate in estimates.items()},
    }


def _ends(estimate: Estimate) -> list[float] | None:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return [round(end, 6) for end in (estimate.low, estimate.value, estimate.high)]


def _error_row(row: ErrorsFrom) -> list[Any]:
    return [row.start, row.missed, row.false_alarms, _ends(row.rate), share(row.rate)]
