"""An assessment in a few sentences: what it finds, its false alarms, its cost in use, its weakest kinds, its scores."""

from collections.abc import Iterator

from bearcnn.evaluation.assessment import Assessment
from bearcnn.evaluation.formats import count, decimal, percent, target_percent
from bearcnn.evaluation.groups import GroupErrors
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.thresholds import Choice
from bearcnn.evaluation.wording import PHOTOS, interval, is_default, plural

MOST_KINDS = 3
"""Kinds of photos that are named as the weakest."""


def summarize(assessment: Assessment, calibration_error: float, positive: str, verdict: str) -> list[str]:
    """Return six sentences, each of at most 80 columns unless names or numbers are long.

    Args:
        assessment: of a model on some photos.
        calibration_error: of the same predictions (`calibration.measure_reliability`).
        positive: name of the positive class.
        verdict: a few words that come first, such as `Yes, on photos like these.`
    """
    return [
        f"{verdict} {_describe_recall(assessment, positive)}",
        _describe_false_alarms(assessment, positive),
        _describe_use(assessment, positive),
        _describe_weakest(assessment),
        _describe_scores(assessment, calibration_error),
        f"On {assessment.evaluation.n:,} {PHOTOS[assessment.split]} at threshold "
        f"{assessment.choice.threshold:.3g}, {describe_choice(assessment.choice)}.",
    ]


def describe_choice(choice: Choice) -> str:
    """Return the reason for a threshold in a few words."""
    if choice.rule == "target_recall":
        return f"chosen for {target_percent(choice.wanted)} recall"
    if choice.rule == "max_false_alarms_per_day":
        return f"chosen for {choice.wanted:.4g} false alarms per day"
    if choice.rule == "given":
        return "set by hand"
    return "the default" if is_default(choice) else "that of the model file"


def _describe_recall(assessment: Assessment, positive: str) -> str:
    found, bears = assessment.evaluation.confusion.true_positive, assessment.evaluation.positives
    if not bears:
        return f"No photo here has a {positive}."
    of = f"{found:,} of {bears:,} {plural(positive) if bears > 1 else positive}"
    return f"It finds {of}: {_share(assessment.point.recall)}."


def _describe_false_alarms(assessment: Assessment, positive: str) -> str:
    alarms, others = assessment.evaluation.confusion.false_positive, assessment.point.others
    if not others:
        return f"False alarms can't be counted: every photo here has a {positive}."
    rate = assessment.point.false_positive_rate
    return f"False alarms on {alarms:,} of {others:,} other photos: {_share(rate, '95% interval ')}."


def _describe_use(assessment: Assessment, positive: str) -> str:
    point = assessment.point
    alerts, false = count(point.alerts_per_day.value), count(point.false_alarms_per_day.value)
    given = target_percent(point.prevalence)
    share = given if len(given) <= len("12.5%") else percent(point.prevalence)  # that of the photos has many digits
    return (
        f"In use, of {point.photos_per_day:,.0f} photos per day, {share} with a {positive}: "
        f"{alerts} alerts, {false} false."
    )


def _describe_weakest(assessment: Assessment) -> str:
    weakest = sorted(
        (row for row in assessment.groups if row.wrong), key=lambda row: (-(row.rate.low or 0.0), row.name)
    )
    kinds = [f"{row.name} ({row.wrong:,} {_mistake(row)} in {row.photos:,})" for row in weakest[:MOST_KINDS]]
    if not kinds:
        return "Weakest kinds: none, because every answer is right."
    return f"Weakest kinds: {', '.join(_fitting(kinds))}."


def _mistake(group: GroupErrors) -> str:
    return "missed" if group.label else "false alarm" if group.wrong == 1 else "false alarms"


def _fitting(kinds: list[str], width: int = 64) -> Iterator[str]:
    """Yield the first of some kinds, and more of them while there is room in a line."""
    for number, kind in enumerate(kinds):
        width -= len(kind) + 2 * (number > 0)
        if number and width < 0:
            return
        yield kind


def _describe_scores(assessment: Assessment, calibration_error: float) -> str:
    auc, accuracy = (assessment.evaluation.estimates[name] for name in ("roc_auc", "accuracy"))
    ends = f" ({interval(auc)})" if interval(auc) else ""
    return (
        f"AUC {decimal(auc.value)}{ends}, accuracy {_share(accuracy)}, calibration error {percent(calibration_error)}."
    )


def _share(estimate: Estimate, what: str = "") -> str:
    ends = interval(estimate, percent)
    return f"{percent(estimate.value)} ({what}{ends})" if ends else percent(estimate.value)
