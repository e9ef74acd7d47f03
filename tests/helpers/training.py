"""Trainings that take seconds."""

from pathlib import Path

import pytest

from bearcnn.config import Config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.reporter import Reporter
from bearcnn.runs import EpochRecord, Run

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
        self.records: list[EpochRecord] = []
        self.stages: list[str] = []

    def model_built(self, layers):
        self.layers = layers

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


def small_config(photos: Path, *overrides: str) -> Config:
    """A configuration that trains in seconds."""
    return load_config(None, [*SMALL, f"data.path={photos}", *overrides])


def train_small(config: Config, directory: Path, reporter: Recorder | None = None) -> tuple[Run, Dataset, Recorder]:
    """A whole training run, as `bearcnn train` does it."""
    from bearcnn import pipeline  # torch: not for tests that only need a configuration

    reporter = reporter or Recorder()
    dataset = Dataset.from_config(config.data)
    return pipeline.train(config, dataset, directory, reporter=reporter), dataset, reporter


def train_apart(config: Config, folder: Path, reporter: Recorder | None = None) -> tuple[Run, Dataset, Recorder]:
    """A whole training run whose folder `runs` is in `folder`, for fixtures of whole modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return train_small(config, folder / "run", reporter)
