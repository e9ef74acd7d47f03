"""Runs and model files of bearcnn 0.1.0, which call some things otherwise, still open."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

import bearcnn
from bearcnn.cli.app import app
from bearcnn.evaluation.localization import PointingGame
from bearcnn.evaluation.predictions import read_predictions
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.windows import find_windows
from bearcnn.manifest import read_manifest
from bearcnn.report.page import write_report
from bearcnn.runs import Run

VERSION_0_1_0 = Path(__file__).parent / "fixtures" / "version-0.1.0"


def move(name: str, tmp_path: Path) -> Run:
    """A run of version 0.1.0 and its photos, where a user may have moved them."""
    photos = Path(shutil.copytree(VERSION_0_1_0 / "photos", tmp_path / "photos", dirs_exist_ok=True))
    run = Run(Path(shutil.copytree(VERSION_0_1_0 / name, tmp_path / name)))
    for file in (run.config_file, run.dataset_file):
        text = file.read_text(encoding="utf-8")
        assert '"/photos"' in text
        file.write_text(text.replace('"/photos"', json.dumps(str(photos))), encoding="utf-8")
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run."""
    return move("finished", tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_the_manifest_is_read_under_its_new_names(run: Run, name: str) -> None:
    manifest = read_manifest(run.directory / name)
    assert manifest.resize == "squish"
    assert {label for label, _ in manifest.subclasses} == {0, 1}
    assert len(find_windows(manifest, 8).centres) == 8
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


@pytest.mark.slow
def test_a_run_that_was_killed_is_resumed_to_the_weights_that_it_would_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    half = move("half", tmp_path)
    dataset = bearcnn.Dataset.from_record(half.dataset_record(), half.config().data)
    bearcnn.resume(half, dataset)
    assert [record.epoch for record in half.history()] == [1, 2, 3]
    found, expected = load_file(half.weights_file), load_file(VERSION_0_1_0 / "finished" / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, values in found.items():  # other processors round otherwise
        np.testing.assert_allclose(values, expected[name], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_the_run_is_explained_and_exported(run: Run, tmp_path: Path) -> None:
    photo = next((tmp_path / "photos" / "test").rglob("*.jpg"))
    assert bearcnn.explain(run, photo).mode == "RGB"
    report = bearcnn.export(run, "onnx", tmp_path / "again.onnx")
    assert report.largest_difference < 1e-5
    before = read_predictions(run)
    found = bearcnn.Predictor(report.file).predict([tmp_path / "photos" / each.path for each in before])
    assert [each.probability for each in found] == pytest.approx([each.probability for each in before], abs=1e-5)


def test_its_configuration_repeats_it_and_an_output_folder_in_it_is_refused(run: Run, tmp_path: Path) -> None:
    assert bearcnn.load_config(run.config_file).data.resize == "squish"
    file = tmp_path / "old.toml"
    file.write_text('[train]\nout = "mine"\n')
    with pytest.raises(bearcnn.BearcnnError, match="give the folder as an option: `out` mine"):
        bearcnn.load_config(file)
