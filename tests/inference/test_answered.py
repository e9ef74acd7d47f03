import json
import os
import time
from pathlib import Path

import pytest

from bearcnn.errors import BearcnnError
from bearcnn.inference.answered import read_answered
from bearcnn.inference.labels import Labelling
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers import PREDICTION_FORMATS
from bearcnn.inference.writers.base import PredictionContext
from bearcnn.registry import load
from tests.helpers.onnx_models import make_manifest, write_model


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    photos = [tmp_path / "card" / name for name in ("a.jpg", "b, c.jpg", "line\nbreak.jpg", "d.jpg")]
    photos.append(Path(os.fsdecode(os.fsencode(tmp_path) + b"/card/b\xe4r.jpg")))
    for photo in photos:
        photo.parent.mkdir(exist_ok=True)
        photo.write_bytes(b"x")
        os.utime(photo, (1, 1))
    return photos


def write_result(place: Path, name: str, paths: list[Path]) -> Path:
    model = write_model(place.with_name("model.onnx"))
    context = PredictionContext(model, make_manifest(), Labelling(("dark", "bright"), 0.5, 0.5))
    rows = [Prediction(str(path), 0.25, "dark", None) for path in paths]
    content = "".join(load(PREDICTION_FORMATS[name].writer)(rows, context))
    place.write_bytes(content.encode("utf-8", "backslashreplace"))
    return place


@pytest.mark.parametrize("name", ["csv", "json", "jsonl", "megadetector"])
def test_only_photos_that_a_result_does_not_answer_are_new(tmp_path, photos, name):
    answered = read_answered(write_result(tmp_path / "result", name, photos[:3] + photos[4:]), tmp_path / "card")
    assert list(answered.leave_out(photos)) == [photos[3]]
    assert answered.skipped == 4


def test_relative_and_absolute_paths_are_the_same_photo(tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = write_result(tmp_path / "result", "csv", [Path("card/a.jpg"), Path("./card/../card/d.jpg")])
    assert list(read_answered(result).leave_out([photos[0], photos[3], Path("card/b, c.jpg")])) == [
        Path("card/b, c.jpg")
    ]


def test_a_photo_that_changed_after_the_result_is_new_again(tmp_path, photos):
    answered = read_answered(write_result(tmp_path / "result", "jsonl", photos))
    later = time.time() + 10
    os.utime(photos[1], (later, later))
    assert list(answered.leave_out(photos)) == [photos[1]]
    assert (answered.skipped, answered.changed) == (4, 1)


def test_a_megadetector_file_is_read_from_the_folder_in_which_its_photos_are(tmp_path, photos):
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "elsewhere" / "result.json"
    place.write_text(json.dumps({"info": {}, "images": [{"file": "card/gone.jpg"}, {"file": "card/a.jpg"}]}))
    assert list(read_answered(place, tmp_path / "card").leave_out(photos[:2])) == [photos[1]]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "[1, 2]", '{"a": 1}', '{"path": 1', '[{"file": "a.jpg"}]', "x"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "result").write_text(content)
    if content == "x":
        assert not read_answered(tmp_path / "result").places
        return
    with pytest.raises(BearcnnError, match="is no result of bearcnn predict"):
        read_answered(tmp_path / "result")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(BearcnnError, match=r"result can't be read: No such file"):
        read_answered(tmp_path / "result")


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_rows_are_added_behind_those_that_are_there(tmp_path, photos, name):
    result = write_result(tmp_path / "result", name, photos[:2])
    answered = read_answered(result)
    before = result.read_bytes()
    answered.check_columns(("path", "label", "probability", "error"))
    answered.extend(b"new\n")
    assert result.read_bytes() == before + b"new\n"


def test_a_result_that_somebody_changed_is_not_written_over(tmp_path, photos):
    result = write_result(tmp_path / "result", "csv", photos[:2])
    answered = read_answered(result)
    result.write_bytes(result.read_bytes() + b"mine\n")
    with pytest.raises(BearcnnError, match="was changed in the meantime"):
        answered.extend(b"new\n")
    assert result.read_bytes().endswith(b"mine\n")


def test_rows_with_other_columns_are_not_added(tmp_path, photos):
    for name in ("csv", "jsonl"):
        answered = read_answered(write_result(tmp_path / name, name, photos[:2]))
        with pytest.raises(BearcnnError, match="has the columns path, label, probability, error, not path, burst"):
            answered.check_columns(("path", "burst"))
