"""A few mutated files of each kind; tests/torture/test_model_files.py tries thousands."""

from pathlib import Path

import pytest

from bearcnn.data.photos import find_photos
from bearcnn.model.load import load_model
from tests.helpers import probes
from tests.helpers.onnx_models import write_model

COUNT = 40


@pytest.fixture
def some(photos: Path) -> list[Path]:
    return list(find_photos(photos))[:6]


def test_mutated_model_files_are_refused(trained, some, tmp_path) -> None:
    found = probes.try_many(probes.onnx_probe(write_model(tmp_path / "model.onnx"), some[:1], tmp_path), COUNT)
    assert found["refused"] >= COUNT * 0.9  # the others changed nothing: zeros over zeros
    found = probes.try_many(probes.weights_probe(trained[0].weights_file, load_model, tmp_path), 10)
    assert found["refused"] >= 8


def test_mutated_manifests_are_refused_or_read(some, tmp_path) -> None:
    found = probes.try_many(probes.manifest_probe(some[:1], tmp_path), COUNT)
    assert found["refused"] and found["read"]


def test_mutated_configurations_are_refused_or_read(trained, tmp_path) -> None:
    found = probes.try_many(probes.toml_probe(trained[0], tmp_path), COUNT)
    assert found["refused"] and found["read"]


def test_mutated_lists_are_refused_or_read(some, tmp_path) -> None:
    for make in (probes.table_probe, probes.coco_probe, probes.detections_probe):
        found = probes.try_many(make(some, tmp_path), COUNT)
        assert found["refused"] and found["read"], make.__name__


def test_mutated_results_and_journals_are_refused_or_read(tmp_path) -> None:
    for journal in (False, True):
        found = probes.try_many(probes.result_probe(tmp_path, journal), COUNT)
        assert found["refused"] and found["read"]
