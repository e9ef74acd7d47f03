import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import SweepError
from bearcnn.evaluation.metrics import score
from bearcnn.runs import Run
from bearcnn.sweep.folder import SweepFolder, create_sweep, read_predictions
from bearcnn.sweep.plan import digest_config, extend_plan, list_points, make_trials, plan_dropout, plan_grid
from bearcnn.sweep.run import run_sweep, sweep, write_analysis
from tests.helpers.places import ROOT
from tests.helpers.sweeps import RecordingReporter, run_here, tiny_config
from tests.helpers.training import train_small

VERSION_0_1 = ROOT / "tests" / "fixtures" / "version-0.1.0"


def open_config(plan, size: int):
    return plan.config.data.model_copy(update={"image_size": size})


@pytest.fixture(scope="module")
def swept(photos, tmp_path_factory):
    """A finished sweep of two rates and two seeds; look at it, don't change it."""
    plan = plan_dropout(tiny_config(photos), "head", [0, 0.5], 2)
    dataset = Dataset.from_config(plan.config.data)
    folder, reporter = run_here(tmp_path_factory.mktemp("sweep") / "s", plan, dataset)
    return folder, plan, dataset, reporter, write_analysis(folder, plan, dataset)


@pytest.mark.slow  # trains
class TestSweep:
    """Each trial is a training; its numbers are what its last network gives."""

    def test_a_trial_is_what_train_gives_with_the_same_configuration(self, swept, tmp_path, monkeypatch):
        folder, plan, _, _, _ = swept
        monkeypatch.chdir(tmp_path)
        trial = make_trials(plan, list_points(plan))[-1]
        run, _, _ = train_small(trial.config, tmp_path / "run")
        there = Run(folder.trial_folder(trial.id)).history()
        assert len(there) == 2
        for ours, theirs in zip(there, run.history(), strict=True):
            for name in ("train_loss", "valid_loss", "accuracy", "roc_auc", "average_precision", "lr", "best"):
                assert getattr(ours, name) == getattr(theirs, name)

    def test_the_scores_are_of_the_last_epoch_and_of_what_is_stored(self, swept):
        folder, _, dataset, _, _ = swept
        for name, entry in folder.records().items():
            last = Run(folder.trial_folder(name)).history()[-1]
            assert entry.scores["valid"]["roc_auc"] == pytest.approx(last.roc_auc, abs=1e-6)
            assert entry.scores["valid"]["accuracy"] == pytest.approx(last.accuracy)
            for split in ("train", "valid"):
                _, labels = dataset.arrays(split)
                found = score(labels, read_predictions(folder, name, split, len(labels)))
                assert entry.scores[split] == {key: found[key] for key in entry.scores[split]}
            assert len(read_predictions(folder, name, "test", len(dataset.select("test"))))
            assert "test" not in entry.scores

    def test_the_same_seed_begins_with_the_same_weights_under_every_rate(self, photos):
        import torch

        from bearcnn.model.network import build_model

        plan = plan_dropout(tiny_config(photos), "all", [0, 0.5], 1)
        weights = []
        for trial in make_trials(plan, list_points(plan)):
            torch.manual_seed(trial.seed)
            weights.append(build_model(trial.config.model).state_dict())
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    def test_with_early_stopping_the_best_epochs_predictions_are_kept_too(self, photos, tmp_path):
        config = tiny_config(photos, "train.epochs=6", "train.patience=1", "train.monitor=roc_auc", "train.lr=0.03")
        plan = replace(plan_dropout(config, "head", [0], 1), config=config)
        folder, reporter = run_here(tmp_path / "s", plan)
        (record,) = reporter.finished
        history = Run(folder.trial_folder(record.id)).history()
        assert record.best_epoch == len(history) - 1
        _, labels = Dataset.from_config(config.data).arrays("valid")
        for epoch, split in ((record.best_epoch, "best-valid"), (record.epochs, "valid")):
            found = score(labels, read_predictions(folder, record.id, split, len(labels)))
            assert found["roc_auc"] == pytest.approx(history[epoch - 1].roc_auc, abs=1e-6)
        assert history[-1].roc_auc < history[-2].roc_auc

    def test_a_trial_leaves_little_behind(self, swept):
        folder, _, _, _, _ = swept
        for name in folder.records():
            assert {file.name for file in folder.trial_folder(name).iterdir()} == {
                "config.toml",
                "history.jsonl",
                "predictions.npz",
            }

    def test_what_is_written_agrees_with_the_trial_log(self, swept):
        folder, _, _, _, analysis = swept
        content = json.loads((folder.directory / "sweep.json").read_text())
        rows = list(csv.DictReader((folder.directory / "sweep.csv").read_text().splitlines()))
        records = folder.records()
        assert [row["trial"] for row in rows] == list(records)
        for row in rows:
            assert float(row["valid_roc_auc"]) == records[row["trial"]].scores["valid"]["roc_auc"]
        for setting, found in zip(content["settings"], analysis.settings, strict=True):
            aucs = [
                each.scores["valid"]["roc_auc"] for each in records.values() if each.settings == setting["settings"]
            ]
            assert setting["means"]["valid.roc_auc"]["mean"] == pytest.approx(np.mean(aucs))
            assert found.means["gap.roc_auc"].mean == pytest.approx(
                found.means["train.roc_auc"].mean - found.means["valid.roc_auc"].mean
            )
        assert (folder.directory / "sweep.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (folder.directory / "sweep.svg").read_bytes()[:500]
        words = (folder.directory / "summary.txt").read_text()
        assert " ".join(words.split()) == " ".join(" ".join(content["summary"]).split())
        assert all(len(line) < 80 for line in words.splitlines())

    def test_writing_it_again_gives_the_same_bytes(self, swept):
        folder, plan, dataset, _, _ = swept
        names = ("sweep.csv", "sweep.json", "sweep.svg", "summary.txt")
        before = [(folder.directory / name).read_bytes() for name in names]
        write_analysis(folder, plan, dataset)
        assert [(folder.directory / name).read_bytes() for name in names] == before

    def test_nothing_is_run_twice_and_what_is_new_is_run(self, photos, tmp_path):
        config = tiny_config(photos, "train.epochs=1")
        folder, first = run_here(tmp_path / "s", plan_dropout(config, "head", [0], 1))
        _, second = run_here(tmp_path / "s", plan_dropout(config, "head", [0], 1))
        _, third = run_here(tmp_path / "s", plan_dropout(config, "head", [0, 0.5], 2))
        assert first.started == ["dropout-0_seed-0"]
        assert second.started == []
        assert sorted(third.started) == ["dropout-0.5_seed-0", "dropout-0.5_seed-1", "dropout-0_seed-1"]
        assert len(folder.log_file.read_text().splitlines()) == 4

    def test_a_failed_trial_is_recorded_stops_nobody_and_runs_again(self, photos, tmp_path):
        folder = tmp_path / "photos"
        shutil.copytree(photos, folder)
        plan = plan_grid(tiny_config(folder, "train.epochs=1"), {"data.image_size": [24, 16]}, 1)
        plan = replace(plan, config=plan.config.model_copy(update={"data": open_config(plan, 16)}))
        dataset = Dataset.from_config(plan.config.data)
        intruder = folder / "train" / "bear" / "intruder.png"
        Image.effect_noise((40, 40), 50).save(intruder)  # seen by whoever opens the folder anew, for 24 px
        folder, reporter = run_here(tmp_path / "s", plan, dataset)
        assert [entry.status for entry in reporter.finished] == ["failed", "done"]
        failed = folder.records()["image-size-24_seed-0"]
        assert "not those that the sweep began with" in failed.reason
        assert "not those" in (folder.trial_folder(failed.id) / "error.txt").read_text()
        analysis = write_analysis(folder, plan, dataset)
        assert [each.id for each in analysis.failed] == [failed.id]
        assert "1 trial failed" in (folder.directory / "summary.txt").read_text()
        intruder.unlink()
        _, again = run_here(tmp_path / "s", plan, dataset)
        assert again.started == [failed.id]
        assert {entry.status for entry in folder.records().values()} == {"done"}
        assert not (folder.trial_folder(failed.id) / "error.txt").exists()

    def test_damaged_answers_of_a_trial_are_refused_and_come_back_as_the_error_says(self, swept, tmp_path):
        whole, plan, dataset, _, _ = swept
        folder = SweepFolder(Path(shutil.copytree(whole.directory, tmp_path / "s")))
        name, photos = next(iter(folder.records())), len(dataset.select("test"))
        file, before = folder.trial_folder(name) / "predictions.npz", read_predictions(folder, name, "test", photos)
        content, refused = file.read_bytes(), 0
        for place in range(0, len(content), 5):
            file.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
            try:
                found = read_predictions(folder, name, "test", photos)
            except SweepError as error:
                assert "delete the trial's line in trial_log.jsonl, then continue with: bearcnn sweep --resume" in str(
                    error
                )
                refused += 1
            else:  # of another array, or where no reader looks
                assert found.tobytes() == before.tobytes()
        assert refused > len(before)
        file.write_bytes(content[:50])
        lines = folder.log_file.read_text().splitlines(keepends=True)
        folder.log_file.write_text("".join(line for line in lines if f'"{name}"' not in line))
        _, again = run_here(folder.directory, plan, dataset)
        assert again.started == [name]
        assert read_predictions(folder, name, "test", photos).tobytes() == before.tobytes()

    def test_changed_photos_are_refused(self, swept):
        folder, _, dataset, _, _ = swept
        folder.check_photos(dataset.fingerprint)
        with pytest.raises(SweepError, match="photos have changed"):
            folder.check_photos("another")

    def test_a_changed_configuration_is_refused(self, swept, tmp_path):
        folder, _, _, _, _ = swept
        for name in ("plan.json", "config.toml"):
            (tmp_path / name).write_bytes((folder.directory / name).read_bytes())
        copy = SweepFolder(tmp_path)
        assert copy.plan() == folder.plan()
        copy.config_file.write_text(copy.config_file.read_text().replace("epochs = 2", "epochs = 3"))
        with pytest.raises(SweepError, match="has changed since the sweep began"):
            copy.plan()

    def test_a_trial_that_was_killed_goes_on_to_the_very_same_scores(self, swept, tmp_path):
        from bearcnn.reporter import Reporter
        from bearcnn.runs import create_run
        from bearcnn.sweep.trial import run_trial
        from bearcnn.training.fit import fit

        folder, plan, dataset, _, _ = swept
        trial = make_trials(plan, list_points(plan))[1]

        class Killed(BaseException):
            pass

        class Killer(Reporter):
            epochs = 0

            def epoch_done(self, record):
                self.epochs = record.epoch

            def batch_done(self, done, total):
                if self.epochs == 1 and done == total:
                    raise Killed("in the second epoch, before its checkpoint")

        run = create_run(tmp_path / "t", trial.config)
        run.write_dataset(dataset.to_json())
        with pytest.raises(Killed):
            fit(run, dataset, reporter=Killer())
        assert len(run.history()) == 1
        epochs = []
        result = run_trial(trial, dataset, tmp_path / "t", epochs.append)
        assert epochs == [2]
        assert result.record.scores == folder.records()[trial.id].scores


def test_a_sweep_that_was_killed_between_its_first_files_goes_on(photos, tmp_path):
    plan = plan_dropout(tiny_config(photos), "head", [0, 0.5], 2)
    dataset = Dataset.from_config(plan.config.data)
    whole, killed = create_sweep(tmp_path / "whole", plan, dataset), SweepFolder(tmp_path / "killed")
    killed.directory.mkdir()
    killed.write_first(plan, dataset)
    killed.config_file.unlink()
    assert killed.plan() == whole.plan()
    killed.write_plan(plan, dataset)
    assert [(path.name, path.read_bytes()) for path in sorted(killed.directory.iterdir())] == [
        (path.name, path.read_bytes()) for path in sorted(whole.directory.iterdir())
    ]


@pytest.mark.slow  # trains
class TestPythonUse:
    """`sweep` in a notebook: one call, silent."""

    def test_one_call_gives_the_analysis_and_prints_nothing(self, photos, tmp_path, capfd):
        config = tiny_config(photos, "train.epochs=1")
        reporter = RecordingReporter()
        analysis = sweep(
            config,
            Dataset.from_config(config.data),
            {"model.dropout": [0.5, 0]},
            seeds=2,
            out=tmp_path / "s",
            reporter=reporter,
        )
        assert capfd.readouterr() == ("", "")
        assert len(reporter.finished) == analysis.done == 4
        assert analysis.baseline.point.settings == {"model.dropout": 0.5}
        assert "\n4 training runs of 1 epoch" in (tmp_path / "s" / "summary.txt").read_text()

    def test_without_a_reporter_nothing_is_timed_and_a_full_folder_is_refused(self, photos, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        config = tiny_config(photos, "train.epochs=1")
        dataset = Dataset.from_config(config.data)
        sweep(config, dataset, {"model.pooling": ["max"]}, seeds=1)
        (folder,) = (tmp_path / "sweeps").iterdir()
        with pytest.raises(SweepError, match="nothing is ever overwritten"):
            sweep(config, dataset, {"model.pooling": ["max"]}, seeds=1, out=folder)

    def test_what_can_not_work_is_said_before_anything_is_written(self, photos, tmp_path):
        config = tiny_config(photos)
        dataset = Dataset.from_config(config.data)
        for settings, executor in (({}, "local"), ({"train.seed": [1]}, "local"), ({"model.dropout": [0]}, "slurm")):
            with pytest.raises(SweepError):
                sweep(config, dataset, settings, out=tmp_path / "s", executor=executor)
        assert not (tmp_path / "s").exists()


@pytest.fixture
def old(tmp_path):
    """A finished sweep of bearcnn 0.1.0, as if its photos had always been here: max and avg pooling, two seeds."""
    folder = SweepFolder(tmp_path / "s")
    shutil.copytree(VERSION_0_1 / "sweep", folder.directory)
    before = SweepFolder(VERSION_0_1 / "sweep").plan()
    text = folder.config_file.read_text().replace('path = "/photos"', f'path = "{VERSION_0_1 / "photos"}"')
    folder.config_file.write_text(text)
    after = replace(before, config=load_config(folder.config_file))
    digests = {digest_config(before.config): digest_config(after.config)}
    for old_trial, new_trial in zip(*(make_trials(plan, list_points(plan)) for plan in (before, after)), strict=True):
        digests[digest_config(old_trial.config)] = digest_config(new_trial.config)
    for file in (folder.plan_file, folder.log_file):
        for old_digest, new_digest in digests.items():
            file.write_text(file.read_text().replace(old_digest, new_digest))
    return folder


class TestOldSweeps:
    """A sweep of bearcnn 0.1.0."""

    def test_its_plan_and_its_trials_are_read(self):
        folder = SweepFolder(VERSION_0_1 / "sweep")
        assert folder.plan().swept[0].values == ("max", "avg")
        assert set(folder.records()) == {f"pooling-{mode}_seed-{seed}" for mode in ("max", "avg") for seed in (0, 1)}
        assert all(read_predictions(folder, name, "test", 8).ndim == 1 for name in folder.records())

    @pytest.mark.slow  # trains
    def test_it_is_extended_and_its_trials_do_not_run_again(self, old):
        plan = old.plan()
        dataset = Dataset.from_config(plan.config.data)
        old.check_photos(dataset.fingerprint)
        before = old.log_file.read_bytes()
        reporter = RecordingReporter()
        analysis = run_sweep(
            old, extend_plan(plan, plan_grid(plan.config, {"model.pooling": ["concat"]}, 2)), dataset, reporter=reporter
        )
        assert reporter.started == ["pooling-concat_seed-0", "pooling-concat_seed-1"]
        assert [setting.point.label for setting in analysis.settings] == ["max", "avg", "concat"]
        assert old.log_file.name == "ledger.jsonl"
        assert old.log_file.read_bytes().startswith(before)
        assert not (old.directory / "trial_log.jsonl").exists()
        assert not (old.directory / "verdict.txt").exists()
        assert "6 training runs" in (old.directory / "summary.txt").read_text()

    def test_another_configuration_is_refused_in_one_line_that_says_what_to_do(self, old):
        old.config_file.write_text(old.config_file.read_text().replace("epochs = 1", "epochs = 2"))
        with pytest.raises(SweepError, match=r"which was 0\.1\.0.*start a new sweep") as error:
            old.plan()
        assert len(str(error.value).splitlines()) == 1
