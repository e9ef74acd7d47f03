"""SIGKILL at random moments, again and again: training, sweep, cache, prediction and export lose and repeat nothing.

Each job is killed, continued and in the end compared with one that was left alone.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from bearcnn.config import load_config
from bearcnn.data.synthetic.scenes import write_scenes
from bearcnn.inference.predictor import Predictor
from tests.helpers.kills import Job, torment

pytestmark = pytest.mark.torture

TIMES = {"seconds", "images_per_second", "busy"}
"""What differs from run to run."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 drawn scenes of 96 px."""
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    write_scenes(folder, count=300, size=96, workers=1)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """A finished run."""
    job = Train(tmp_path_factory.mktemp("model"), scenes, "--epochs", 2)
    job.run()
    return job.folder


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def without_times(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in TIMES}


def check_whole(folder: Path) -> None:
    """Every file of a run or sweep that has its final name can be read to its end."""
    for path in folder.rglob("*"):
        if path.name == "trial_log.jsonl":
            continue  # a line can be cut: `check_killed` of a sweep
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            assert path.read_bytes().endswith(b"\n")
            [json.loads(line) for line in path.read_bytes().splitlines()]
        elif path.name == "config.toml":
            load_config(path)
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as file:
                assert all(file.get_tensor(name) is not None for name in file.keys())  # noqa: SIM118 - no dict
        elif path.suffix == ".onnx":
            Predictor(path)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].size for name in arrays.files)
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


class Train(Job):
    """A training run; the same one, left alone, is `calm`."""

    calm: "Train | None" = None

    def __init__(self, place: Path, photos: Path, *options: object, **environment: str) -> None:
        super().__init__(place, **environment)
        self.folder = place / "r"
        self.first = [
            "train",
            "--data",
            photos,
            "--image-size",
            48,
            "--set",
            "model.widths=[8,16]",
            "--batch-size",
            16,
            *options,
            "--out",
            "r",
        ]

    def arguments(self) -> list[object]:
        if self.is_finished():
            return ["report", "r"]
        if (self.folder / "config.toml").exists():
            self.counts["before the first epoch"] += not self.watched().exists()
            return ["train", "--resume", "r"]
        return self.first  # into the folder that may be there, and has nothing in it

    def watched(self) -> Path:
        return self.folder / "checkpoints/last.safetensors"

    def check_killed(self) -> None:
        if self.folder.exists():
            check_whole(self.folder)
        for entry in self.cache.glob("*/*"):  # built under another name
            assert entry.name.startswith("building-") or entry.suffix == ".lock" or (entry / "index.json").is_file()

    def is_finished(self) -> bool:
        metrics = self.folder / "metrics.json"
        return metrics.exists() and json.loads(metrics.read_bytes())["complete"]

    def check_finished(self) -> None:
        assert self.calm is not None
        if not (self.folder / "report.html").exists():  # killed between the scores and their page
            self.run()
        check_whole(self.folder)
        assert files_of(self.folder) == files_of(self.calm.folder)
        assert (self.place / "runs/latest").resolve() == self.folder
        self.check_temporary()
        weights, expected = (load_file(each.folder / "model.safetensors") for each in (self, self.calm))
        assert weights.keys() == expected.keys()
        assert all(weights[name].tobytes() == expected[name].tobytes() for name in expected), "other weights"
        histories = [
            [without_times(json.loads(line)) for line in (each.folder / "history.jsonl").read_text().splitlines()]
            for each in (self, self.calm)
        ]
        assert histories[0] == histories[1]
        answers = [(each.folder / "predictions.jsonl").read_bytes() for each in (self, self.calm)]
        assert answers[0] == answers[1]
        assert not list(self.cache.glob("*/building-*"))

    def reset(self) -> None:
        shutil.rmtree(self.folder)
        shutil.rmtree(self.place / "runs")
        shutil.rmtree(self.cache, ignore_errors=True)


def torment_training(folder: Path, photos: Path, kills: int, seed: int, *options: object, **environment: str) -> Train:
    calm = Train(folder / "calm", photos, *options, **environment)
    seconds = calm.run()
    job = Train(folder / "killed", photos, *options, **environment)
    job.calm = calm
    torment(job, kills, seed, seconds)
    return job


