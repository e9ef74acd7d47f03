"""The answer to each labelled photo, which a run keeps in predictions.jsonl.

Every score of a run is computed from these lines: thresholds, reports and comparisons need neither the model nor the
photos. The answers are the model's to photos that it wasn't trained on. With `train.folds` it was trained on all but a
given test part: each of the others has the answer of a network of the same kind that wasn't trained on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.data.regions import Box
from bearcnn.data.splits import FOLDS, Split
from bearcnn.errors import RunError
from bearcnn.evaluation.calibration import apply_temperature
from bearcnn.runs import Run

HELD_OUT: tuple[Split, ...] = ("valid", "test")
"""The splits that a model isn't trained on."""

SCORED = (FOLDS, *HELD_OUT)
"""All that predictions are kept of; the last one that there is has the scores that count."""


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
    site: str | None = None
    seen: bool | None = None  # whether the model was trained on photos of the site; None if that isn't known
    area: Box | None = None  # the part of the photo whose answer it is; None for the whole frame
    group: str | None = None  # the photos that hang together with it, as those of one site or burst
    taken: str | None = None  # ISO 8601, on the camera's clock

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes, without what isn't known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def write_predictions(run: Run, predictions: Iterable[LabelledPrediction]) -> None:
    """Write the predictions into the run; they replace any older ones."""
    run.write_predictions(prediction.to_json() for prediction in predictions)


def read_predictions(run: Run) -> list[LabelledPrediction]:
    """Read the predictions that the run keeps.

    Raises:
        RunError: there are none (a run of an earlier version), or the file is damaged.
    """
    return [_from_json(row) for row in run.prediction_rows()]


def _from_json(fields: dict[str, Any]) -> LabelledPrediction:
    prediction = LabelledPrediction(**fields)
    if prediction.area is None:
        return prediction
    left, top, right, bottom = prediction.area  # a list in JSON
    return replace(prediction, area=(left, top, right, bottom))


def read_folds(run: Run, temperature: float = 1.0) -> list[LabelledPrediction]:
    """Read the answers of the folds' networks, in the order of the paths, with their log odds divided by a temperature.

    There are none where the run is not cross-validated.

    Raises:
        RunError: a fold's file is missing or damaged.
    """
    found: list[LabelledPrediction] = []
    for number in range(run.config().train.folds):
        try:
            found += read_predictions(run.fold(number + 1))
        except RunError:
            file = run.fold(number + 1).predictions_file
            raise RunError(f"{file} is missing or damaged; copy it from a backup, or train again") from None
    calibrated = apply_temperature([each.probability for each in found], temperature).tolist()
    predictions = [replace(each, probability=value) for each, value in zip(found, calibrated, strict=True)]
    return sorted(predictions, key=lambda each: each.path.split("/"))


def validation_predictions(run: Run) -> list[LabelledPrediction]:
    """Read the predictions on which a threshold is chosen.

    Raises:
        RunError: the run has none.
    """
    predictions = for_threshold(read_predictions(run))
    if not predictions:
        raise RunError(f"{run.directory} has no validation photos to choose a threshold on; give `threshold` itself")
    return predictions


def for_threshold(predictions: Sequence[LabelledPrediction]) -> list[LabelledPrediction]:
    """Return those on which a threshold is chosen: of the folds, else of the validation photos."""
    return in_split(predictions, FOLDS) or in_split(predictions, "valid")


def for_scores(predictions: Sequence[LabelledPrediction]) -> list[LabelledPrediction]:
    """Return those that the scores are computed from: of the test photos, else as `for_threshold`."""
    return in_split(predictions, "test") or for_threshold(predictions)


def in_split(predictions: Iterable[LabelledPrediction], split: str) -> list[LabelledPrediction]:
    """Return those of one split."""
    return [prediction for prediction in predictions if prediction.split == split]


def as_arrays(predictions: Sequence[LabelledPrediction]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels and probabilities, each (photos,)."""
    labels = np.array([prediction.label for prediction in predictions], np.int64)
    return labels, np.array([prediction.probability for prediction in predictions], np.float64)


def as_clusters(predictions: Sequence[LabelledPrediction]) -> NDArray[np.int64] | None:
    """Return the number of each photo's group, (photos,); None where no two photos are of one.

    Photos of a group are right or wrong together: an interval counts them as one, as far as they are.
    """
    names = [prediction.group or row for row, prediction in enumerate(predictions)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64) if len(numbers) < len(names) else None
