"""Predictions as comma-separated values, with a header."""

from collections.abc import Iterable, Iterator

from bearcnn.inference.csv_lines import csv_line
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext


def write_csv(predictions: Iterable[Prediction], context: PredictionContext) -> Iterator[str]:
    """Yield a header, and a line for each prediction; probabilities have six decimals."""
    if not context.continued:
        yield csv_line(context.columns)
    for prediction in predictions:
        yield csv_line([_cell(getattr(prediction, column)) for column in context.columns])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.6f}" if isinstance(value, float) else str(value)
