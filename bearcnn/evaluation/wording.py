"""Estimates, metrics and thresholds in the words of both the command line and the report."""

from collections.abc import Callable

from bearcnn.data.splits import FOLDS
from bearcnn.evaluation.formats import decimal, percent, signed, target_percent
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import METRICS, Evaluation
from bearcnn.evaluation.thresholds import Choice
from bearcnn.evaluation.unsure import UnsureRange

DEFAULT_THRESHOLD = 0.5
"""The threshold of a model whose user has not chosen one."""

FEW_PHOTOS, FEW_OF_A_CLASS = 50, 10
"""Below either of these numbers, scores are shown with a sentence on what so few photos can tell."""

EXPLAIN_FOLDS = (
    "the scores are of networks made like the model, each trained on most of these photos and judged on the others; "
    "the model itself has seen all of them, and may be a little better"
)
"""The difference between the networks of cross-validation and the model, in one sentence."""

PHOTOS = {
    "train": "training photos",
    FOLDS: "cross-validated photos",
    "valid": "validation photos",
    "test": "test photos",
}
"""The words for the photos of a split."""

_LOSSES = {"valid_loss": "validation loss", "train_loss": "training loss"}


def metric_words(name: str) -> str:
    """Return a metric's or a loss's name for people."""
    return METRICS[name].words if name in METRICS else _LOSSES.get(name, name.replace("_", " "))


def plural(noun: str) -> str:
    """Return the plural of a class's name."""
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) else "s")


def interval(estimate: Estimate, text: Callable[[float | None], str] = decimal) -> str:
    """Return the ends of an interval as `0.921 to 0.961`; nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{text(estimate.low)} to {text(estimate.high)}"


def share(estimate: Estimate) -> str:
    """Return a share with its interval: `97.4% (91.2% to 99.1%)`."""
    ends = interval(estimate, percent)
    return f"{percent(estimate.value)} ({ends})" if estimate.value is not None and ends else percent(estimate.value)


def difference(estimate: Estimate) -> str:
    """Return a difference with its interval: `+0.012 (-0.003 to +0.027)`."""
    ends = interval(estimate, signed)
    return f"{signed(estimate.value)} ({ends})" if estimate.value is not None and ends else signed(estimate.value)


def is_default(choice: Choice) -> bool:
    """Check whether the threshold is the default, which nobody chose."""
    return choice.rule == "model" and choice.threshold == DEFAULT_THRESHOLD


def threshold_origin(choice: Choice, positive: str) -> str:
    """Return the origin of a threshold, as a sentence."""
    if choice.rule == "target_recall":
        return (
            f"It was chosen on {choice.photos:,} validation photos to find at least {target_percent(choice.wanted)} of "
            f"the {choice.bears:,} with a {positive}; it finds {percent(choice.reached)} of them."
        )
    if choice.rule == "max_false_alarms_per_day":
        return (
            f"It was chosen on {choice.photos:,} validation photos for at most {choice.wanted:.4g} false alarms per "
            f"day; it gives {choice.reached:.3g}."
        )
    if choice.rule == "given":
        return "It was set by hand."
    return "This is the default." if is_default(choice) else "It comes from the model file."


def unsure_origin(chosen: UnsureRange, positive: str) -> str:
    """Return the origin of the upper of two thresholds, in sentences."""
    wanted, share_of = target_percent(chosen.wanted), target_percent(chosen.prevalence)
    where = f"where {share_of} of the photos have a {positive}"
    if chosen.empty:
        return (
            f"No photo needs to be unsure: of the validation photos from this threshold on, {percent(chosen.reached)} "
            f"have a {positive}, {where}, and {wanted} were asked for."
        )
    if chosen.reached is None or chosen.reached < chosen.wanted:
        return (
            f"No threshold gives the {wanted} precision asked for, {where}: all photos from {chosen.lower:.3g} on are "
            "unsure."
        )
    return (
        f"The second threshold is {chosen.upper:.3g}. It was chosen on {chosen.photos:,} validation photos for a "
        f"precision of at least {wanted} {where}; it reaches {percent(chosen.reached)}."
    )


def explain_few_photos(evaluation: Evaluation) -> str | None:
    """Say what so few photos can't tell, by the interval of the ROC AUC; None where there are enough."""
    bears, others = evaluation.positives, evaluation.n - evaluation.positives
    if evaluation.n >= FEW_PHOTOS and min(bears, others) >= FEW_OF_A_CLASS:
        return None
    auc = evaluation.estimates["roc_auc"]
    start = f"{evaluation.n} photos ({bears} positive) are few"
    if auc.low is None or auc.high is None:
        return f"{start}: they can't tell a good model from a bad one"
    return f"{start}: they can't tell an AUC of {decimal(auc.low)} from {decimal(auc.high)}"
