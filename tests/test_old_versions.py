"""Runs and model files of bearcnn 0.1.0, which call some things otherwise, still open."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bearcnn.cli.app import app
from bearcnn.evaluation.localization import PointingGame
from bearcnn.evaluation.predictions import read_predictions
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.manifest import read_manifest
from bearcnn.report.page import write_report
from bearcnn.runs import Run

VERSION_0_1_0 = Path(__file__).parent / "fixtures" / "version-0.1.0"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run of version 0.1.0 and its photos, where a user may have moved them."""
    photos = Path(shutil.copytree(VERSION_0_1_0 / "photos", tmp_path / "photos"))
    run = Run(Path(shutil.copytree(VERSION_0_1_0 / "finished", tmp_path / "finished")))
    for file in (run.config_file, run.dataset_file):
        text = file.read_text(encoding="utf-8")
        assert '"/photos"' in text
        file.write_text(text.replace('"/photos"', json.dumps(str(photos))), encoding="utf-8")
    return run


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_the_manifest_is_read_under_its_new_names(run: Run, name: str) -> None:
    manifest = read_manifest(run.directory / name)
    assert manifest.resize == "squish"
    assert {label for label, _ in manifest.subclasses} == {0, 1}
    assert len(manifest.window_centres(8)) == 8
    assert manifest.versions["bearcnn"] == "0.1.0"


def test_the_model_gives_the_answers_that_it_gave(run: Run, tmp_path: Path) -> None:
    kept = read_predictions(run)
    found = list(predict_photos(Predictor(run.onnx_file), [tmp_path / "photos" / each.path for each in kept]))
    assert [each.error for each in found] == [None] * 16
    assert [each.probability for each in found] == pytest.approx([each.probability for each in kept], abs=1e-5)


def test_the_run_has_a_report_with_its_pointing_game(run: Run) -> None:
    page = " ".join(write_report(run).read_text(encoding="utf-8").split())
    assert "The best window lies on it in 2 of 4: 50% (15% to 85%)." in page
    assert "No photo was skipped." in page
    assert "the photo is no longer there" not in page
    assert PointingGame.from_metrics(run.metrics()) is not None


def test_the_run_is_evaluated_and_its_threshold_saved(run: Run) -> None:
    before = run.metrics()["evaluations"]["test"]
    ended = CliRunner().invoke(app, ["evaluate", str(run.directory), "--json"])
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    assert found["confusion"] == before["confusion"]
    assert found["estimates"]["roc_auc"]["value"] == pytest.approx(before["estimates"]["roc_auc"]["value"])

    arguments = ["evaluate", str(run.directory), "--target-recall", "0.75", "--save-threshold", "--json"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    threshold = json.loads(ended.stdout)["choice"]["threshold"]
    assert read_manifest(run.onnx_file).threshold == read_manifest(run.weights_file).threshold == threshold


def test_a_run_that_kept_no_predictions_gets_them_by_evaluate(run: Run) -> None:
    kept = read_predictions(run)
    run.predictions_file.unlink()
    ended = CliRunner().invoke(app, ["evaluate", str(run.directory), "--json"])
    assert ended.exit_code == 0, ended.output
    again = read_predictions(run)
    assert [each.path for each in again] == [each.path for each in kept]
    assert [each.probability for each in again] == pytest.approx([each.probability for each in kept], abs=1e-5)
