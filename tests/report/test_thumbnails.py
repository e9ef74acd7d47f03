import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bearcnn.data.photos import load_pixels
from bearcnn.data.reading import hash_photo
from bearcnn.evaluation.predictions import read_predictions
from bearcnn.inference.overlay import draw_overlay
from bearcnn.inference.predictor import Predictor, predict_rows
from bearcnn.inference.windows import find_windows
from bearcnn.report.thumbnails import SIDE, make_pictures, make_thumbnails


def test_thumbnails_survive_a_lost_photo_and_a_lost_model(trained, tmp_path: Path) -> None:
    run, dataset, _ = trained
    score = read_predictions(run)[0]
    there = make_thumbnails([score], dataset.root, run.onnx_file)[0]
    assert there.photo.uri.startswith("data:image/jpeg;base64,") and there.windows.startswith("data:image/png;base64,")
    assert make_thumbnails([score], tmp_path, run.onnx_file)[0].photo.uri == ""
    assert make_thumbnails([score], dataset.root, tmp_path / "gone.onnx")[0].photo.uri == ""


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_the_overlay_lies_where_the_windows_are_and_has_the_shape_of_the_photo(trained, tmp_path: Path) -> None:
    run, dataset, _ = trained
    score = read_predictions(run)[0]
    wide = Image.open(dataset.root / score.path).convert("RGB").resize((96, 48))
    (tmp_path / score.path).parent.mkdir(parents=True)
    wide.save(tmp_path / score.path)
    score = replace(score, digest=hash_photo((tmp_path / score.path).read_bytes()))
    (drawn,) = make_thumbnails([score], tmp_path, run.onnx_file)
    assert decode(drawn.photo.uri).size == (drawn.photo.width, drawn.photo.height) == (SIDE, SIDE // 2)
    predictor = Predictor(run.onnx_file)
    manifest = predictor.manifest
    pixels = load_pixels(tmp_path / score.path, manifest.image_size, manifest.resize)
    ((_,), (scores,)) = predict_rows(predictor, pixels[None], np.arange(1))
    assert drawn.best_window == pytest.approx(float(scores.max()), abs=1e-6)
    expected = draw_overlay((SIDE, SIDE // 2), scores, find_windows(manifest, len(scores)))
    assert np.array_equal(np.asarray(decode(drawn.windows)), np.asarray(expected))


def test_a_lost_photo_changes_no_other_thumbnail(trained) -> None:
    run, dataset, _ = trained
    first, lost, last = read_predictions(run)[:3]
    lost = type(lost)(**{name: getattr(lost, name) for name in lost.__slots__ if name != "path"}, path="lost.jpg")
    alone = [make_thumbnails([each], dataset.root, run.onnx_file)[0] for each in (first, lost, last)]
    assert make_thumbnails([first, lost, last], dataset.root, run.onnx_file) == alone


def test_a_part_of_a_photo_keeps_its_shape(trained, tmp_path: Path) -> None:
    run = trained[0]
    score = read_predictions(run)[0]
    photo = Image.new("RGB", (400, 300), "blue")
    photo.paste("red", (100, 150, 300, 250))
    (tmp_path / score.path).parent.mkdir(parents=True)
    photo.save(tmp_path / score.path, quality=95)
    score = replace(score, digest=hash_photo((tmp_path / score.path).read_bytes()))
    whole, part = (
        make_thumbnails([replace(score, area=area)], tmp_path, run.onnx_file)[0]
        for area in ((0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.75, 5 / 6))
    )
    assert (whole.photo.width, whole.photo.height) == (SIDE, SIDE * 3 // 4)
    assert (part.photo.width, part.photo.height) == (SIDE, SIDE // 2) == decode(part.windows).size
    assert np.asarray(decode(part.photo.uri)).reshape(-1, 3).mean(0) == pytest.approx([255, 0, 0], abs=12)


def test_pictures_of_whole_photos_are_of_the_photos_that_were_answered(trained, tmp_path: Path) -> None:
    run, dataset, _ = trained
    first, second = read_predictions(run)[:2]
    there, other = make_pictures([first, replace(second, digest="another")], dataset.root)
    assert decode(there.uri).size == (there.width, there.height) == (48, 48)
    assert other.uri == ""
