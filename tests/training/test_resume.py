"""Runs that were ended, and what is made of them: the weights of an uninterrupted run, or a refusal in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bearcnn import pipeline
from bearcnn.data.dataset import Dataset
from bearcnn.errors import NoEpochError, ResumeError, RunError
from bearcnn.latest import latest_directory
from bearcnn.report.page import write_report
from bearcnn.runs import Run
from bearcnn.runs.lock import lock_folder
from bearcnn.training.checkpoint import last_file, read_checkpoint
from bearcnn.training.fit import fit
from tests.helpers.training import (
    Recorder,
    StopAfter,
    assert_same_training,
    assert_same_weights,
    fit_small,
    small_config,
    train_small,
)

pytestmark = pytest.mark.slow  # trains


class KilledError(Exception):
    """Stands for a kill: nothing is tidied up after it."""


class Kill(StopAfter):
    def batch_done(self, done, total):
        try:
            super().batch_done(done, total)
        except KeyboardInterrupt:
            raise KilledError("now") from None  # fastai wants a word


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def opened(photos) -> Dataset:
    return Dataset.from_config(small_config(photos).data)


@pytest.fixture(scope="module")
def killed(photos, opened, tmp_path_factory) -> Run:
    """A run that was killed in its second epoch; take a copy."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    with pytest.raises(KilledError):
        pipeline.train(small_config(photos), opened, folder, reporter=Kill(1))
    return Run(folder)


@pytest.fixture
def half(killed, tmp_path) -> Run:
    return Run(Path(shutil.copytree(killed.directory, tmp_path / "half")))


@pytest.mark.parametrize("has_record", [True, False])
def test_a_run_that_was_killed_in_its_first_epoch_is_started_from_its_configuration(
    photos, opened, trained, tmp_path, has_record
):
    with pytest.raises(KilledError):
        pipeline.train(small_config(photos), opened, tmp_path / "run", reporter=Kill(0))
    run = Run(tmp_path / "run")
    if not has_record:
        run.dataset_file.unlink()
    pipeline.resume(run, opened)
    assert_same_weights(trained[0], run)
    assert run.dataset_record() == trained[0].dataset_record()


def test_ctrl_c_in_the_first_epoch_says_how_to_start_it(photos, opened, trained, tmp_path):
    with pytest.raises(NoEpochError, match=r"bearcnn train --resume .*run"):
        pipeline.train(small_config(photos), opened, tmp_path / "run", reporter=StopAfter(0))
    assert_same_weights(trained[0], pipeline.resume(Run(tmp_path / "run"), opened))


def test_ctrl_c_right_after_an_epochs_row_keeps_that_epoch(photos, opened, trained, tmp_path):
    class AfterTheRow(Recorder):
        def epoch_done(self, record):
            raise KeyboardInterrupt

    run = pipeline.train(small_config(photos), opened, tmp_path / "run", reporter=AfterTheRow())
    assert (run.metrics()["epochs"], run.metrics()["complete"], len(run.history())) == (1, False, 1)
    assert_same_weights(trained[0], pipeline.resume(run, opened))


def test_a_kill_leaves_nothing_behind_and_the_history_is_that_of_the_checkpoint(half, opened, trained):
    leftovers = [half.directory / ".0123456789abcdef.tmp", half.checkpoints / ".fedcba9876543210.tmp"]
    for path in leftovers:
        path.write_text("half")
    half.history_file.write_text('{"epoch": 1, "si')  # as if the kill had come before it was written
    watcher = Recorder()
    pipeline.resume(half, opened, reporter=watcher)
    assert [record.epoch for record in watcher.records] == [2]
    assert [record.epoch for record in half.history()] == [1, 2]
    assert_same_weights(trained[0], half)
    found = {path.relative_to(half.directory) for path in half.directory.rglob("*")}
    assert found == {path.relative_to(trained[0].directory) for path in trained[0].directory.rglob("*")}


def test_a_run_that_is_training_is_not_resumed(half, opened):
    before = last_file(half).read_bytes()
    with lock_folder(half.directory, ""), pytest.raises(RunError, match="another process is training the run in"):
        pipeline.resume(half, opened)
    assert last_file(half).read_bytes() == before