def report(figures: Callable[[str, Any], None], what: str, job: Job) -> None:
    counts = job.counts
    early = counts["before the first epoch"]
    early_words = f", {early} kills before the first epoch" if early else ""
    figures(
        f"kills of {what}",
        f"{counts['kills']} ({counts['of the process alone']} of the process alone), {counts['finished']} times "
        f"finished as if it had been left alone{early_words}",
    )


def test_training(scenes, tmp_path, figures) -> None:
    job = torment_training(tmp_path, scenes, 30, 1, "--epochs", 12)
    report(figures, "training", job)


def test_training_with_replicas(scenes, tmp_path, figures) -> None:
    options = ("--epochs", 40, "--image-size", 64, "--set", "train.replicas=2")
    job = torment_training(tmp_path, scenes, 15, 2, *options, OMP_NUM_THREADS="2")
    report(figures, "training with replicas", job)


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_training_with_a_body(scenes, tmp_path, figures, unfreeze: int) -> None:
    options = ("--epochs", 6, "--image-size", 64, "--body", "efficientnet_lite0")
    more = ("--unfreeze", 1, "--set", "train.unfreeze_epochs=3") if unfreeze else ()
    job = torment_training(tmp_path, scenes, 8, 3 + unfreeze, *options, *more)
    report(figures, "training with a body" + (" that learns too" if unfreeze else ""), job)


class Sweep(Job):
    """A sweep of four trials."""

    calm: "Sweep | None" = None

    def __init__(self, place: Path, photos: Path, workers: int) -> None:
        super().__init__(place)
        self.folder, self.workers, self.log = place / "s", workers, b""
        self.first = [
            "sweep-dropout",
            "--data",
            photos,
            "--rates",
            "0,0.5",
            "--seeds",
            2,
            "--epochs",
            4,
            "--image-size",
            32,
            "--set",
            "model.widths=[4,8]",
            "--batch-size",
            16,
            "--workers",
            workers,
            "--out",
            "s",
        ]

    def arguments(self) -> list[object]:
        if (self.folder / "plan.json").exists():
            return ["sweep-dropout", "--resume", "s", "--workers", self.workers]
        return self.first  # as for a training run

    def watched(self) -> Path:
        return self.folder / "trial_log.jsonl"

    def check_killed(self) -> None:
        if self.watched().exists():
            whole = self.watched().read_bytes()
            whole = whole[: whole.rfind(b"\n") + 1]
            assert whole.startswith(self.log), "a finished trial was lost"
            self.log = whole
        if self.folder.exists():
            check_whole(self.folder)

    def trials(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.watched().read_bytes().splitlines()]

    def check_finished(self) -> None:
        assert self.calm is not None
        assert self.watched().read_bytes().startswith(self.log)
        ids = [trial["id"] for trial in self.trials()]
        assert len(ids) == len(set(ids)) == 4, f"a trial ran twice or never: {ids}"
        scores = [
            {trial["id"]: (trial["status"], trial["scores"]) for trial in each.trials()} for each in (self, self.calm)
        ]
        assert scores[0] == scores[1]
        check_whole(self.folder)
        assert files_of(self.folder) == files_of(self.calm.folder)
        for trial in ids:
            answers = [np.load(each.folder / "trials" / trial / "predictions.npz") for each in (self, self.calm)]
            assert all(answers[0][name].tobytes() == answers[1][name].tobytes() for name in answers[1].files)
        self.check_temporary()

    def reset(self) -> None:
        shutil.rmtree(self.folder)
        shutil.rmtree(self.cache, ignore_errors=True)
        self.log = b""


@pytest.mark.parametrize("workers", [1, 2])
def test_sweep(scenes, tmp_path, figures, workers: int) -> None:
    calm = Sweep(tmp_path / "calm", scenes, workers)
    seconds = calm.run()
    job = Sweep(tmp_path / "killed", scenes, workers)
    job.calm = calm
    torment(job, 8, 10 + workers, seconds)
    report(figures, f"a sweep with {workers} worker{'s' * (workers > 1)}", job)


