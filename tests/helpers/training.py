"""Trainings that take seconds, and what is made once for all processes that run the tests."""

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

from bearcnn.config import Config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.reporter import Reporter
from bearcnn.runs import EpochRecord, Run

Made = TypeVar("Made")

# In float32, so that the scores of a training are to the last digit those of what it exports.
SMALL = [
    "data.image_size=32",
    "model.widths=[8, 16]",
    "train.epochs=2",
    "train.batch_size=8",
    "train.precision=float32",
]


class Recorder(Reporter):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.layers: list[object] = []
        self.batches: list[tuple[int, int]] = []
        self.losses: list[float] = []
        self.records: list[EpochRecord] = []
        self.stages: list[str] = []

    def model_built(self, layers):
        self.layers = layers

    def running_loss(self, loss):
        self.losses.append(loss)

    def batch_done(self, done, total):
        self.batches.append((done, total))

    def epoch_done(self, record):
        self.records.append(record)

    def stage(self, what):
        self.stages.append(what)


class StopAfter(Recorder):
    """Ctrl-C in the middle of the epoch after `epochs`."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def batch_done(self, done, total):
        if len(self.records) == self.epochs and done == 2:
            raise KeyboardInterrupt


def assert_same_weights(one: Run, other: Run) -> None:
    import torch  # not for tests that only need a configuration
    from safetensors.torch import load_file

    first, second = load_file(one.weights_file), load_file(other.weights_file)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), f"{name} differs"


def assert_same_training(one: Run, other: Run) -> None:
    """Weights of the best and of the last epoch, and the optimizer's state, are the same to the bit."""
    import torch
    from safetensors.torch import load_file

    from bearcnn.training.checkpoint import best_file, last_file

    for file in (best_file, last_file):
        first, second = load_file(file(one)), load_file(file(other))
        assert first.keys() == second.keys()
        for name in first:
            assert torch.equal(first[name], second[name]), f"{name} differs"


def small_config(photos: Path, *overrides: str) -> Config:
    """A configuration that trains in seconds."""
    return load_config(None, [*SMALL, f"data.path={photos}", *overrides])


def train_small(config: Config, directory: Path, reporter: Recorder | None = None) -> tuple[Run, Dataset, Recorder]:
    """A whole training run, as `bearcnn train` does it."""
    from bearcnn import pipeline  # torch: not for tests that only need a configuration

    reporter = reporter or Recorder()
    dataset = Dataset.from_config(config.data)
    return pipeline.train(config, dataset, directory, reporter=reporter), dataset, reporter


def fit_small(config: Config, dataset: Dataset, directory: Path, reporter: Recorder | None = None) -> Run:
    """A training run alone, with checkpoints and history: no model file, scores or report, which take longer."""
    from bearcnn.runs import create_run
    from bearcnn.training.fit import fit

    run = create_run(directory, config)
    fit(run, dataset, reporter=reporter or Recorder())
    return run


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """Return what `make` returns for an empty folder; of several processes that run the tests, one makes it for all."""
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # whose folder is inside the one of all
        place = place.parent
    kept = place / f"{name}.pickle"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            (place / name).mkdir()
            kept.write_bytes(pickle.dumps(make(place / name)))
        made: Made = pickle.loads(kept.read_bytes())
    return made


@contextmanager
def float_file_of(run: Run) -> Iterator[None]:
    """Exports of this run begin with its own float file, in place of the same one made again, which takes seconds."""
    from bearcnn.export import run as exporting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "to_onnx", lambda network, manifest: run.onnx_file.read_bytes())
        yield


def train_apart(config: Config, folder: Path, reporter: Recorder | None = None) -> tuple[Run, Dataset, Recorder]:
    """A whole training run whose folder `runs` is in `folder`, for fixtures of whole modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return train_small(config, folder / "run", reporter)


def train_once(
    factory: pytest.TempPathFactory, name: str, config: Config, reporter: Recorder | None = None
) -> tuple[Run, Dataset, Recorder]:
    """A whole training run that one of the processes that run the tests makes for all; each gets a copy."""
    made, watcher = made_once(factory, name, lambda folder: train_apart(config, folder, reporter)[::2])
    copy = factory.mktemp(f"{name}-copy")
    shutil.copytree(made.directory.parent, copy, symlinks=True, dirs_exist_ok=True)
    return Run(copy / made.directory.name), Dataset.from_config(config.data), watcher