def test_a_run_whose_configuration_was_edited_is_not_resumed(half, opened, trained):
    text = half.config_file.read_text()
    half.config_file.write_text(text.replace("seed = 0", "seed = 1").replace("lr = 0.003", "lr = 0.01"))
    with pytest.raises(
        ResumeError, match=r"train\.lr \(was 0.003, is 0.01\), train\.seed \(was 0, is 1\); put it back"
    ):
        pipeline.resume(half, opened)
    half.config_file.write_text(text.replace("[train]", "[train]\n# a remark"))
    fit(half, opened, resume=True)
    assert_same_training(trained[0], half)


def test_a_run_that_has_lost_its_checkpoints_is_not_started_over(half, opened):
    shutil.rmtree(half.checkpoints)
    with pytest.raises(ResumeError, match=r"has no checkpoint any more.* bearcnn train --config .*config\.toml"):
        pipeline.resume(half, opened)
    assert len(half.history()) == 1


def test_a_run_goes_on_with_as_many_threads_as_it_had(photos, tmp_path):
    config = small_config(
        photos, "data.image_size=64", "model.widths=[32, 64]", "train.batch_size=16", "train.replicas=1"
    )
    dataset = Dataset.from_config(config.data)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        whole = fit_small(config, dataset, tmp_path / "whole")
        broken = fit_small(config, dataset, tmp_path / "broken", StopAfter(1))
        torch.set_num_threads(1)
        other = fit_small(config, dataset, tmp_path / "other")
        with pytest.raises(AssertionError):  # else this test would show nothing
            assert_same_training(whole, other)
        fit(broken, dataset, resume=True)
        assert_same_training(whole, broken)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_run_that_another_torch_computed_is_warned_of(half, opened):
    class Listener(Recorder):
        said = ()

        def warn(self, what):
            self.said += (what,)

    with safe_open(last_file(half), framework="pt") as file:
        state = json.loads(file.metadata()["progress"])
    state["computed_with"] = "torch 1.0 (plan9, AVX512)"
    save_file(read_checkpoint(half).tensors, last_file(half), {"progress": json.dumps(state)})
    listener = Listener()
    fit(half, opened, resume=True, reporter=listener)
    assert "computed with torch 1.0 (plan9, AVX512), and now with torch " in listener.said[0]


def test_a_finished_run_with_damaged_metrics_is_scored_again(trained, opened, tmp_path):
    run = Run(Path(shutil.copytree(trained[0].directory, tmp_path / "run")))
    before = run.metrics()
    run.metrics_file.write_text("{}")
    watcher = Recorder()
    pipeline.resume(run, opened, reporter=watcher)
    assert run.metrics() == before and not watcher.records
    with pytest.raises(ResumeError, match="is finished"):
        pipeline.resume(run, opened)


def test_a_finished_run_whose_page_cant_be_written_is_the_latest_and_report_writes_it(photos, opened, tmp_path):
    out = tmp_path / "run"

    class InTheWay(Recorder):
        def stage(self, what):
            if what == "writing the report":
                (out / "report.html").mkdir()

    with pytest.raises(RunError, match=r"the run is finished, but not its page: .*; then: bearcnn report .*run"):
        pipeline.train(small_config(photos), opened, out, reporter=InTheWay())
    assert latest_directory().resolve() == out
    assert Run(out).metrics()["complete"]
    (out / "report.html").rmdir()
    assert write_report(Run(out)).stat().st_size > 10_000


def test_a_folder_in_the_place_of_the_link_costs_no_run(photos, opened, tmp_path):
    class Listener(Recorder):
        said = ""

        def warn(self, what):
            self.said = what

    (tmp_path / "runs" / "latest").mkdir(parents=True)
    listener = Listener()
    run, _, _ = train_small(small_config(photos), tmp_path / "run", listener)
    assert "move it away" in listener.said
    assert run.metrics()["complete"] and run.report_file.is_file()
