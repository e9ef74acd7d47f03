"""Damaged run and sweep folders: every command ends in the right result or in one line that says what is wrong."""

import json
import random
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from bearcnn import pipeline
from bearcnn.cli.app import main
from bearcnn.data.dataset import Dataset
from bearcnn.runs import Run
from bearcnn.sweep.run import sweep
from tests.helpers.damage import damage
from tests.helpers.training import Recorder, small_config

pytestmark = pytest.mark.torture

SEED = 20261130

GOOD = ("right", "refused")
"""The ways in which a command may end on a damaged file: with the right result, or with one line that says why not."""

Ending = tuple[str, str, str, str, str]
"""The damaged file, the kind of damage, the command, how it ended, and what it said."""


def read_result(run: Run) -> Any:
    """What a training run has come to, but for times."""
    metrics = {key: value for key, value in run.metrics().items() if key != "seconds"}
    epochs = [(record.epoch, record.train_loss, record.valid_loss, record.best) for record in run.history()]
    weights = {name: array.tobytes() for name, array in load_file(run.weights_file).items()}
    return metrics, epochs, run.prediction_rows(), weights


def read_scores(folder: Path) -> Any:
    """What a sweep has come to, but for times."""
    content = json.loads((folder / "sweep.json").read_bytes())
    trials = {trial["id"]: (trial["status"], trial["scores"]) for trial in content["trials"]}
    return [content[key] for key in ("settings", "chosen", "test", "summary", "test_looks")], trials


COMMANDS: dict[str, tuple[list[str], Callable[[Path, str], Any]]] = {
    "evaluate": (["evaluate", "run", "--json"], lambda _, said: json.loads(said)),
    "threshold": (
        ["evaluate", "run", "--target-recall", "0.9", "--save-threshold", "--json"],
        lambda folder, said: (json.loads(said), read_result(Run(folder / "run"))[0]),
    ),
    "report": (["report", "run"], lambda folder, _: (folder / "run" / "report.html").read_bytes()),
    "predict": (["predict", "photo.jpg", "--model", "run", "--json"], lambda _, said: json.loads(said)),
    "explain": (
        ["explain", "photo.jpg", "--model", "run", "--out", "e.png"],
        lambda folder, _: (folder / "e.png").read_bytes(),
    ),
    "export": (
        ["export", "run", "--format", "safetensors", "--out", "e.safetensors"],
        lambda folder, _: (folder / "e.safetensors").read_bytes(),
    ),
    "resume": (["train", "--resume", "run"], lambda folder, _: read_result(Run(folder / "run"))),
    "sweep": (["sweep", "--resume", "sweep"], lambda folder, _: read_scores(folder / "sweep")),
}
"""Each command, and the function that reads what it has come to."""

FINISHED = {
    "config.toml": ("evaluate", "report", "predict"),
    "dataset.json": ("evaluate", "report"),
    "history.jsonl": ("evaluate", "report"),
    "metrics.json": ("evaluate", "threshold", "report", "resume"),
    "predictions.jsonl": ("evaluate", "threshold", "report"),
    "report.html": ("evaluate", "report"),
    "model.onnx": ("evaluate", "report", "predict"),
    "model.safetensors": ("explain", "export", "threshold"),
}
"""The files of a finished run, and the commands that are tried on each damage: those that read it, and others."""


class Folder:
    """A copy of folders in which one file at a time is damaged."""

    def __init__(self, whole: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.whole, self.copy, self.capsys = whole, copy, capsys
        self.wanted: dict[str, Any] = {}

    def try_all(self, files: dict[str, tuple[str, ...]], rounds: int) -> Iterator[Ending]:
        """Damage each file in each way, and try each of its commands on that."""
        for command in sorted({command for commands in files.values() for command in commands}):
            self._renew()
            code, said, error = self._run(command)
            assert code == 0 or "run is finished" in error, error  # what a finished run is resumed to is itself
            self.wanted[command] = COMMANDS[command][1](self.copy, said)
        rng = random.Random(SEED)
        for name, commands in files.items():
            content = (self.whole / name).read_bytes()
            for kind, changed in damage(content, rng, rounds):
                for command in commands:
                    if changed != content:
                        self._renew()
                        (self.copy / name).write_bytes(changed)
                        yield name, kind, command, *self._judge(command)

    def _renew(self) -> None:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.whole, self.copy)

    def _run(self, command: str) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch, chdir(self.copy):
            patch.setattr(sys, "argv", ["bearcnn", *COMMANDS[command][0]])
            try:
                main()
            except SystemExit as left:
                said = self.capsys.readouterr()
                return int(left.code or 0), said.out, said.err
            except BaseException:
                self.capsys.readouterr()
                return -1, "", traceback.format_exc()
        raise AssertionError("main() returned")

    def _judge(self, command: str) -> tuple[str, str]:
        code, said, error = self._run(command)
        if code == -1 or "Traceback" in error:
            return "TRACEBACK", error
        if code == 0:
            found = COMMANDS[command][1](self.copy, said)
            return ("right", "") if found == self.wanted[command] else ("WRONG", error)
        lines = error.splitlines()
        clear = code == 1 and lines and lines[-1].startswith("error: ") and len(lines[-1]) < 1_000
        return "refused" if clear else "UNCLEAR", error


