"""Predictions as MegaDetector's batch results, format 1.6: https://lila.science/megadetector-output-format.

A classifier looks at the whole photo. Its answer is written as one "animal" box around all of it, whose confidence is
the probability of the positive class. A tool that hides boxes below the typical threshold shows the photos that are
positive or unsure. Below it there may still be another animal: this confidence says nothing about those.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bearcnn.inference.folders import common_folder, relative_path
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext

FORMAT_VERSION = "1.6"
_ANIMAL = "1"
_WHOLE_PHOTO = [0.0, 0.0, 1.0, 1.0]


def write_megadetector(predictions: Iterable[Prediction], context: PredictionContext) -> Iterator[str]:
    """Yield one document once all predictions are there: its paths begin in the folder that all photos lie in."""
    rows = list(predictions)
    folder = context.folder or common_folder({str(Path(row.path).parent) for row in rows})
    document = {
        "info": _describe(context),
        "detection_categories": {_ANIMAL: "animal"},
        "classification_categories": {str(number): name for number, name in enumerate(context.manifest.classes)},
        "images": [_image(row, folder) for row in rows],
    }
    yield json.dumps(document, indent=1) + "\n"


def _describe(context: PredictionContext) -> dict[str, Any]:
    labelling = context.labelling
    return {
        "format_version": FORMAT_VERSION,
        "detector": "none: each box is the whole photo, its confidence the classifier's",
        "detector_metadata": {"typical_detection_threshold": labelling.lower},
        "classifier": context.answered_by,
        "classifier_metadata": {
            "typical_classification_threshold": labelling.upper,
            "model_fingerprint": context.fingerprint,
        },
    }


def _image(prediction: Prediction, folder: Path | None) -> dict[str, Any]:
    file = relative_path(prediction.path, folder).as_posix()
    if prediction.probability is None:
        return {"file": file, "failure": prediction.error or "unreadable", "detections": None}
    positive = round(float(prediction.probability), 6)
    both = sorted((("1", positive), ("0", round(1 - positive, 6))), key=lambda each: -each[1])
    box = {
        "category": _ANIMAL,
        "conf": positive,
        "bbox": prediction.bbox or _WHOLE_PHOTO,
        "classifications": [list(each) for each in both],
    }
    return {"file": file, "detections": [box]}
