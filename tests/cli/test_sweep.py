import inspect
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from bearcnn.cli.display.sweep import SweepDisplay, format_mean
from bearcnn.cli.learning_curve import learning_curve
from bearcnn.cli.options import KNOB_KEYS
from bearcnn.cli.sweep import PLACES, sweep, sweep_dropout
from bearcnn.cli.train import train
from bearcnn.sweep.plan import DROPOUTS, list_points
from bearcnn.sweep.statistics import mean_interval
from tests.helpers.sweeps import analyse_made_up, dropout

pytestmark = pytest.mark.slow  # trains, or starts processes

TINY = ["--set", "data.image_size=16", "--set", "model.widths=[4,8]", "--set", "train.batch_size=8"]


class TestSweepDisplay:
    """Numbers only as far as they mean something."""

    @pytest.mark.parametrize(
        ("values", "shown"), [([0.9], "0.900"), ([0.8, 0.9], "0.850"), ([0.9] * 3, "0.900 ±0.000")]
    )
    def test_a_mean_has_no_interval_below_three_seeds(self, values, shown):
        assert format_mean(mean_interval(values)) == shown

    def test_no_number_is_a_negative_zero(self):
        assert format_mean(mean_interval([-0.0001]), sign=True) == "0.000"

    def test_the_live_table_counts_what_is_done_failed_and_running(self):
        plan = dropout(2, (0, 0.4))
        _, records = analyse_made_up(plan, lambda rate, seed: 0.8 + rate / 10, failed={"dropout-0.4_seed-1"})
        display = SweepDisplay()
        display.sweep_planned(Path("s"), plan, list_points(plan), {}, 4)
        for name in ("dropout-0_seed-0", "dropout-0_seed-1", "dropout-0.4_seed-1"):
            display.trial_started(name, 3)
            display.trial_finished(records[name])
        display.trial_started("dropout-0.4_seed-0", 3)
        display.epoch_done("dropout-0.4_seed-0", 2)
        console = Console(width=100, record=True, file=io.StringIO())
        console.print(display.render())
        text = console.export_text()
        assert "3 of 4 finished, 1 failed, 1 running" in text
        assert "dropout-0.4_seed-0 (2/3)" in text
        assert "0.800" in text
        assert "±" not in text


@pytest.mark.parametrize("of", [sweep, sweep_dropout, learning_curve])
def test_the_experiments_have_the_knobs_of_train(of):
    assert set(inspect.signature(train).parameters) >= set(KNOB_KEYS)
    assert set(inspect.signature(of).parameters) >= set(KNOB_KEYS) - {"seed", "folds"}


