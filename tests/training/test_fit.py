import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bearcnn import pipeline
from bearcnn.data.dataset import Dataset
from bearcnn.errors import ResumeError, RunError
from bearcnn.manifest import read_manifest
from bearcnn.runs import Run, choose_directory, create_run, open_run
from bearcnn.training import learner as learner_module
from bearcnn.training.checkpoint import read_checkpoint
from bearcnn.training.fit import fit
from bearcnn.training.learner import find_lr
from tests.helpers.training import Recorder, StopAfter, assert_same_training, fit_small, small_config, train_small

pytestmark = pytest.mark.slow  # trains, or starts processes


@pytest.fixture(scope="module")
def opened(photos) -> Dataset:
    return Dataset.from_config(small_config(photos).data)


def weights(run: Run):
    return load_file(run.weights_file)


def last_weights(run: Run) -> torch.Tensor:
    return read_checkpoint(run).tensors["model.head.weight"]


def test_a_run_leaves_everything_that_it_promises(trained):
    run, dataset, watcher = trained
    names = {path.name for path in run.directory.iterdir()}
    assert names == {
        "config.toml",
        "dataset.json",
        "history.jsonl",
        "metrics.json",
        "predictions.jsonl",
        "report.html",
        "model.onnx",
        "model.safetensors",
        "checkpoints",
    }
    assert [record.epoch for record in watcher.records] == [1, 2]
    assert run.history() == watcher.records
    assert watcher.batches[-1] == (len(dataset.select("train")) // 8,) * 2
    assert len(watcher.losses) == len(watcher.batches)
    last = watcher.losses[len(watcher.losses) // 2 - 1 :: len(watcher.losses) // 2]
    assert last == pytest.approx([record.train_loss for record in watcher.records])
    metrics = run.metrics()
    assert metrics["complete"]
    assert set(metrics["evaluations"]) == {"valid", "test"}
    best = max(watcher.records, key=lambda record: record.average_precision)
    assert metrics["best_epoch"] == best.epoch


def test_the_newest_finished_run_is_the_latest(trained, monkeypatch):
    monkeypatch.chdir(trained[0].directory.parent)
    assert open_run(None).directory.resolve() == trained[0].directory.resolve()


def test_the_model_file_tells_its_story(trained):
    run, dataset, _ = trained
    for file in (run.onnx_file, run.weights_file):
        manifest = read_manifest(file)
        assert manifest.classes == ("not_bear", "bear")
        assert manifest.image_size == 32
        assert manifest.config == run.config().model_dump(mode="json")
        kept = {name: value for name, value in run.metrics().items() if name not in ("groups", "layers")}
        assert manifest.metrics == kept
        assert manifest.data["fingerprint"] == dataset.fingerprint
        assert {"bearcnn", "torch", "fastai", "python"} <= manifest.versions.keys()


def test_no_pickle_is_written(trained):
    run, _, _ = trained
    for path in run.directory.rglob("*"):
        if path.is_file():
            head = path.read_bytes()[:4]
            assert not head.startswith((b"\x80", b"PK")), f"{path} looks like a pickle or a zip of one"


def test_the_exported_model_scores_as_the_best_epoch_did(trained):
    run, _, watcher = trained
    best = watcher.records[run.metrics()["best_epoch"] - 1]
    estimates = run.metrics()["evaluations"]["valid"]["estimates"]
    for name in ("accuracy", "roc_auc", "average_precision"):
        assert estimates[name]["value"] == pytest.approx(getattr(best, name), abs=1e-6)


def test_equal_seeds_give_equal_runs_to_the_bit_and_others_do_not(trained, photos, tmp_path):
    run, dataset, _ = trained
    again = fit_small(small_config(photos), dataset, tmp_path / "again")
    assert_same_training(run, again)
    other = fit_small(small_config(photos, "train.seed=1"), dataset, tmp_path / "other")
    assert not torch.equal(last_weights(other), last_weights(again))


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_resumed_run_gives_the_same_weights_as_an_uninterrupted_one(photos, opened, tmp_path, stop_after):
    # With all three dropouts, so that every source of chance is in it.
    config = small_config(
        photos, "train.epochs=4", "model.dropout=0.3", "model.conv_dropout=0.2", "model.input_dropout=0.1"
    )
    whole = fit_small(config, opened, tmp_path / "whole")
    run = fit_small(config, opened, tmp_path / "broken", StopAfter(stop_after))
    assert len(run.history()) == stop_after
    rest = Recorder()
    fit(run, opened, resume=True, reporter=rest)
    assert [record.epoch for record in rest.records] == list(range(stop_after + 1, 5))
    assert_same_training(whole, run)
    seconds = {"seconds", "images_per_second", "busy"}
    for one, other in zip(whole.history(), run.history(), strict=True):
        assert all(getattr(one, key) == getattr(other, key) for key in one.__dataclass_fields__ if key not in seconds)


def test_a_killed_process_resumes_to_the_same_weights(photos, opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config(photos, "train.epochs=6", "train.replicas=1")
    whole = fit_small(config, opened, tmp_path / "whole")
    command = [sys.executable, "-m", "bearcnn", "train", "--config", str(whole.config_file), "--out", "killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    history = tmp_path / "killed" / "history.jsonl"
    deadline = time.monotonic() + 120
    while not history.exists():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = open_run(tmp_path / "killed")
    assert 1 <= read_checkpoint(run).state.epochs <= 6
    fit(run, opened, resume=True)
    assert_same_training(whole, run)


def test_a_finished_run_is_not_continued(trained):
    run, dataset, _ = trained
    with pytest.raises(ResumeError, match="is finished"):
        pipeline.resume(run, dataset)


def test_a_damaged_checkpoint_is_refused(photos, opened, tmp_path):
    run = fit_small(small_config(photos, "train.epochs=3"), opened, tmp_path / "run", StopAfter(1))
    run.write_dataset(opened.to_json())
    checkpoint = run.checkpoints / "last.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(ResumeError, match=r"last\.safetensors is damaged"):
        pipeline.resume(run, opened)
    checkpoint.unlink()
    with pytest.raises(ResumeError, match="has no checkpoint"):
        pipeline.resume(run, opened)


def test_ctrl_c_before_the_first_epoch_says_that_there_is_nothing(photos, opened, tmp_path):
    with pytest.raises(RunError, match="before the first epoch"):
        fit_small(small_config(photos), opened, tmp_path / "run", StopAfter(0))


def test_early_stopping_ends_after_patience_epochs_without_a_better_score(photos, opened, tmp_path):
    config = small_config(photos, "train.epochs=40", "train.patience=2", "train.lr=1e-6", "augment.flip=0")
    result = fit(create_run(tmp_path / "run", config), opened)
    assert result.state.epochs < 40
    assert result.state.epochs == result.state.best_epoch + 2
    assert result.state.stopped_early and not result.interrupted


def test_a_constant_rate_stays_and_a_stopped_run_goes_on_at_it(photos, opened, tmp_path):
    config = small_config(photos, "train.schedule=constant", "model.norm=none", "train.lr=2e-3", "train.epochs=3")
    whole = create_run(tmp_path / "whole", config)
    records = fit(whole, opened).state.records
    assert [record.lr for record in records] == [2e-3] * 3
    stopped = fit_small(config, opened, tmp_path / "stopped", StopAfter(1))
    assert len(stopped.history()) == 1
    fit(stopped, opened, resume=True)
    assert_same_training(whole, stopped)


def test_the_best_epoch_is_kept_by_the_chosen_score(photos, opened, tmp_path):
    config = small_config(photos, "train.monitor=valid_loss", "train.epochs=3")
    state = fit(create_run(tmp_path / "run", config), opened).state
    assert state.best_epoch == min(state.records, key=lambda record: record.valid_loss).epoch


def test_the_last_epoch_is_kept_if_no_score_chooses(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config(photos, "train.monitor=last", "train.epochs=4", "train.lr=1")  # each epoch is as bad
    run, _, watcher = train_small(config, tmp_path / "run")
    assert run.metrics()["best_epoch"] == 4
    value = run.metrics()["evaluations"]["valid"]["estimates"]["roc_auc"]["value"]
    assert value == pytest.approx(watcher.records[-1].roc_auc, abs=1e-6)


def test_growing_pictures_are_judged_at_their_own_size_and_the_best_is_of_the_last(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config(photos, "train.epochs=5", "train.sizes=[16, 24]", "train.size_shares=[3, 2]")
    run, _, watcher = train_small(config, tmp_path / "run")
    assert [record.size for record in watcher.records] == [16, 16, 16, 24, 24]
    assert run.metrics()["best_epoch"] in (4, 5)
    last = watcher.records[run.metrics()["best_epoch"] - 1]
    value = run.metrics()["evaluations"]["valid"]["estimates"]["roc_auc"]["value"]
    assert value == pytest.approx(last.roc_auc, abs=1e-6), "the last size is judged as the model is used"


def test_bfloat16_trains_to_nearly_the_same_and_resumes_to_the_bit(trained, photos, tmp_path):
    exact, dataset, _ = trained
    config = small_config(photos, "train.precision=bfloat16")
    whole = fit_small(config, dataset, tmp_path / "whole")
    assert not torch.equal(last_weights(whole), last_weights(exact))
    assert whole.history()[-1].valid_loss == pytest.approx(exact.history()[-1].valid_loss, abs=0.05)
    run = fit_small(config, dataset, tmp_path / "broken", StopAfter(1))
    fit(run, dataset, resume=True)
    assert_same_training(whole, run)


def test_kinds_have_outputs_of_their_own_and_the_model_file_names_them(trained, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, dataset, _ = trained
    subclasses, of_photos = dataset.subclasses()
    assert read_manifest(run.onnx_file).subclasses == subclasses
    assert len(subclasses) > 2
    assert len(weights(run)["head.bias"]) == len(subclasses)
    assert len(of_photos) == len(dataset.select("train"))
    plain, _, _ = train_small(small_config(photos, "train.subclasses=false"), tmp_path / "plain")
    assert len(weights(plain)["head.bias"]) == 2
    assert read_manifest(plain.onnx_file).subclasses == ((0, ""), (1, ""))


def test_a_rate_that_explodes_is_named(photos, opened, tmp_path, monkeypatch):
    config = small_config(photos, "train.lr=10", "train.epochs=30", "train.weight_decay=1", "model.widths=[64,64]")

    class Poison(Recorder):
        """Stands for a loss that ran away: one photo's weight is no number any more."""

        def model_built(self, layers):
            torch.nn.init.constant_(networks[0].head.weight, float("nan"))

    networks = []
    build = learner_module.build_network
    monkeypatch.setattr(learner_module, "build_network", lambda *given: networks.append(build(*given)) or networks[0])
    with pytest.raises(RunError, match=r"lower train\.lr"):
        fit_small(config, opened, tmp_path / "run", Poison())


def test_the_rate_finder_suggests_a_rate_inside_its_range(photos, opened):
    config = small_config(photos)
    steps = []
    found = find_lr(config, opened, lambda done, total: steps.append((done, total)), steps=40)
    assert 1e-6 < found.suggestion < 3
    assert len(found.lrs) == len(found.losses) == len(steps) <= 40
    assert np.all(np.diff(found.lrs) > 0)
    assert json.dumps(found.losses)


def test_class_weights_even_out_the_classes(photos):
    from bearcnn.training.learner import _class_weights

    labels = np.array([1] * 10 + [0] * 30)
    counted = _class_weights(labels, small_config(photos).train)
    assert counted.tolist() == pytest.approx([40 / 60, 40 / 20])
    assert float((counted[torch.from_numpy(labels)]).mean()) == pytest.approx(1)
    assert _class_weights(labels, small_config(photos, "train.balance=none").train).tolist() == [1, 1]


def test_an_existing_folder_is_never_trained_into(photos, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    with pytest.raises(RunError, match="not empty"):
        choose_directory(small_config(photos), None, out=tmp_path / "mine")
