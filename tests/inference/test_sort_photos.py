import os
from pathlib import Path

import pytest

from bearcnn.errors import BearcnnError
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.sort_photos import open_sorted

SETTINGS = {"model": "abc", "thresholds": [0.5, 0.5]}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    for name in ("cam1/a.jpg", "cam2/a.jpg", "cam2/bad.jpg"):
        (tmp_path / "card" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "card" / name).write_text(name)
    return tmp_path / "card"


def answer(card: Path) -> list[Prediction]:
    return [
        Prediction(str(card / "cam1" / "a.jpg"), 0.9, "bear", None),
        Prediction(str(card / "cam2" / "a.jpg"), 0.1, "not_bear", None),
        Prediction(str(card / "cam2" / "bad.jpg"), None, None, "file is damaged"),
        Prediction(str(card / "cam3"), None, None, "file not found"),
    ]


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "sorted.json")
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


PLACED = {
    "bear/cam1/a.jpg": "cam1/a.jpg",
    "not_bear/cam2/a.jpg": "cam2/a.jpg",
    "unreadable/cam2/bad.jpg": "cam2/bad.jpg",
}


@pytest.mark.parametrize("link", [None, "symbolic", "hard"])
def test_photos_are_placed_by_their_answer_below_their_folders_and_twice_changes_nothing(tmp_path, card, link):
    originals = content(card)
    for expected in ((3, 0), (0, 3)):
        sorted_photos = open_sorted(tmp_path / "sorted", card, link, SETTINGS)
        assert list(sorted_photos.place(answer(card))) == answer(card)
        assert (sorted_photos.placed, sorted_photos.found) == expected
        found = content(tmp_path / "sorted")
        reasons = found.pop("unreadable.csv").splitlines()
        assert found == PLACED
        assert reasons == [
            "path,error",
            f"{card / 'cam2' / 'bad.jpg'},file is damaged",
            f"{card / 'cam3'},file not found",
        ]
    assert content(card) == originals
    photo = tmp_path / "sorted" / "bear" / "cam1" / "a.jpg"
    assert photo.is_symlink() == (link == "symbolic")
    assert photo.samefile(card / "cam1" / "a.jpg") == (link is not None)


def test_a_stop_in_between_is_made_up_for(tmp_path, card):
    stopped = open_sorted(tmp_path / "sorted", card, None, SETTINGS).place(answer(card))
    next(stopped)
    stopped.close()
    again = open_sorted(tmp_path / "sorted", card, None, SETTINGS)
    list(again.place(answer(card)))
    assert (again.placed, again.found) == (2, 1)


def test_another_photo_of_the_same_name_gets_a_number(tmp_path, card):
    taken = tmp_path / "sorted" / "bear" / "cam1" / "a.jpg"
    list(open_sorted(tmp_path / "sorted", card, None, SETTINGS).place(answer(card)))
    taken.write_text("somebody's own")
    for _ in range(2):
        list(open_sorted(tmp_path / "sorted", card, None, SETTINGS).place(answer(card)))
    assert taken.read_text() == "somebody's own"
    assert (taken.parent / "a-2.jpg").read_text() == "cam1/a.jpg"
    assert not (taken.parent / "a-3.jpg").exists()


def test_a_copy_has_the_time_of_its_original(tmp_path, card):
    os.utime(card / "cam1" / "a.jpg", (10**9, 10**9))
    list(open_sorted(tmp_path / "sorted", card, None, SETTINGS).place(answer(card)))
    assert (tmp_path / "sorted" / "bear" / "cam1" / "a.jpg").stat().st_mtime == 10**9


def test_a_folder_with_something_else_or_sorted_otherwise_is_refused(tmp_path, card):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(BearcnnError, match="is not empty"):
        open_sorted(tmp_path / "full", card, None, SETTINGS)
    open_sorted(tmp_path / "sorted", card, None, SETTINGS)
    with pytest.raises(BearcnnError, match=r"was sorted otherwise \(model, thresholds\)"):
        open_sorted(tmp_path / "sorted", card, None, {"model": "other", "thresholds": [0.1, 0.9]})
    (tmp_path / "sorted" / "sorted.json").write_text("[")
    with pytest.raises(BearcnnError, match="is damaged"):
        open_sorted(tmp_path / "sorted", card, None, SETTINGS)


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path, card):
    (tmp_path / "file").touch()
    with pytest.raises(BearcnnError, match="can't be made"):
        open_sorted(tmp_path / "file" / "sorted", card, None, SETTINGS)
