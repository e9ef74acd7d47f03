import shutil
from pathlib import Path

import numpy as np
import pytest

from bearcnn.data.dataset import Dataset
from bearcnn.data.synthetic.boxes import read_boxes
from bearcnn.data.synthetic.scenes import write_scenes
from bearcnn.errors import RunError
from bearcnn.evaluation.predictions import in_split, read_predictions
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.score import is_grey, keep_predictions, point_at_bears, predict_split
from bearcnn.runs import Run, create_run


def test_a_run_without_predictions_gets_them(trained, tmp_path: Path) -> None:
    run = Run(shutil.copytree(trained[0].directory, tmp_path / "run"))
    kept = run.predictions_file.read_bytes()
    run.predictions_file.unlink()
    with pytest.raises(RunError, match="bearcnn evaluate"):
        read_predictions(run)
    predictor = Predictor(run.onnx_file)
    found = keep_predictions(run, predictor, trained[1], predict_split(predictor, trained[1], "test"))
    assert found == read_predictions(run)
    assert run.predictions_file.read_bytes() == kept


def test_a_known_split_is_not_predicted_again(trained, tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", trained[0].config())
    known = in_split(read_predictions(trained[0]), "test")[:2]
    found = keep_predictions(run, Predictor(trained[0].onnx_file), trained[1], known)
    assert in_split(found, "test") == known
    assert in_split(found, "valid") == in_split(read_predictions(trained[0]), "valid")


def test_drawn_scenes_come_with_boxes_and_are_measured(tmp_path, trained):
    write_scenes(tmp_path / "scenes", count=40, size=48)
    boxes = read_boxes(tmp_path / "scenes")
    assert len(boxes) == 20
    assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in boxes.values())
    dataset = Dataset.from_folder(tmp_path / "scenes", image_size=32, resize="squish")
    seen = []
    games = point_at_bears(Predictor(trained[0].onnx_file), dataset, "test", lambda *done: seen.append(done))
    assert games is not None
    assert games["all"].photos == 4
    assert 0 <= games["found"].photos <= 4
    assert seen == [(4, 4)]


def test_without_boxes_there_is_no_game(trained):
    run, dataset, _ = trained
    assert read_boxes(dataset.root) == {}
    assert point_at_bears(Predictor(run.onnx_file), dataset, "test") is None


def test_infrared_is_grey_and_a_coloured_date_line_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    grey = np.repeat(generator.integers(0, 250, (32, 32, 1)), 3, axis=2).astype(np.uint8)
    grey += generator.integers(0, 4, grey.shape).astype(np.uint8)  # JPEG's noise
    assert is_grey(grey)
    grey[:3] = (200, 120, 0)
    assert is_grey(grey)
    assert not is_grey(generator.integers(0, 250, (32, 32, 3)).astype(np.uint8))
