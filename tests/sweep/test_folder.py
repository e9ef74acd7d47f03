import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bearcnn.data.dataset import Dataset
from bearcnn.errors import ConfigError, SweepError
from bearcnn.evaluation.metrics import score
from bearcnn.runs import Run
from bearcnn.sweep.executors.processes import in_this_process
from bearcnn.sweep.folder import Sweep, create_sweep, read_predictions, run_sweep, write_findings
from bearcnn.sweep.plan import (
    digest_config,
    extend_plan,
    list_cells,
    make_trials,
    parse_values,
    plan_dropout,
    plan_grid,
)
from bearcnn.sweep.trial_log import Record, append_record, lock_sweep, read_ledger
from tests.helpers.commands import bearcnn_command
from tests.helpers.sweeps import Quiet, tiny_config
from tests.helpers.training import train_small

TINY = ["--set", "data.image_size=16", "--set", "model.widths=[4,8]", "--set", "train.batch_size=8"]


def run_here(directory: Path, plan, dataset=None) -> tuple[Sweep, Quiet]:
    dataset = dataset or Dataset.from_config(plan.config.data)
    sweep = Sweep(directory) if (directory / "plan.json").exists() else create_sweep(directory, plan, dataset)
    watcher = Quiet()
    with in_this_process(sweep, dataset, plan.config.data, watcher) as engine:
        run_sweep(sweep, plan, engine, watcher, 1)
    return sweep, watcher


def open_config(plan, size: int):
    return plan.config.data.model_copy(update={"image_size": size})


def record(number: int, status="done", **fields) -> Record:
    whole = Record(f"t{number}", {"model.dropout": 0.1}, number, status, "", "c", "d", 1.0, 2, 1, {}, 1, "h", "now")
    return replace(whole, **fields)


