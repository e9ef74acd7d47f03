"""Predictions as comma-separated values, with a header."""

import csv
import io
from collections.abc import Iterable, Iterator

from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext


def write_csv(predictions: Iterable[Prediction], context: PredictionContext) -> Iterator[str]:
    """Yield a header, and a line for each prediction; probabilities have six decimals."""
    if not context.continued:
        yield header(context.columns)
    for prediction in predictions:
        yield _line([_cell(getattr(prediction, column)) for column in context.columns])


def header(columns: Iterable[str]) -> str:
    """Return the first line."""
    return _line(columns)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
