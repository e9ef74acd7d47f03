import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from bearcnn.evaluation.predictions import read_predictions
from bearcnn.report.thumbnails import draw_windows, make_thumbnails


def test_thumbnails_survive_a_lost_photo_and_a_lost_model(trained, tmp_path: Path) -> None:
    run, dataset, _ = trained
    score = read_predictions(run)[0]
    there = make_thumbnails([score], dataset.root, run.onnx_file)[0]
    assert there.photo.startswith("data:image/jpeg;base64,") and there.windows.startswith("data:image/png;base64,")
    assert make_thumbnails([score], tmp_path, run.onnx_file)[0].photo == ""
    assert make_thumbnails([score], dataset.root, tmp_path / "gone.onnx")[0].photo == ""


def test_window_scores_are_as_opaque_as_they_are_high() -> None:
    uri = draw_windows(np.array([[0.0, 0.5, 1.0]], np.float32))
    alpha = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))[0, :, 3]
    assert alpha[0] == 0 and alpha[0] < alpha[1] < alpha[2]


def test_a_lost_photo_changes_no_other_thumbnail(trained) -> None:
    run, dataset, _ = trained
    first, lost, last = read_predictions(run)[:3]
    lost = type(lost)(**{name: getattr(lost, name) for name in lost.__slots__ if name != "path"}, path="lost.jpg")
    alone = [make_thumbnails([each], dataset.root, run.onnx_file)[0] for each in (first, lost, last)]
    assert make_thumbnails([first, lost, last], dataset.root, run.onnx_file) == alone
