"""The parts that every writer of predictions gets."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bearcnn.inference.prediction import Prediction
from bearcnn.manifest import Manifest

COLUMNS = ("path", "label", "probability", "error")
"""The columns of every prediction."""


@dataclass(frozen=True, slots=True)
class PredictionContext:
    """The facts that the predictions of one call have in common."""

    model: Path
    manifest: Manifest
    columns: tuple[str, ...] = COLUMNS
    """The fields of a prediction to write; an option that computes more adds its own."""


TextWriter = Callable[[Iterable[Prediction], PredictionContext], Iterator[str]]
"""Yields the text of predictions piece by piece, each as soon as its predictions are there."""
