"""Predictions as one JSON list, or as one JSON object a line."""

import json
from collections.abc import Iterable, Iterator

from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext


def write_json(predictions: Iterable[Prediction], context: PredictionContext) -> Iterator[str]:
    """Yield a list with one object for each prediction."""
    yield "["
    for number, prediction in enumerate(predictions):
        yield ("," if number else "") + f"\n  {_object(prediction, context)}"
    yield "\n]\n"


def write_jsonl(predictions: Iterable[Prediction], context: PredictionContext) -> Iterator[str]:
    """Yield one line with an object for each prediction."""
    for prediction in predictions:
        yield _object(prediction, context) + "\n"


def _object(prediction: Prediction, context: PredictionContext) -> str:
    return json.dumps({column: getattr(prediction, column) for column in context.columns})
