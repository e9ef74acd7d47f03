import os
from pathlib import Path

import pytest

from bearcnn.errors import BearcnnError
from bearcnn.files import copy_atomically, write_folder_atomically


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    write_folder_atomically(tmp_path / "new", {"a.txt": b"a", "more/b.txt": b"b"})
    assert (tmp_path / "new" / "more" / "b.txt").read_bytes() == b"b"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(BearcnnError, match="exists already"):
        write_folder_atomically(tmp_path / "old", {"a.txt": b"a"})
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


def test_a_folder_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BearcnnError, match="can't be written"):
        write_folder_atomically(tmp_path / "new", {"a.txt": b"a", "a.txt/b.txt": b"b"})
    with pytest.raises(BearcnnError, match="can't be written"):
        write_folder_atomically(tmp_path / "missing" / "new", {})
    assert not list(tmp_path.iterdir())


def test_a_copy_keeps_the_time_and_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    os.utime(tmp_path / "a", (10**9, 10**9))
    copy_atomically(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_mtime == 10**9
    (tmp_path / "c").write_text("mine")
    with pytest.raises(FileExistsError):
        copy_atomically(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
