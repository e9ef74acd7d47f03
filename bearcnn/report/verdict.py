"""A report's first sentences: whether the model is fit for use, and a threshold that would be better."""

from collections.abc import Sequence

from bearcnn.evaluation.formats import percent
from bearcnn.evaluation.metrics import Evaluation
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays, as_clusters
from bearcnn.evaluation.thresholds import Choice, OperatingPoint, choose_for_recall, operating_point
from bearcnn.evaluation.wording import interval

GOOD_RECALL = 0.95
"""The share of bears from which the verdict calls a model fit for use."""

USEFUL_ALARMS = 0.5
"""The share of false alarms above which it isn't: most photos would have to be looked at all the same."""

FEW = 20
"""Photos of a class below which there is no verdict: 20 of 20 found leaves a recall of 84% to 100%."""

SUGGESTED_RECALL = 0.98
"""The recall of the threshold that the report suggests."""

MARKED_RECALLS = (0.9, 0.95, SUGGESTED_RECALL)
"""The shares of bears found whose thresholds the report's slider marks."""


def too_few(evaluation: Evaluation) -> bool:
    """Tell whether there are too few photos of a class for a verdict, or for numbers of 1,000 photos."""
    return min(evaluation.positives, evaluation.n - evaluation.positives) < FEW


def judge(evaluation: Evaluation, point: OperatingPoint, positive: str) -> tuple[str, str, str]:
    """Return the verdict: its style (good, unsure or bad), a word, and the reason in a sentence."""
    recall, alarms, auc = point.recall, point.false_positive_rate, evaluation.estimates["roc_auc"]
    found, bears = evaluation.confusion.true_positive, evaluation.positives
    if recall.value is None or recall.low is None or alarms.value is None:
        return "unsure", "Can't tell.", f"Photos with a {positive} and photos without one are needed for a verdict."
    if too_few(evaluation):
        others = evaluation.n - bears
        reason = (
            f"{bears:,} {'photo' if bears == 1 else 'photos'} with a {positive} and {others:,} without are too few "
            f"for a verdict. It found {found:,} of the {bears:,}, and raised a false alarm on "
            f"{evaluation.confusion.false_positive:,} of the {others:,}."
        )
        return "unsure", "Can't tell yet.", reason
    cost = f"raises a false alarm on {percent(alarms.value)} of the rest"
    found_share = f"finds {percent(recall.value)} of the photos with a {positive}"
    if auc.low is not None and auc.low <= 0.5:
        return "bad", "No.", f"It is not shown to tell a {positive} from the rest any better than a coin would."
    if recall.value >= GOOD_RECALL and alarms.value > USEFUL_ALARMS:
        return "bad", "Little help.", f"It {found_share}, but {cost}."
    if recall.low >= GOOD_RECALL:
        reason = f"It {found_share} (95% interval {interval(recall, percent)}) and {cost}."
        return "good", "Yes, on photos like these.", reason
    if recall.value >= GOOD_RECALL:
        reason = (
            f"It found {found:,} of {bears:,} photos with a {positive}, too few to be sure (95% interval "
            f"{interval(recall, percent)}), and {cost}."
        )
        return "unsure", "Perhaps.", reason
    reason = (
        f"At {point.threshold:.3g} it misses {percent(1 - recall.value)} of the photos with a {positive} "
        f"({bears - found:,} of {bears:,}) and {cost}."
    )
    return "bad", "Not at this threshold.", reason


def name_way_out(point: OperatingPoint) -> str:
    """Return the sentence on a better threshold, from its costs."""
    return (
        f"At {point.threshold:.3g} it finds {percent(point.recall.value)} and leaves "
        f"{percent(point.photos_to_look_at.value)} of the photos to look at."
    )


def mark_thresholds(validation: Sequence[LabelledPrediction]) -> list[tuple[float, float]]:
    """Return shares of bears worth a mark on a slider, each with the threshold that finds it among validation photos.

    None where the bears are too few to choose a threshold by.
    """
    labels, probabilities = as_arrays(validation)
    if labels.sum() < FEW:
        return []
    return [(recall, choose_for_recall(labels, probabilities, recall).threshold) for recall in MARKED_RECALLS]


def suggest_threshold(
    choice: Choice, validation: Sequence[LabelledPrediction], predictions: Sequence[LabelledPrediction]
) -> tuple[Choice, OperatingPoint] | None:
    """Return a threshold that finds more bears among the validation photos, and its costs among the predictions.

    None where the own threshold finds as many, or where the bears are too few to choose one by.
    """
    labels, probabilities = as_arrays(validation)
    if choice.rule == "target_recall" or labels.sum() < FEW:
        return None
    better = choose_for_recall(labels, probabilities, SUGGESTED_RECALL)
    if better.threshold >= choice.threshold:
        return None
    return better, operating_point(*as_arrays(predictions), better.threshold, clusters=as_clusters(predictions))
