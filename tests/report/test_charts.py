import numpy as np
import pytest

from bearcnn.evaluation.metrics import evaluate
from bearcnn.evaluation.predictions import as_arrays, in_split, read_predictions
from bearcnn.report.charts import precision_recall_curve, roc_curve


def test_the_precision_recall_curve_has_the_area_of_average_precision(trained) -> None:
    scores = in_split(read_predictions(trained[0]), "test")
    recall, precision = precision_recall_curve(scores)
    area = sum((b - a) * y for a, b, y in zip(recall, recall[1:], precision[1:], strict=False))
    assert area == pytest.approx(evaluate(*as_arrays(scores)).estimates["average_precision"].value)


def test_the_roc_curve_has_the_area_of_the_auc(trained) -> None:
    scores = in_split(read_predictions(trained[0]), "test")
    rate, recall = roc_curve(scores)
    assert np.trapezoid(recall, rate) == pytest.approx(evaluate(*as_arrays(scores)).estimates["roc_auc"].value)