class TestPlan:
    """Values x seeds -> trials with names that stay."""

    def test_dropout_trials_share_everything_but_the_rate(self, photos):
        plan = plan_dropout(tiny_config(photos), "head", [0.4, 0, 0.2], 2)
        trials = make_trials(plan, list_cells(plan))
        assert [trial.id for trial in trials] == [
            f"dropout-{rate}_seed-{seed}" for seed in (0, 1) for rate in ("0", "0.2", "0.4")
        ]
        for trial in trials:
            model = trial.config.model
            assert model.dropout == trial.settings["model.dropout"]
            assert trial.config.train.seed == trial.seed
            same = trial.config.model_copy(
                update={"model": model.model_copy(update={"dropout": 0.0}), "train": plan.config.train}
            )
            assert same == trials[0].config.model_copy(update={"train": plan.config.train})

    @pytest.mark.parametrize(
        ("where", "keys"),
        [("head", {"dropout"}), ("conv", {"conv_dropout"}), ("input", {"input_dropout"}),
         ("all", {"dropout", "conv_dropout", "input_dropout"})],
    )  # fmt: skip
    def test_rate_0_is_no_dropout_at_all(self, photos, where, keys):
        config = tiny_config(photos, "model.dropout=0.3", "model.conv_dropout=0.2", "model.input_dropout=0.1")
        plan = plan_dropout(config, where, [0, 0.5], 1)
        for trial, rate in zip(make_trials(plan, list_cells(plan)), (0, 0.5), strict=True):
            for key in ("dropout", "conv_dropout", "input_dropout"):
                assert getattr(trial.config.model, key) == (rate if key in keys else 0)

    def test_a_dropout_that_is_asked_for_stays(self, photos):
        config = tiny_config(photos, "model.dropout=0.3", "model.conv_dropout=0.2")
        plan = plan_dropout(config, "conv", [0, 0.5], 1, kept=["model.dropout"])
        assert plan.config.model.dropout == 0.3

    def test_seeds_begin_at_the_configurations_own(self, photos):
        assert plan_dropout(tiny_config(photos, "train.seed=7"), "head", [0], 3).seeds == (7, 8, 9)

    def test_no_trial_stops_early(self, photos):
        assert plan_dropout(tiny_config(photos, "train.patience=2"), "head", [0], 1).config.train.patience == 0

    def test_a_grid_is_every_combination(self, photos):
        plan = plan_grid(tiny_config(photos), ["model.pooling=max,avg", "model.kernel_size=3,[5, 3]"], 1)
        assert [trial.id.rpartition("-")[0].split("_seed")[0] for trial in make_trials(plan, list_cells(plan))]
        settings = [(cell.settings["model.pooling"], cell.settings["model.kernel_size"]) for cell in list_cells(plan)]
        assert settings == [("max", 3), ("max", [5, 3]), ("avg", 3), ("avg", [5, 3])]
        ids = [trial.id for trial in make_trials(plan, list_cells(plan))]
        assert len(set(ids)) == 4
        assert all(Path(name).name == name and " " not in name for name in ids)

    def test_ids_stay_when_the_sweep_grows(self, photos):
        config = tiny_config(photos)
        small, large = plan_dropout(config, "head", [0, 0.3], 1), plan_dropout(config, "head", [0, 0.1, 0.3], 2)
        ids = {trial.id: digest_config(trial.config) for trial in make_trials(large, list_cells(large))}
        for trial in make_trials(small, list_cells(small)):
            assert ids[trial.id] == digest_config(trial.config)

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("3,5,7", [3, 5, 7]),
            ("max,avg", ["max", "avg"]),
            ("1e-3, 3e-3", [1e-3, 3e-3]),
            ("[16, 32],[32, 64]", [[16, 32], [32, 64]]),
            ("true,false", [True, False]),
            ('"a,b",c', ['"a', 'b"', "c"]),
            ("max,3", ["max", 3]),
        ],
    )
    def test_values_are_toml_or_words(self, text, values):
        assert parse_values(text) == values

    @pytest.mark.parametrize(
        ("vary", "said"),
        [
            (["model.poling=max,avg"], "did you mean model.pooling"),
            (["model.pooling"], "expected section.key=value,value"),
            (["train.seed=1,2"], "use --seeds"),
            (["data.path=a,b"], "the same photos"),
            (["model.kernel_size=3,4"], "4: model.kernel_size: 4 is not odd"),
            (["model.dropout=0,1.5"], "nothing would be left"),
            ([], "nothing to vary"),
        ],
    )
    def test_what_can_not_work_is_said_before_anything_runs(self, photos, vary, said):
        with pytest.raises((SweepError, ConfigError), match=said.replace("(", r"\(")):
            plan_grid(tiny_config(photos), vary, 1)

    def test_a_sweep_grows_and_never_shrinks(self, photos):
        config = tiny_config(photos)
        before = plan_dropout(config, "head", [0, 0.4], 3)
        after = extend_plan(before, plan_dropout(config, "head", [0.2], 2))
        assert (after.axes[0].values, after.seeds) == ((0, 0.2, 0.4), (0, 1, 2))
        assert extend_plan(before, plan_dropout(config, "head", [0], 5)).seeds == (0, 1, 2, 3, 4)

    def test_a_sweep_is_not_continued_as_another(self, photos):
        before = plan_dropout(tiny_config(photos), "head", [0, 0.4], 1)
        with pytest.raises(SweepError, match="for other keys start a new one"):
            extend_plan(before, plan_dropout(tiny_config(photos), "conv", [0, 0.4], 1))
        with pytest.raises(SweepError, match=r"train.epochs \(was 2, asked for 3\)"):
            extend_plan(before, plan_dropout(tiny_config(photos, "train.epochs=3"), "head", [0, 0.4], 1))