def count(endings: list[Ending], figures: Callable[[str, Any], None], what: str) -> None:
    """Record how many commands ended how; fail with those that ended badly."""
    figures(f"{what}: commands on damaged files", len(endings))
    for name in dict.fromkeys(name for name, *_ in endings):
        counts = Counter(how for each, _, _, how, _ in endings if each == name)
        figures(f"{what}, {name}", ", ".join(f"{number} {how}" for how, number in sorted(counts.items())))
    bad = [ending for ending in endings if ending[3] not in GOOD]
    assert not bad, f"{len(bad)} of {len(endings)}\n\n" + "\n\n".join(
        f"{how}: {command}, {name}, {kind}\n{said[-1500:]}" for name, kind, command, how, said in bad
    )


@pytest.fixture(scope="module")
def finished(trained, photos, tmp_path_factory) -> Path:
    """A finished run and a photo."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(trained[0].directory, folder / "run")
    shutil.copy(next((photos / "test").rglob("*.jpg")), folder / "photo.jpg")
    return folder


class KilledError(Exception):
    """Stands for a kill: nothing is tidied up after it."""


@pytest.fixture(scope="module")
def half(photos, tmp_path_factory) -> Path:
    """A run that was killed in its second epoch."""

    class Kill(Recorder):
        def batch_done(self, done, total):
            if len(self.records) == 1:
                raise KilledError("now")

    folder = tmp_path_factory.mktemp("half")
    config = small_config(photos)
    with chdir(folder), pytest.raises(KilledError):
        pipeline.train(config, Dataset.from_config(config.data), folder / "run", reporter=Kill())
    return folder


@pytest.fixture(scope="module")
def swept(photos, tmp_path_factory) -> Path:
    """A finished sweep."""
    folder = tmp_path_factory.mktemp("swept")
    config = small_config(photos, "model.widths=[8]", "train.epochs=1")
    sweep(config, Dataset.from_config(config.data), {"model.dropout": [0, 0.5]}, seeds=2, out=folder / "sweep")
    return folder


@pytest.mark.parametrize("name", FINISHED)
def test_a_damaged_finished_run(finished: Path, tmp_path: Path, capsys, figures, name: str) -> None:
    files = {f"run/{name}": FINISHED[name]}
    count(list(Folder(finished, tmp_path / "copy", capsys).try_all(files, 1)), figures, "finished run")


def test_a_damaged_half_run(half: Path, tmp_path: Path, capsys, figures) -> None:
    names = ("config.toml", "dataset.json", "history.jsonl", "checkpoints/last.safetensors")
    files = {f"run/{name}": ("resume",) for name in (*names, "checkpoints/best.safetensors")}
    count(list(Folder(half, tmp_path / "copy", capsys).try_all(files, 2)), figures, "half a run")


def test_a_damaged_sweep(swept: Path, tmp_path: Path, capsys, figures) -> None:
    content = json.loads((swept / "sweep" / "sweep.json").read_bytes())
    trial = next(each["id"] for each in content["trials"] if each["settings"] == content["chosen"])
    names = ("plan.json", "config.toml", "dataset.json", "trial_log.jsonl", "sweep.json", "sweep.csv", "summary.txt")
    names += (f"trials/{trial}/predictions.npz", f"trials/{trial}/config.toml", f"trials/{trial}/history.jsonl")
    files = {f"sweep/{name}": ("sweep",) for name in names}
    count(list(Folder(swept, tmp_path / "copy", capsys).try_all(files, 2)), figures, "sweep")
