import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bearcnn.errors import BearcnnError
from bearcnn.inference.journal import Journal, journal_of, open_journal
from bearcnn.inference.prediction import Prediction


class StopError(Exception):
    """Stands for Ctrl-C."""


def answers(asked: list[str], stop_after: int | None = None):
    """Predict like `predict_photos`: each answer follows from the file's content."""

    def predict(paths: Iterable[Path]) -> Iterator[Prediction]:
        for number, path in enumerate(paths):
            if number == stop_after:
                raise StopError
            asked.append(path.name)
            if path.exists():
                yield Prediction(str(path), path.stat().st_size / 1000, "bear", None)
            else:
                yield Prediction(str(path), None, None, "file not found")

    return predict


def make_photos(folder: Path, count: int = 9) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    photos = [folder / f"{i}.jpg" for i in range(count)]
    for i, photo in enumerate(photos[1:], 1):  # the first is missing
        photo.write_bytes(b"x" * i)
    return photos


def predict_all(
    place: Path, photos: list[Path], asked: list[str], *, resume: bool = False, stop_after: int | None = None
) -> list[Prediction]:
    with open_journal(place, "model", {}, resume=resume) as journal:
        return list(journal.complete(photos, answers(asked, stop_after)))


@given(stops=st.lists(st.integers(0, 9), max_size=4), cut=st.integers(0, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_stops_at_any_photo_and_a_torn_line_change_no_answer_and_repeat_one_photo_at_most(tmp_path, stops, cut):
    photos = make_photos(tmp_path / "photos")
    place = tmp_path / "out.csv.partial.jsonl"
    place.unlink(missing_ok=True)
    asked: list[str] = []
    for stop in stops:
        with contextlib.suppress(StopError):
            predict_all(place, photos, asked, resume=True, stop_after=stop)
    whole = place.read_bytes() if place.exists() else b""
    last = whole[:-1].rfind(b"\n") + 1
    torn = whole.count(b"\n") > 1 and last < max(last, len(whole) - cut) < len(whole)
    if torn:
        place.write_bytes(whole[: max(last, len(whole) - cut)])
    found = predict_all(place, photos, asked, resume=True)
    assert found == list(answers([])(photos))
    assert len(asked) == len(photos) + torn


def test_a_photo_that_changed_since_is_answered_again(tmp_path):
    photos = make_photos(tmp_path / "photos")
    place, asked = tmp_path / "journal", []
    predict_all(place, photos, asked)
    asked.clear()
    photos[3].write_bytes(b"another size")
    os.utime(photos[5], ns=(0, 10**18))  # the same size
    photos[0].write_bytes(b"no longer missing")
    found = predict_all(place, photos, asked, resume=True)
    assert asked == ["0.jpg", "3.jpg", "5.jpg"]
    assert found == list(answers([])(photos))


def test_photos_that_came_since_are_answered_in_their_place(tmp_path):
    photos = make_photos(tmp_path / "photos")
    place, asked = tmp_path / "journal", []
    predict_all(place, photos[::2], asked)
    found = predict_all(place, photos, asked, resume=True)
    assert [Path(row.path) for row in found] == photos
    assert asked == [photo.name for photo in (*photos[::2], *photos[1::2])]


def test_an_answer_is_on_the_disk_before_it_is_given_out(tmp_path):
    photos, place = make_photos(tmp_path / "photos"), tmp_path / "journal"
    with open_journal(place, "model", {}, resume=False) as journal:
        for number, row in enumerate(journal.complete(photos, answers([])), 1):
            lines = place.read_bytes().splitlines()
            assert len(lines) == number + 1
            assert json.loads(lines[-1])["path"] == row.path


def test_answers_are_not_begun_anew_over_those_that_are_kept(tmp_path):
    photos, place = make_photos(tmp_path / "photos"), tmp_path / "journal"
    predict_all(place, photos, [])
    before = place.read_bytes()
    with pytest.raises(BearcnnError, match=r"has 9 answers of an interrupted prediction: go on with `resume`"):
        predict_all(place, photos, [])
    assert place.read_bytes() == before


def test_a_journal_of_another_model_or_other_options_is_refused(tmp_path):
    place = tmp_path / "journal"
    predict_all(place, make_photos(tmp_path / "photos"), [])
    before = place.read_bytes()
    for model, options, reason in (("other", {}, "another model file"), ("model", {"tiles": 4}, "other options")):
        with pytest.raises(BearcnnError, match=reason), open_journal(place, model, options, resume=True):
            pass
    assert place.read_bytes() == before


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path):
    place = tmp_path / "journal"
    place.write_text("my\nnotes\n")
    with pytest.raises(BearcnnError, match="is no journal"), open_journal(place, "model", {}, resume=True):
        pass
    assert place.read_text() == "my\nnotes\n"


@pytest.mark.parametrize("line", ['{"path": "a.jpg"}', '{"path": "a.jpg", "state": null, "colour": "red"}'])
def test_a_journal_of_another_version_is_refused(tmp_path, line):
    place = tmp_path / "journal"
    predict_all(place, make_photos(tmp_path / "photos"), [])
    place.write_text(place.read_text() + line + "\n")
    with pytest.raises(BearcnnError, match="of another version"), open_journal(place, "model", {}, resume=True):
        pass


def test_two_predictions_never_write_one_journal(tmp_path):
    place = journal_of(tmp_path / "bears.csv")
    with (
        FileLock(tmp_path / ".bears.csv.partial.jsonl.lock"),
        pytest.raises(BearcnnError, match="another process is writing"),
        open_journal(place, "model", {}, resume=False),
    ):
        pass


def test_a_written_result_leaves_no_journal_and_no_lock(tmp_path):
    with open_journal(tmp_path / "journal", "model", {}, resume=False) as journal:
        assert isinstance(journal, Journal)
        list(journal.complete(make_photos(tmp_path / "photos"), answers([])))
        journal.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_names_that_are_no_text_are_found_again(tmp_path):
    photo = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe4r\n.jpg"))
    photo.write_bytes(b"x")
    asked: list[str] = []
    predict_all(tmp_path / "journal", [photo], asked)
    assert predict_all(tmp_path / "journal", [photo], asked, resume=True)[0].path == str(photo)
    assert len(asked) == 1