class TestLedger:
    """Whole lines, whatever happens."""

    def test_records_come_back_as_they_were_and_the_last_of_a_trial_counts(self, tmp_path):
        file = tmp_path / "ledger.jsonl"
        assert read_ledger(file) == {}
        append_record(file, record(1, "failed", reason="too hot"))
        append_record(file, record(2))
        append_record(file, record(1))
        assert read_ledger(file) == {"t1": record(1), "t2": record(2)}
        assert len(file.read_text().splitlines()) == 3

    @pytest.mark.parametrize("torn", [1, 40, -1])
    def test_a_torn_line_is_dropped_and_the_next_one_is_whole(self, tmp_path, torn):
        file = tmp_path / "ledger.jsonl"
        append_record(file, record(1))
        whole = file.read_bytes()
        append_record(file, record(2))
        line = file.read_bytes()[len(whole) :]
        file.write_bytes(whole + line[:torn])
        assert read_ledger(file) == {"t1": record(1)}
        append_record(file, record(3))
        assert read_ledger(file) == {"t1": record(1), "t3": record(3)}
        assert file.read_bytes().startswith(whole)

    def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(self, tmp_path):
        file = tmp_path / "ledger.jsonl"
        append_record(file, record(1))
        file.write_bytes(b"{}\n" + file.read_bytes())
        with pytest.raises(SweepError, match="line 1"):
            read_ledger(file)

    def test_two_sweeps_in_one_folder_are_refused(self, tmp_path):
        code = (
            "import sys, time; from pathlib import Path; from bearcnn.sweep.trial_log import lock_sweep\n"
            "with lock_sweep(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
        )
        holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(SweepError, match="another process"), lock_sweep(tmp_path):
                pass
        finally:
            holder.kill()
            holder.communicate()
        with lock_sweep(tmp_path):  # a killed process holds nothing
            pass


@pytest.fixture(scope="module")
def swept(photos, tmp_path_factory):
    """A finished sweep of two rates and two seeds; look at it, don't change it."""
    plan = plan_dropout(tiny_config(photos), "head", [0, 0.5], 2)
    dataset = Dataset.from_config(plan.config.data)
    sweep, watcher = run_here(tmp_path_factory.mktemp("sweep") / "s", plan, dataset)
    return sweep, plan, dataset, watcher, write_findings(sweep, plan, dataset)


