"""The whole way with tiles and with crops: training, scores, prediction, command line."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bearcnn.data.dataset import Dataset
from bearcnn.data.regions import WHOLE_FRAMES, Crops, Tiles
from bearcnn.evaluation.calibration import fit_temperature, log_odds
from bearcnn.evaluation.predictions import as_arrays, in_split, read_folds, read_predictions
from bearcnn.export.base import calibrate
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.score import point_at_bears, predict_split
from bearcnn.manifest import read_manifest
from bearcnn.model.load import load_model
from bearcnn.report.thumbnails import make_thumbnails
from bearcnn.runs import Run
from bearcnn.training.learner import build_learner
from tests.helpers.detections import write_detections
from tests.helpers.training import assert_same_weights, made_once, small_config, train_apart, train_once

pytestmark = pytest.mark.slow  # trains


@pytest.fixture(scope="module")
def tiled(photos, tmp_path_factory):
    return train_once(tmp_path_factory, "tiled", small_config(photos, "data.tiles=2"))


@pytest.fixture(scope="module")
def detections(photos, tmp_path_factory) -> Path:
    """Two animals in every second photo, one or none in the others; of three photos nothing is known."""
    files = sorted(photos.rglob("*.jpg"))
    boxes = {
        file.relative_to(photos).as_posix(): [[0.2, 0.3, 0.5, 0.4], [0.6, 0.6, 0.3, 0.2]][: (2, 1, 2, 0)[number % 4]]
        for number, file in enumerate(files)
    }
    for file in files[::20]:
        del boxes[file.relative_to(photos).as_posix()]
    return made_once(tmp_path_factory, "detections", lambda folder: write_detections(folder / "md.json", boxes))


@pytest.fixture(scope="module")
def cropped(photos, detections, tmp_path_factory):
    return train_once(tmp_path_factory, "cropped", small_config(photos, f"data.detections={detections}"))


@pytest.fixture(params=["tiled", "cropped"])
def several(request):
    return request.getfixturevalue(request.param)


def test_tiles_change_no_weight(trained, tiled):
    assert_same_weights(trained[0], tiled[0])
    assert read_manifest(tiled[0].onnx_file).config["data"]["tiles"] == 2


def test_crops_are_other_pictures_to_train_on(trained, cropped):
    with pytest.raises(AssertionError):
        assert_same_weights(trained[0], cropped[0])
    assert read_manifest(cropped[0].onnx_file).config["data"]["detections"].endswith("md.json")


def test_the_scores_are_of_the_answers_that_predict_gives(several):
    run, dataset, _ = several
    predictor = Predictor(run.onnx_file)
    kept = read_predictions(run)
    assert kept
    regions = dataset.regions
    found = predict_photos(predictor, [dataset.root / each.path for each in kept], regions=regions)
    assert [each.probability for each in found] == pytest.approx([each.probability for each in kept], abs=1e-6)
    assert any(each.area for each in kept)
    again = Dataset.from_record(run.dataset_record(), run.config().data)
    for split in ("valid", "test"):
        for one, other in zip(predict_split(predictor, again, split), in_split(kept, split), strict=True):
            assert replace(one, probability=0) == replace(other, probability=0)


def test_the_temperature_is_that_of_the_best_pictures_answers(several):
    run, dataset, _ = several
    model = load_model(run.weights_file)
    assert model.manifest.temperature == pytest.approx(calibrate(model.network, dataset, run.config()))
    again = calibrate(model.network, dataset, run.config())
    assert again == calibrate(model.network, dataset, run.config())  # however the photos come: to the bit
    labels, probabilities = as_arrays(in_split(read_predictions(run), "valid"))
    assert fit_temperature(labels, log_odds(probabilities)) == pytest.approx(1, abs=1e-3)  # it is applied already
    whole = calibrate(model.network, replace(dataset, regions=WHOLE_FRAMES), run.config())
    assert whole != pytest.approx(model.manifest.temperature, rel=1e-3)


def test_what_is_shown_of_a_mistake_is_the_part_that_was_scored(several):
    run, dataset, _ = several
    photos = [each for each in read_predictions(run) if each.area][:3]
    thumbnails = make_thumbnails(photos, dataset.root, run.onnx_file)
    whole = make_thumbnails([replace(each, area=None) for each in photos], dataset.root, run.onnx_file)
    assert all(one.photo and one.photo != other.photo for one, other in zip(thumbnails, whole, strict=True))
    assert "each picture here is the part that was scored" in run.report_file.read_text()


def test_reports_of_whole_frames_say_nothing_of_parts(trained):
    assert "part that was scored" not in trained[0].report_file.read_text()
    assert "area" not in trained[0].predictions_file.read_text()


def test_the_pointing_game_is_not_played_on_crops(cropped):
    run, dataset, _ = cropped
    assert point_at_bears(Predictor(run.onnx_file), dataset, "test") is None


def test_folds_are_judged_by_their_best_pictures(photos, tmp_path):
    config = small_config(photos, "data.tiles=2", "train.folds=2", "train.epochs=1")
    run, dataset, _ = train_apart(config, tmp_path)
    folds = read_folds(run)
    assert len(folds) == len(dataset.select("train")) + len(dataset.select("valid"))
    assert any(each.area for each in folds)
    assert all(each.area in {None, *(area for area in _tile_areas())} for each in folds)


def _tile_areas():
    return [region.area for region in Tiles(2).of(Path("any"))(48, 48)]


def test_a_learner_of_crops_shows_the_crops(cropped):
    run, dataset, _ = cropped
    learner = build_learner(run.config(), dataset)
    (batch, _, _) = (*learner.dls.valid.one_batch(), None)[:3]
    rows, _ = dataset.arrays("valid")
    shown = batch[0].permute(1, 2, 0).numpy()
    assert any((shown == np.asarray(dataset.pixels[row])).all() for row in rows)


class TestCommandLine:
    """What a user types, and reads."""

    def test_boxes_are_for_programs_and_only_where_they_were_asked_for(self, command, cropped, detections, photos):
        run = cropped[0]
        asked = ("predict", photos / "test", "--model", run.directory)
        plain = json.loads(command(*asked, "--json").stdout)
        assert all(set(row) == {"path", "probability", "label", "error"} for row in plain)
        said = command(*asked, "--json", "--detections", detections)
        rows = json.loads(said.stdout)
        boxes = [row["bbox"] for row in rows]
        assert {str(box) for box in boxes} == {"None", "[0.2, 0.3, 0.5, 0.4]", "[0.6, 0.6, 0.3, 0.2]"}
        cells = list(csv.DictReader(io.StringIO(command(*asked, "--format", "csv", "--detections", detections).stdout)))
        assert [cell["bbox"] for cell in cells] == [" ".join(map(str, box or [])) for box in boxes]
        table = command(*asked, "--detections", detections)
        assert len(table.stdout.splitlines()) == len(rows)
        assert "photos seen as crops of animals" in table.stderr
        assert "trained on" not in table.stderr

    def test_photos_that_the_file_lacks_are_counted(self, command, cropped, detections, photos):
        known = {image["file"] for image in json.loads(detections.read_text())["images"]}
        lacking = sum(file.relative_to(photos).as_posix() not in known for file in photos.rglob("*.jpg"))
        said = command("predict", photos, "--model", cropped[0].directory, "--detections", detections)
        assert f"{lacking} not in {detections}: seen as whole frames" in said.stderr.replace("\n", "")

    def test_a_model_of_crops_on_whole_frames_warns_once(self, command, cropped, photos, tmp_path):
        said = command("predict", photos / "test", "--model", cropped[0].directory)
        assert said.stderr.count("trained on crops of animals") == 1
        said = command("evaluate", cropped[0].directory, "--data", photos)
        assert said.stderr.count("trained on crops of animals") == 1

    def test_a_model_of_whole_frames_on_crops_or_tiles_says_that_it_is_untested(
        self, command, trained, detections, photos
    ):
        asked = ("predict", photos / "test", "--model", trained[0].directory)
        assert "trained on whole frames" in command(*asked, "--detections", detections).stderr
        assert "chosen with data.tiles = 0" in command(*asked, "--tiles", 2).stderr

    def test_a_model_of_tiles_needs_no_option(self, command, tiled, photos):
        asked = ("predict", photos / "test", "--json", "--model", tiled[0].directory)
        said = command(*asked)
        assert "tiles" not in said.stderr
        assert command(*asked, "--tiles", 2).stdout == said.stdout
        whole = json.loads(command(*asked, "--tiles", 0).stdout)
        assert all(
            one["probability"] <= other["probability"] + 1e-6
            for one, other in zip(whole, json.loads(said.stdout), strict=True)
        )

    def test_what_is_not_detected_can_be_negative(self, command, cropped, photos, tmp_path):
        nothing = write_detections(
            tmp_path / "none.json", {file.relative_to(photos).as_posix(): [] for file in photos.rglob("*.jpg")}
        )
        asked = ("predict", photos / "test", "--model", cropped[0].directory, "--detections", nothing, "--json")
        said = command(*asked, "--undetected", "negative")
        assert {row["probability"] for row in json.loads(said.stdout)} == {0.0}
        assert "without a detected animal answered with probability 0" in said.stderr.replace("\n", " ")
        assert 0 not in {row["probability"] for row in json.loads(command(*asked).stdout)}

    def test_evaluate_takes_detections_of_other_photos(self, command, cropped, detections, photos):
        run = cropped[0]
        own = json.loads(command("evaluate", run.directory, "--json").stdout)
        other = json.loads(
            command(
                "evaluate", run.directory, "--data", photos, "--split", "test", "--detections", detections, "--json"
            ).stdout
        )
        assert other["estimates"] == own["estimates"]

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            (["--tiles", 9], "--tiles 9: expected 0"),
            (["--tiles", 2, "--detections", "MD"], "--tiles cut whole frames"),
            (["--undetected", "negative"], "--undetected are about --detections"),
            (["--detection-threshold", "0.5"], "--detection-threshold and --undetected are about --detections"),
            (["--detections", "MD", "--detection-threshold", "2"], "--detection-threshold 2: expected"),
            (["--detections", "missing.json"], "missing.json can't be read"),
            (["--undetected", "skip"], "no value of --undetected 'skip'"),
        ],
    )
    def test_what_can_not_work_is_one_line(self, command, trained, detections, photos, options, problem):
        options = [detections if option == "MD" else option for option in options]
        said = command("predict", photos / "test", "--model", trained[0].directory, *options, code=1)
        assert problem in " ".join(said.stderr.split())
        assert said.stdout == ""

    def test_a_run_of_crops_is_listed_and_resumed_without_the_file(self, cropped):
        run = Run(cropped[0].directory)
        record = run.dataset_record()
        assert sum("boxes" in row for row in record["examples"]) > 30
        regions = Dataset.from_record(record, run.config().data).regions
        assert isinstance(regions, Crops)
        assert regions.padding == 0.15