class Cache(Job):
    """The decoded pixels of a folder."""

    command = (
        "-c",
        "import sys, numpy; from bearcnn.data.dataset import Dataset\n"
        "pixels = Dataset.from_folder(sys.argv[1], image_size=96).pixels\n"
        "numpy.save(sys.argv[2], pixels)\n",
    )

    def __init__(self, place: Path, photos: Path) -> None:
        super().__init__(place)
        self.photos, self.calm = photos, b""

    def arguments(self) -> list[object]:
        return [self.photos, self.place / "pixels.npy"]

    def watched(self) -> Path:
        return self.cache / "pixels"

    def check_killed(self) -> None:
        for entry in (self.cache / "pixels").glob("*"):
            if not entry.name.startswith("building-") and entry.suffix != ".lock":
                assert np.load(entry / "pixels.npy").tobytes() == self.calm
                json.loads((entry / "index.json").read_bytes())

    def check_finished(self) -> None:
        pixels = np.load(self.place / "pixels.npy").tobytes()
        self.calm = self.calm or pixels
        assert pixels == self.calm
        assert {path.suffix for path in (self.cache / "pixels").iterdir()} == {"", ".lock"}
        assert not list((self.cache / "pixels").glob("building-*"))
        self.check_temporary()

    def reset(self) -> None:
        shutil.rmtree(self.cache)
        (self.place / "pixels.npy").unlink()


def test_cache(scenes, tmp_path, figures) -> None:
    job = Cache(tmp_path, scenes)
    seconds = job.run()
    job.check_finished()
    job.reset()
    torment(job, 40, 20, seconds)
    report(figures, "building the cache", job)


class Predict(Job):
    """A prediction into a file."""

    def __init__(self, place: Path, photos: Path, model: Path) -> None:
        super().__init__(place)
        self.out, self.journal = place / "bears.csv", place / "bears.csv.partial.jsonl"
        self.first = ["predict", photos, "--model", model, "--out", "bears.csv"]
        self.calm = b""

    def arguments(self) -> list[object]:
        return [*self.first, "--resume"] if self.journal.exists() else self.first

    def watched(self) -> Path:
        return self.journal

    def check_killed(self) -> None:
        if self.out.exists():
            assert self.out.read_bytes() == self.calm
            self.reset()  # nothing is ever overwritten

    def check_finished(self) -> None:
        self.calm = self.calm or self.out.read_bytes()
        assert self.out.read_bytes() == self.calm
        left = sorted(path.name for path in self.place.iterdir() if path.name not in ("cache", "temporary", "said"))
        assert left == ["bears.csv"]
        self.check_temporary()

    def reset(self) -> None:
        self.out.unlink()
        self.journal.unlink(missing_ok=True)


def test_predict(scenes, tmp_path, figures, model: Path) -> None:
    job = Predict(tmp_path, scenes, model)
    seconds = job.run()
    job.check_finished()
    job.reset()
    torment(job, 40, 30, seconds)
    report(figures, "predict", job)


class Export(Job):
    """An 8-bit file of a run."""

    def __init__(self, place: Path, run: Path) -> None:
        super().__init__(place)
        self.out, self.run_folder, self.before = place / "int8.onnx", run, files_of(run)
        self.calm: dict[str, bytes] = {}

    def arguments(self) -> list[object]:
        return ["export", self.run_folder, "--format", "int8", "--out", "int8.onnx", "--allow-loss"]

    def watched(self) -> Path:
        return self.temporary

    def check_killed(self) -> None:
        if self.out.exists():
            self.check_file()
            self.reset()

    def check_file(self) -> None:
        import onnx

        graph = onnx.load(self.out).graph.SerializeToString()
        assert self.calm.setdefault("graph", graph) == graph
        assert files_of(self.run_folder) == self.before

    def check_finished(self) -> None:
        self.check_file()
        left = sorted(path.name for path in self.place.iterdir() if path.name not in ("cache", "temporary", "said"))
        assert left == ["int8.onnx"]
        self.check_temporary()

    def reset(self) -> None:
        self.out.unlink()


def test_export(tmp_path, figures, model: Path) -> None:
    job = Export(tmp_path, model)
    seconds = job.run()
    job.check_finished()
    job.reset()
    torment(job, 15, 40, seconds)
    report(figures, "export", job)