def test_every_place_of_dropout_can_be_asked_for():
    assert set(PLACES) == set(DROPOUTS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep-dropout", "--rates", "0,much"], "expected numbers"),
        (["sweep-dropout", "--rates", "0,1"], "nothing would be left"),
        (["sweep-dropout", "--resume", "gone"], "is not a sweep"),
        (["sweep-dropout", "--resume", "gone", "--out", "x"], "omit --out"),
        (["sweep-dropout", "--out", "."], "nothing is ever overwritten"),
        (["sweep"], "nothing to vary"),
        (["sweep", "--vary", "model.pooling"], "expected section.key=value,value"),
        (["sweep", "--vary", "model.pooling=max", "--engine", "slurm"], "expected local or ray"),
        (["sweep", "--vary", "model.pooling=max", "--kernel-size", "4"], "not odd"),
        (["sweep-dropout", "--where", "conv", "--dropout", "1"], "nothing would be left"),
        (["sweep", "--vary", "model.pooling=max,avg", "--data", "nowhere"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(command, arguments, said, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("so that the folder is not empty")
    monkeypatch.chdir(tmp_path)
    process = command(*arguments, code=1)
    assert said in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
class TestSweepCommands:
    """From the shell, as a user would."""

    def test_sweep_dropout_shows_plan_trials_table_and_summary_in_80_columns(self, command, photos, tmp_path):
        process = command(
            "sweep-dropout",
            "--data",
            photos,
            "--rates",
            "0,0.3",
            "--seeds",
            2,
            "--epochs",
            1,
            *TINY,
            "--out",
            "s",
            cwd=tmp_path,
        )
        for words in ("2 settings x 2 seeds", "4/4", "writes into s", "about"):
            assert words in process.stderr
        # Of 12 validation photos chance gets as many right.
        # The answer, the table, the picture, how sure that is, and the files.
        order = ("Nothing was learnt", "change", "validation AUC (● mean", "Permutation test", "sweep.png")
        places = [process.stdout.index(words) for words in order]
        assert places == sorted(places)
        assert all(len(line) <= 80 for line in process.stdout.splitlines())
        again = command("sweep-dropout", "--resume", "s", "--json", cwd=tmp_path)
        assert "4 done, 0 to run" in again.stderr
        assert json.loads(again.stdout)["summary"][1].startswith("4 training runs")

    def test_sweep_varies_any_key_and_says_so_where_there_is_no_test_split(self, command, photos, tmp_path):
        folder = tmp_path / "photos"
        shutil.copytree(photos, folder, ignore=shutil.ignore_patterns("test"))
        process = command(
            "sweep",
            "--vary",
            "model.pooling=max,avg",
            "--data",
            folder,
            "--seeds",
            1,
            "--epochs",
            1,
            *TINY,
            "--out",
            "s",
            cwd=tmp_path,
        )
        assert "There is no test split" in process.stdout
        assert "With one seed no difference can be told from chance" in " ".join(process.stdout.split())

    def test_a_trial_that_fails_has_its_reason_and_exit_code_1_and_the_others_their_say(
        self, command, photos, tmp_path
    ):
        # With this decay every step multiplies the weights by -9 until they are infinite.
        process = command(
            "sweep",
            "--vary",
            "train.weight_decay=0.01,1.0",
            "--set",
            "train.lr=10",
            "--seeds",
            1,
            "--epochs",
            30,
            *TINY,
            "--data",
            photos,
            "--out",
            "s",
            cwd=tmp_path,
            code=1,
        )
        assert "weight-decay-1_seed-0: failed: the loss became infinite" in " ".join(process.stderr.split())
        assert "failed trials: 1" in process.stderr
        assert "Run them again with: bearcnn sweep --resume s" in " ".join(process.stderr.split())
        assert "1 trial failed and is skipped" in " ".join(process.stdout.split())
        again = command("sweep", "--resume", "s", cwd=tmp_path, code=1)
        assert "1 done, 1 to run" in again.stderr
        assert "weight-decay-0.01" not in again.stderr

    def test_killed_at_a_random_moment_nothing_is_lost_and_nothing_runs_twice(self, command, photos, tmp_path):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bearcnn",
                "sweep-dropout",
                "--workers",
                "2",
                "--data",
                str(photos),
                "--rates",
                "0,0.6",
                "--seeds",
                "2",
                "--epochs",
                "4",
                *TINY,
                "--out",
                "s",
            ],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        log = tmp_path / "s" / "trial_log.jsonl"
        deadline = time.monotonic() + 120
        while not finished(log) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.Random(2).random() * 0.1)
        process.send_signal(signal.SIGKILL)  # the sweep alone: its workers have to notice
        process.wait()
        after = log.read_bytes()
        before = after[: after.rfind(b"\n") + 1]
        command("sweep-dropout", "--resume", "s", cwd=tmp_path)
        assert log.read_bytes().startswith(before), "a finished trial was lost"
        ids = [entry["id"] for entry in finished(log)]
        assert len(ids) == len(set(ids)) == 4, "a trial ran twice or never"

    def test_ctrl_c_says_how_to_go_on(self, photos, tmp_path, command, monkeypatch):
        def press(*_):
            raise KeyboardInterrupt

        options = ["--data", photos, "--rates", "0,0.5", "--seeds", 1, "--epochs", 2, *TINY, "--out", "s"]
        with monkeypatch.context() as patch:
            patch.setattr(SweepDisplay, "epoch_done", press)
            stopped = command("sweep-dropout", *options, cwd=tmp_path, code=130)
        assert "Continue with: bearcnn sweep-dropout --resume s" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        assert not finished(tmp_path / "s" / "trial_log.jsonl")


def finished(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]] if log.exists() else []
