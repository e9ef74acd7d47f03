import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bearcnn.config import load_config
from bearcnn.errors import BearcnnError, RunError
from bearcnn.files import write_atomically
from bearcnn.latest import latest_directory, link_latest
from bearcnn.runs import EpochRecord, choose_directory, create_run, make_free_folder, open_run

EPOCH = EpochRecord(1, 32, 0.7, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5, 0.01, 1.0, 10.0, True)

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


def test_folders_that_are_asked_for_at_once_are_different_ones():
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: make_free_folder(Path("runs/name")), range(16)))
    assert len(set(found)) == 16 and all(folder.is_dir() for folder in found)


def test_a_folder_with_a_run_says_how_to_go_on_with_it():
    new_run(out=Path("mine"))
    with pytest.raises(RunError, match=r"not empty.*bearcnn train --resume mine"):
        new_run(out=Path("mine"))


def test_a_folder_with_what_a_kill_left_is_as_good_as_empty():
    Path("mine").mkdir()
    Path("mine/.0123456789abcdef.tmp").touch()
    assert new_run(out=Path("mine")).config_file.is_file()


def test_links_that_a_kill_left_go_when_they_are_old():
    Path("runs").mkdir()
    for name in (".latest-1", ".latest-0123456789abcdef.tmp"):
        Path("runs", name).symlink_to("nowhere")
        os.utime(Path("runs", name), (0, 0), follow_symlinks=False)
    Path("runs/.latest-2").symlink_to("nowhere")
    link_latest(new_run(out=Path("mine")).directory)
    assert {path.name for path in Path("runs").iterdir()} == {"latest", ".latest-2"}


def test_a_name_that_can_not_be_one_is_refused_in_one_line():
    with pytest.raises(RunError, match=r"can't open x.*: File name too long"):
        open_run("x" * 300)


METRICS = {"complete": True, "epochs": 1, "best_epoch": 1, "seconds": 1.0, "evaluations": {}}


def test_predictions_and_history_are_those_that_the_scores_are_of():
    run = new_run(out=Path("mine"))
    row = {
        "path": "a.jpg",
        "split": "test",
        "label": 1,
        "subclass": "",
        "digest": "",
        "probability": 0.25,
        "grey": False,
    }
    run.write_predictions([row, row])
    run.write_history([])
    run.write_metrics(METRICS)
    assert run.metrics() == METRICS
    assert run.prediction_rows() == [row, row]
    whole = run.predictions_file.read_text()
    for damaged in (whole.replace("0.25", "0.75", 1), whole.splitlines(keepends=True)[0]):
        run.predictions_file.write_text(damaged)
        with pytest.raises(
            RunError, match=r"predictions\.jsonl is damaged .*delete it and write it with: bearcnn eval"
        ):
            run.prediction_rows()
    run.write_predictions([row])  # as evaluate does
    assert run.prediction_rows() == [row]
    run.update_metrics({**METRICS, "epochs": 2})
    assert (run.metrics()["epochs"], run.prediction_rows()) == (2, [row])
    run.history_file.write_text("\n")
    with pytest.raises(RunError, match=r"history\.jsonl is damaged"):
        run.history()


def test_a_run_with_damaged_metrics_can_be_resumed_which_writes_them_again():
    run = new_run(out=Path("mine"))
    run.write_metrics(METRICS)
    with pytest.raises(RunError, match="is finished"):
        run.check_unfinished()
    run.metrics_file.write_text(run.metrics_file.read_text().replace('"epochs": 1', '"epochs": 7'))
    with pytest.raises(RunError, match=r"metrics\.json is damaged .*write it again.* bearcnn train --resume mine"):
        run.metrics()
    run.check_unfinished()


def test_epochs_that_do_not_follow_each_other_are_no_history():
    run = new_run(out=Path("mine"))
    run.write_history([replace(EPOCH, epoch=2)])
    with pytest.raises(RunError, match="epochs don't follow each other"):
        run.history()


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
