"""The charts of a run's report, from its numbers."""

import math
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bearcnn.evaluation.formats import decimal, percent
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import Evaluation
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays
from bearcnn.report.svg import STYLES, Axis, Dot, Mark, Series, draw_histogram, draw_lines, nice_range
from bearcnn.runs import EpochRecord


def draw_learning(history: list[EpochRecord], best_epoch: int) -> list[Markup]:
    """Draw losses and validation scores by epoch; the training loss alone where there were no validation photos."""
    if not history:
        return []
    epochs = [float(record.epoch) for record in history]
    x = Axis("epoch", 1, max(2.0, epochs[-1]))
    train, valid = [record.train_loss for record in history], [record.valid_loss for record in history]
    if all(math.isnan(loss) for loss in valid):
        said = f"The training loss goes from {train[0]:.3f} to {train[-1]:.3f}; epoch {best_epoch} was kept."
        losses = Axis("loss", *nice_range(train, low=0))
        series = [Series("training", epochs, [*train], STYLES[0])]
        return [draw_lines("Training loss", said, x, losses, series, upright=float(best_epoch))]
    # A single wild epoch must not flatten the others.
    usual = float(np.nanquantile([*train, *valid], 0.95)) * 1.2
    losses = Axis("loss", *nice_range([min(*train, *valid), min(usual, max(*train, *valid))], low=0))
    auc, precision = _known([r.roc_auc for r in history]), _known([r.average_precision for r in history])
    values = [value for value in (*auc, *precision) if value is not None]
    return [
        draw_lines(
            "Losses",
            f"The training loss goes from {train[0]:.3f} to {train[-1]:.3f}, the validation loss from "
            f"{valid[0]:.3f} to {valid[-1]:.3f}; epoch {best_epoch} was kept.",
            x,
            losses,
            [Series("training", epochs, train, STYLES[0]), Series("validation", epochs, valid, STYLES[1])],
            upright=float(best_epoch),
        ),
        draw_lines(
            "Validation scores",
            f"ROC AUC and average precision by epoch; epoch {best_epoch} was kept.",
            x,
            Axis("score", *nice_range(values, high=1.0)),
            [Series("ROC AUC", epochs, auc, STYLES[0]), Series("average precision", epochs, precision, STYLES[1])],
            upright=float(best_epoch),
        ),
    ]


def precision_recall_curve(predictions: list[LabelledPrediction]) -> tuple[list[float], list[float]]:
    """Compute recall and precision at each distinct probability, the highest first, at most 400 points."""
    found, alarms, bears, _ = _count_by_threshold(predictions)
    precision = found / (found + alarms)
    return [0.0, *(found / bears).tolist()], [float(precision[0]), *precision.tolist()]


def roc_curve(predictions: list[LabelledPrediction]) -> tuple[list[float], list[float]]:
    """Compute false-positive rate and recall at each distinct probability, the highest first, at most 400 points."""
    found, alarms, bears, others = _count_by_threshold(predictions)
    return [0.0, *(alarms / others).tolist()], [0.0, *(found / bears).tolist()]


def _count_by_threshold(
    predictions: list[LabelledPrediction],
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Count bears found and false alarms at each threshold, each (thresholds,), and bears and others, at least 1."""
    labels, probabilities = as_arrays(predictions)
    order = np.argsort(-probabilities, kind="stable")
    truth, sorted_scores = labels[order], probabilities[order]
    ends = np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True))
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, 400).astype(int))] if len(ends) > 400 else ends
    found = np.cumsum(truth)[ends]
    bears = int(truth.sum())
    return found, ends + 1 - found, max(1, bears), max(1, len(truth) - bears)


def draw_roc(evaluation: Evaluation, predictions: list[LabelledPrediction]) -> Markup:
    """Draw the ROC curve, and the threshold's point with its intervals."""
    recall, alarms = evaluation.estimates["recall"], evaluation.estimates["false_positive_rate"]
    return draw_lines(
        "Found and false alarms (ROC)",
        f"The area under the curve (ROC AUC) is {evaluation.estimates['roc_auc']}. At the model's threshold "
        f"recall is {recall} and the false-positive rate {alarms}.",
        Axis("false-positive rate: share of the others mistaken", 0, 1, True),
        Axis("recall", 0, 1, True),
        [Series("every threshold", *roc_curve(predictions), STYLES[0])],
        diagonal=True,
        mark=Mark(alarms, "false_positive_rate", recall, "recall"),
    )


def draw_precision_recall(evaluation: Evaluation, predictions: list[LabelledPrediction]) -> Markup:
    """Draw the precision-recall curve, and the threshold's point with its intervals."""
    xs, ys = precision_recall_curve(predictions)
    recall, precision = evaluation.estimates["recall"], evaluation.estimates["precision"]
    average = evaluation.estimates["average_precision"]
    return draw_lines(
        "Precision and recall",
        f"Average precision {average}. At the model's threshold recall is {recall} and precision {precision}.",
        Axis("recall: share of positives found", 0, 1, True),
        Axis("precision", 0, 1, True),
        [Series("every threshold", xs, ys, STYLES[0])],
        mark=Mark(recall, "recall", precision, "precision"),
    )


def draw_reliability(calibration: dict[str, Any], threshold: float) -> Markup:
    """Draw the share of positives against the stated probability, before and after the temperature; the threshold."""
    dots = []
    for name, style, hollow in (("before", STYLES[1], True), ("after", STYLES[0], False)):
        for row in calibration[name]["bins"]:
            share_of_bears = Estimate(**row["bears"])
            if share_of_bears.value is not None:
                ends = None if hollow else _ends(share_of_bears)
                label = "uncalibrated" if hollow else "calibrated"
                dots.append(Dot(row["probability"], share_of_bears.value, label, style, None, ends, hollow))
    before, after = calibration["before"]["calibration_error"], calibration["after"]["calibration_error"]
    return draw_lines(
        "Reliability",
        "Points on the diagonal are right. The expected calibration error is "
        f"{decimal(before)} before and {decimal(after)} after calibration.",
        Axis("stated probability", 0, 1, True),
        Axis("share that is positive", 0, 1, True),
        (),
        dots,
        diagonal=True,
        mark=_mark_threshold(threshold),
    )


def draw_scores(predictions: list[LabelledPrediction], classes: tuple[str, str], threshold: float) -> Markup:
    """Draw the spread of both classes' probabilities; the threshold."""
    labels, probabilities = as_arrays(predictions)
    bears, others = [
        (np.histogram(probabilities[labels == label], 20, (0, 1))[0] / max(1, (labels == label).sum())).tolist()
        for label in (1, 0)
    ]
    negative, positive = classes
    return draw_histogram(
        "Probabilities",
        f"Of the {positive} photos {percent(bears[-1])} score over 0.95, of the {negative} photos "
        f"{percent(others[0])} under 0.05.",
        Axis(f"probability of {positive}", 0, 1),
        bears,
        others,
        (positive, negative),
        _mark_threshold(threshold),
    )


def _mark_threshold(threshold: float) -> Mark:
    return Mark(Estimate(threshold, threshold, threshold), "threshold")


def _ends(estimate: Estimate) -> tuple[float, float] | None:
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def _known(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]