class TestSweep:
    """Each trial is a training; its numbers are what its last network gives."""

    def test_a_trial_is_what_train_gives_with_the_same_configuration(self, swept, tmp_path, monkeypatch):
        sweep, plan, _, _, _ = swept
        monkeypatch.chdir(tmp_path)
        trial = make_trials(plan, list_cells(plan))[-1]
        run, _, _ = train_small(trial.config, tmp_path / "run")
        there = Run(sweep.trial_folder(trial.id)).history()
        assert len(there) == 2
        for ours, theirs in zip(there, run.history(), strict=True):
            for name in ("train_loss", "valid_loss", "accuracy", "roc_auc", "average_precision", "lr", "best"):
                assert getattr(ours, name) == getattr(theirs, name)

    def test_the_scores_are_of_the_last_epoch_and_of_what_is_stored(self, swept):
        sweep, _, dataset, _, _ = swept
        for name, entry in sweep.records().items():
            last = Run(sweep.trial_folder(name)).history()[-1]
            assert entry.scores["valid"]["roc_auc"] == pytest.approx(last.roc_auc, abs=1e-6)
            assert entry.scores["valid"]["accuracy"] == pytest.approx(last.accuracy)
            predictions = read_predictions(sweep, name)
            for split in ("train", "valid"):
                found = score(dataset.arrays(split)[1], predictions[split])
                assert entry.scores[split] == {key: found[key] for key in entry.scores[split]}
            assert predictions["test"].shape == (len(dataset.select("test")),)
            assert "test" not in entry.scores

    def test_the_same_seed_begins_with_the_same_weights_under_every_rate(self, photos):
        import torch

        from bearcnn.model.network import build_model

        plan = plan_dropout(tiny_config(photos), "all", [0, 0.5], 1)
        weights = []
        for trial in make_trials(plan, list_cells(plan)):
            torch.manual_seed(trial.seed)
            weights.append(build_model(trial.config.model).state_dict())
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    def test_a_trial_leaves_little_behind(self, swept):
        sweep, _, _, _, _ = swept
        for name in sweep.records():
            assert {file.name for file in sweep.trial_folder(name).iterdir()} == {
                "config.toml", "history.jsonl", "predictions.npz",
            }  # fmt: skip

    def test_what_is_written_agrees_with_the_ledger(self, swept):
        sweep, _, _, _, findings = swept
        content = json.loads((sweep.directory / "sweep.json").read_text())
        rows = list(csv.DictReader((sweep.directory / "sweep.csv").read_text().splitlines()))
        records = sweep.records()
        assert [row["trial"] for row in rows] == list(records)
        for row in rows:
            assert float(row["valid_roc_auc"]) == records[row["trial"]].scores["valid"]["roc_auc"]
        for setting, found in zip(content["settings"], findings.settings, strict=True):
            aucs = [
                each.scores["valid"]["roc_auc"] for each in records.values() if each.settings == setting["settings"]
            ]
            assert setting["means"]["valid.roc_auc"]["mean"] == pytest.approx(np.mean(aucs))
            assert found.means["gap.roc_auc"].mean == pytest.approx(
                found.means["train.roc_auc"].mean - found.means["valid.roc_auc"].mean
            )
        assert (sweep.directory / "sweep.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (sweep.directory / "sweep.svg").read_bytes()[:500]
        words = (sweep.directory / "verdict.txt").read_text()
        assert " ".join(words.split()) == " ".join(" ".join(content["verdict"]).split())
        assert all(len(line) < 80 for line in words.splitlines())

    def test_writing_it_again_gives_the_same_bytes(self, swept):
        sweep, plan, dataset, _, _ = swept
        names = ("sweep.csv", "sweep.json", "sweep.svg", "verdict.txt")
        before = [(sweep.directory / name).read_bytes() for name in names]
        write_findings(sweep, plan, dataset)
        assert [(sweep.directory / name).read_bytes() for name in names] == before

    def test_nothing_is_run_twice_and_what_is_new_is_run(self, photos, tmp_path):
        config = tiny_config(photos, "train.epochs=1")
        sweep, first = run_here(tmp_path / "s", plan_dropout(config, "head", [0], 1))
        _, second = run_here(tmp_path / "s", plan_dropout(config, "head", [0], 1))
        _, third = run_here(tmp_path / "s", plan_dropout(config, "head", [0, 0.5], 2))
        assert first.started == ["dropout-0_seed-0"]
        assert second.started == []
        assert sorted(third.started) == ["dropout-0.5_seed-0", "dropout-0.5_seed-1", "dropout-0_seed-1"]
        assert len(sweep.ledger_file.read_text().splitlines()) == 4

    def test_a_failed_trial_is_recorded_stops_nobody_and_runs_again(self, photos, tmp_path):
        folder = tmp_path / "photos"
        shutil.copytree(photos, folder)
        plan = plan_grid(tiny_config(folder, "train.epochs=1"), ["data.image_size=24,16"], 1)
        plan = replace(plan, config=plan.config.model_copy(update={"data": open_config(plan, 16)}))
        dataset = Dataset.from_config(plan.config.data)
        intruder = folder / "train" / "bear" / "intruder.png"
        Image.effect_noise((40, 40), 50).save(intruder)  # seen by whoever opens the folder anew, for 24 px
        sweep, watcher = run_here(tmp_path / "s", plan, dataset)
        assert [entry.status for entry in watcher.finished] == ["failed", "done"]
        failed = sweep.records()["image-size-24_seed-0"]
        assert "not those that the sweep began with" in failed.reason
        assert "not those" in (sweep.trial_folder(failed.id) / "error.txt").read_text()
        findings = write_findings(sweep, plan, dataset)
        assert [each.id for each in findings.failed] == [failed.id]
        assert "1 trial failed" in (sweep.directory / "verdict.txt").read_text()
        intruder.unlink()
        _, again = run_here(tmp_path / "s", plan, dataset)
        assert again.started == [failed.id]
        assert {entry.status for entry in sweep.records().values()} == {"done"}
        assert not (sweep.trial_folder(failed.id) / "error.txt").exists()

    def test_changed_photos_are_refused(self, swept):
        sweep, _, dataset, _, _ = swept
        sweep.check_photos(dataset.fingerprint)
        with pytest.raises(SweepError, match="photos have changed"):
            sweep.check_photos("another")

    def test_a_changed_configuration_is_refused(self, swept, tmp_path):
        sweep, _, _, _, _ = swept
        for name in ("plan.json", "config.toml"):
            (tmp_path / name).write_bytes((sweep.directory / name).read_bytes())
        copy = Sweep(tmp_path)
        assert copy.plan() == sweep.plan()
        copy.config_file.write_text(copy.config_file.read_text().replace("epochs = 2", "epochs = 3"))
        with pytest.raises(SweepError, match="has changed since the sweep began"):
            copy.plan()

    def test_a_trial_that_was_killed_goes_on_to_the_very_same_scores(self, swept, tmp_path):
        from bearcnn.runs import create_run
        from bearcnn.sweep.trial import run_trial
        from bearcnn.training.fit import train

        sweep, plan, dataset, _, _ = swept
        trial = make_trials(plan, list_cells(plan))[1]

        class Killed(BaseException):
            pass

        class Killer:
            def model_built(self, layers): ...
            def batch_done(self, done, total): ...
            def stage(self, what): ...
            def epoch_done(self, entry):
                if entry.epoch == 2:
                    raise Killed("in the second epoch, before its checkpoint")

        run = create_run(tmp_path / "t", trial.config)
        with pytest.raises(Killed):
            train(run, dataset, Killer(), export=False)
        assert len(run.history()) == 1
        epochs = []
        result = run_trial(trial, dataset, tmp_path / "t", epochs.append)
        assert epochs == [2]
        assert result.record.scores == sweep.records()[trial.id].scores


class TestCommands:
    """From the shell, as a user would."""

    def sweep(self, *arguments, cwd, code=0):
        return bearcnn_command(*arguments, cwd=cwd, code=code, OMP_NUM_THREADS="1")

    def test_sweep_dropout_shows_plan_trials_table_and_verdict_in_80_columns(self, photos, tmp_path):
        process = self.sweep(
            "sweep-dropout", "--data", photos, "--rates", "0,0.3", "--seeds", 2, "--epochs", 1, *TINY, "--out", "s",
            cwd=tmp_path,
        )  # fmt: skip
        for words in ("2 settings x 2 seeds", "4/4", "writes into s", "about"):
            assert words in process.stderr
        for words in ("validation", "AUC against", "Permutation test", "Final score", "sweep.png"):
            assert words in process.stdout
        assert all(len(line) <= 80 for line in process.stdout.splitlines())
        again = self.sweep("sweep-dropout", "--resume", "s", "--json", cwd=tmp_path)
        assert "4 done, 0 to run" in again.stderr
        assert json.loads(again.stdout)["verdict"][0].startswith("4 trainings")

    def test_sweep_varies_any_key_and_says_so_where_there_is_no_test_split(self, photos, tmp_path):
        folder = tmp_path / "photos"
        shutil.copytree(photos, folder, ignore=shutil.ignore_patterns("test"))
        process = self.sweep(
            "sweep", "--vary", "model.pooling=max,avg", "--data", folder, "--seeds", 1, "--epochs", 1, *TINY,
            "--out", "s", cwd=tmp_path,
        )  # fmt: skip
        assert "There is no test split" in process.stdout
        assert "With one seed no difference can be told from chance" in " ".join(process.stdout.split())

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["sweep-dropout", "--rates", "0,much"], "expected numbers"),
            (["sweep-dropout", "--rates", "0,1"], "nothing would be left"),
            (["sweep-dropout", "--resume", "gone"], "is not a sweep"),
            (["sweep-dropout", "--resume", "gone", "--out", "x"], "leave out --out"),
            (["sweep-dropout", "--out", "."], "nothing is ever overwritten"),
            (["sweep"], "nothing to vary"),
            (["sweep", "--vary", "model.pooling=max,avg", "--data", "nowhere"], "There is no folder"),
        ],
    )
    def test_bad_input_is_one_line_and_exit_code_1(self, arguments, said, tmp_path):
        (tmp_path / "file").write_text("so that the folder is not empty")
        process = self.sweep(*arguments, cwd=tmp_path, code=1)
        assert said in process.stderr
        assert len(process.stderr.strip().splitlines()) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_a_training_that_fails_has_its_reason_and_exit_code_1_and_the_others_their_say(self, photos, tmp_path):
        # With this decay every step multiplies the weights by -9 until they are infinite.
        process = self.sweep(
            "sweep", "--vary", "train.weight_decay=0.01,1.0", "--set", "train.lr=10", "--seeds", 1, "--epochs", 30,
            *TINY, "--data", photos, "--out", "s", cwd=tmp_path, code=1,
        )  # fmt: skip
        assert "weight-decay-1_seed-0: failed: the loss became infinite" in " ".join(process.stderr.split())
        assert "failed trainings: 1" in process.stderr
        assert "Run them again with: bearcnn sweep --resume s" in " ".join(process.stderr.split())
        assert "1 trial failed and is skipped" in " ".join(process.stdout.split())
        again = self.sweep("sweep", "--resume", "s", cwd=tmp_path, code=1)
        assert "1 done, 1 to run" in again.stderr
        assert "weight-decay-0.01" not in again.stderr

    @pytest.mark.parametrize("workers", [1, 2])
    def test_killed_at_random_moments_nothing_is_lost_and_nothing_runs_twice(self, photos, tmp_path, workers):
        command = [sys.executable, "-m", "bearcnn", "sweep-dropout", "--workers", str(workers)]
        start = ["--data", photos, "--rates", "0,0.3,0.6", "--seeds", "2", "--epochs", "4", *TINY, "--out", "s"]
        ledger, moments = tmp_path / "s" / "ledger.jsonl", random.Random(workers)
        before = b""
        for _ in range(4 if workers == 1 else 2):
            arguments = ["--resume", "s"] if (tmp_path / "s" / "plan.json").exists() else start
            process = subprocess.Popen(
                [*command, *map(str, arguments)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
            )  # fmt: skip
            # Each time one more trial may be finished, and then it dies at some moment of the next one.
            deadline = time.monotonic() + 60
            while len(finished(ledger)) <= len(finished_in(before)) and time.monotonic() < deadline:
                if process.poll() is not None:
                    break
                time.sleep(0.01)
            time.sleep(moments.random() * 0.5)
            process.send_signal(signal.SIGKILL)  # the sweep alone: its workers have to notice
            process.wait()
            after = ledger.read_bytes()
            whole = after[: after.rfind(b"\n") + 1]
            assert whole.startswith(before), "a finished trial was lost"
            before = whole
        self.sweep("sweep-dropout", "--resume", "s", cwd=tmp_path)
        assert ledger.read_bytes().startswith(before)
        ids = [entry["id"] for entry in finished(ledger)]
        assert len(ids) == len(set(ids)) == 6, "a trial ran twice or never"
        self.sweep("sweep-dropout", *start[:-1], "calm", cwd=tmp_path)
        scores = {entry["id"]: entry["scores"] for entry in finished(ledger)}
        assert scores == {entry["id"]: entry["scores"] for entry in finished(tmp_path / "calm" / "ledger.jsonl")}

    def test_ctrl_c_says_how_to_go_on(self, photos, tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-m", "bearcnn", "sweep-dropout", "--data", str(photos), "--rates", "0,0.5",
             "--epochs", "5000", *TINY, "--out", "s"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        history = tmp_path / "s" / "trials" / "dropout-0_seed-0" / "history.jsonl"
        deadline = time.monotonic() + 60
        while not history.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Continue with: bearcnn sweep-dropout --resume s" in said
        assert "Traceback" not in said


def finished(ledger: Path) -> list[dict]:
    return finished_in(ledger.read_bytes()) if ledger.exists() else []


def finished_in(content: bytes) -> list[dict]:
    return [json.loads(line) for line in content.split(b"\n")[:-1]]
