from datetime import datetime
from pathlib import Path

import pytest

from bearcnn.config import load_config
from bearcnn.errors import BearcnnError, RunError
from bearcnn.files import write_atomically
from bearcnn.latest import latest_directory, link_latest
from bearcnn.runs import choose_directory, create_run, open_run

NOW = datetime(2026, 1, 31, 10, 15)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def new_run(*overrides: str, out: Path | None = None):
    config = load_config(None, overrides)
    return create_run(choose_directory(config, NOW, out=out), config)


def test_runs_of_one_second_get_folders_of_their_own():
    names = [new_run("train.name=cub").directory.name for _ in range(3)]
    assert names == ["20260131-101500-cub", "20260131-101500-cub-2", "20260131-101500-cub-3"]


def test_a_run_keeps_its_configuration_so_that_it_can_be_repeated_elsewhere():
    run = new_run("train.epochs=7", out=Path("mine"))
    assert run.config() == load_config(None, ["train.epochs=7"])
    assert run.directory == Path("mine")


def test_the_newest_finished_run_is_found_wherever_it_lies(tmp_path):
    with pytest.raises(RunError, match="no finished run here"):
        latest_directory()
    for out in ("runs/first", "elsewhere/second", str(tmp_path / "third")):
        run = new_run(out=Path(out))
        link_latest(run.directory)
        assert open_run(None).directory.resolve() == run.directory.resolve()


def test_where_links_can_not_be_made_a_file_names_the_newest_run(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = new_run(out=Path("mine"))
    link_latest(run.directory)
    assert Path("runs/latest").is_file()
    assert open_run(None).directory == run.directory


def test_a_folder_in_the_place_of_the_link_is_left_alone():
    Path("runs/latest").mkdir(parents=True)
    with pytest.raises(RunError, match="move it away"):
        link_latest(new_run().directory)


@pytest.mark.parametrize(("make", "reason"), [(False, "does not exist"), (True, "not a run folder")])
def test_what_is_no_run_is_refused(make, reason):
    if make:
        Path("folder").mkdir()
    with pytest.raises(RunError, match=reason):
        open_run(Path("folder"))


def test_an_unfinished_run_says_how_to_finish_it():
    with pytest.raises(RunError, match="bearcnn train --resume mine"):
        new_run(out=Path("mine")).metrics()


def test_a_damaged_file_of_a_run_is_named():
    run = new_run(out=Path("mine"))
    run.dataset_file.write_text("{")
    with pytest.raises(RunError, match=r"dataset\.json is damaged"):
        run.dataset_record()


class TestWriteAtomically:
    """A file is whole or not there."""

    def test_a_file_is_replaced_only_if_that_is_asked_for(self):
        file = Path("file")
        write_atomically(file, b"one")
        with pytest.raises(BearcnnError, match="exists already"):
            write_atomically(file, b"two")
        assert file.read_bytes() == b"one"
        write_atomically(file, b"three", overwrite=True)
        assert file.read_bytes() == b"three"
        assert [path.name for path in Path().iterdir()] == ["file"]

    @pytest.mark.parametrize("place", ["missing/file", "file/inside"])
    def test_a_place_that_can_not_be_written_is_named_in_one_line(self, place):
        Path("file").write_text("a file, not a folder")
        with pytest.raises(BearcnnError, match=r"can't be written") as caught:
            write_atomically(Path(place), b"content")
        assert "\n" not in str(caught.value)
