"""The model's answer to each labelled photo, which a run keeps in predictions.jsonl.

Every score of a run is computed from these lines: thresholds, reports and comparisons need neither the model nor the
photos.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bearcnn.data.splits import Split
from bearcnn.errors import RunError
from bearcnn.files import write_atomically
from bearcnn.runs import Run

HELD_OUT: tuple[Split, ...] = ("valid", "test")
"""The splits that a model isn't trained on."""


@dataclass(frozen=True, slots=True)
class LabelledPrediction:
    """One labelled photo and the model's answer to it: a line of predictions.jsonl."""

    path: str  # below the data's root, with /
    split: str
    label: int
    subclass: str
    digest: str
    probability: float
    grey: bool  # without colour, as infrared photos are


def write_predictions(run: Run, predictions: Iterable[LabelledPrediction]) -> None:
    """Write the predictions into the run; they replace any older ones."""
    lines = "".join(json.dumps(asdict(prediction)) + "\n" for prediction in predictions)
    write_atomically(run.predictions_file, lines.encode(), overwrite=True)


def read_predictions(run: Run) -> list[LabelledPrediction]:
    """Read the predictions that the run keeps.

    Raises:
        RunError: there are none (a run of an earlier version), or the file is damaged.
    """
    file = run.predictions_file
    if not file.is_file():
        raise RunError(f"{run.directory} has no {file.name}; write it with: bearcnn evaluate {run.directory}")
    try:
        return [LabelledPrediction(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError):
        raise RunError(f"{file} is damaged; delete it and run: bearcnn evaluate {run.directory}") from None


def validation_predictions(run: Run) -> list[LabelledPrediction]:
    """Read the predictions on which a threshold is chosen.

    Raises:
        RunError: the run has none.
    """
    predictions = in_split(read_predictions(run), "valid")
    if not predictions:
        raise RunError(f"{run.directory} has no validation photos to choose a threshold on; give `threshold` itself")
    return predictions


def in_split(predictions: Iterable[LabelledPrediction], split: str) -> list[LabelledPrediction]:
    """Return those of one split."""
    return [prediction for prediction in predictions if prediction.split == split]


def as_arrays(predictions: Sequence[LabelledPrediction]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels and probabilities, each (photos,)."""
    labels = np.array([prediction.label for prediction in predictions], np.int64)
    return labels, np.array([prediction.probability for prediction in predictions], np.float64)
