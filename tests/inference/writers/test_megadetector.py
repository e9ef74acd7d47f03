import json
from pathlib import Path

import pytest

from bearcnn.inference.labels import Labelling
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext
from bearcnn.inference.writers.megadetector import write_megadetector
from tests.helpers.onnx_models import make_manifest, write_model

ROWS = [
    Prediction("/card/cam1/a.jpg", 0.75, "bright", None),
    Prediction("/card/cam2/b c.jpg", 0.0, "dark", None),
    Prediction("/card/cam2/d.jpg", 1.0, "bright", None),
    Prediction("/card/cam2/bad.jpg", None, None, "file is truncated"),
]


@pytest.fixture
def context(tmp_path) -> PredictionContext:
    labelling = Labelling(("dark", "bright"), 0.2, 0.9)
    return PredictionContext(write_model(tmp_path / "model.onnx"), make_manifest(), labelling)


def write(rows: list[Prediction], context: PredictionContext):
    return json.loads("".join(write_megadetector(rows, context)))


def test_the_official_validator_finds_no_error(context, tmp_path):
    reason = "MegaDetector's validator is installed by `make install`, without its dependencies"
    validator = pytest.importorskip("megadetector.postprocessing.validate_batch_results", reason=reason)
    file = tmp_path / "results.json"
    file.write_text("".join(write_megadetector(ROWS, context)))
    options = validator.ValidateBatchResultsOptions()
    found = validator.validate_batch_results(str(file), options)["validation_results"]
    assert (found["errors"], found["warnings"]) == ([], [])
    broken = write(ROWS, context)
    broken["images"][0]["detections"][0]["conf"] = 1
    assert validator.validate_batch_results(broken, options)["validation_results"]["errors"]


def test_paths_begin_in_the_folder_that_all_photos_lie_in(context):
    files = [image["file"] for image in write(ROWS, context)["images"]]
    assert files == ["cam1/a.jpg", "cam2/b c.jpg", "cam2/d.jpg", "cam2/bad.jpg"]


def test_paths_of_relative_arguments_begin_in_it_as_well(context, tmp_path, monkeypatch):
    (tmp_path / "card").mkdir()
    monkeypatch.chdir(tmp_path)
    rows = [Prediction("card/a.jpg", 0.5, "bright", None), Prediction("card/b/c.jpg", 0.5, "bright", None)]
    assert [image["file"] for image in write(rows, context)["images"]] == ["a.jpg", "b/c.jpg"]


def test_an_answer_is_a_box_around_the_whole_photo_with_both_classes_in_descending_order(context):
    first, second, third, _ = write(ROWS, context)["images"]
    assert first["detections"] == [
        {"category": "1", "conf": 0.75, "bbox": [0, 0, 1, 1], "classifications": [["1", 0.75], ["0", 0.25]]}
    ]
    assert second["detections"][0]["classifications"] == [["0", 1.0], ["1", 0.0]]
    assert all(isinstance(image["detections"][0]["conf"], float) for image in (first, second, third))


def test_an_unreadable_photo_is_a_failure_without_detections(context):
    assert write(ROWS, context)["images"][-1] == {
        "file": "cam2/bad.jpg",
        "failure": "file is truncated",
        "detections": None,
    }


def test_the_typical_threshold_shows_the_unsure_too(context):
    document = write(ROWS, context)
    assert document["info"]["format_version"] == "1.6"
    assert document["info"]["detector_metadata"] == {"typical_detection_threshold": 0.2}
    assert document["info"]["classifier_metadata"]["typical_classification_threshold"] == 0.9
    assert "brightness" in document["info"]["classifier"]
    assert document["classification_categories"] == {"0": "dark", "1": "bright"}


def test_no_photo_is_a_document_without_images(context):
    assert write([], context)["images"] == []


def test_a_name_outside_the_folder_has_no_root(context):
    elsewhere = PredictionContext(context.model, context.manifest, context.labelling, folder=Path("/other"))
    assert write(ROWS[:1], elsewhere)["images"][0]["file"] == "card/cam1/a.jpg"
