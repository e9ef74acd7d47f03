"""Sweeps that take seconds."""

from pathlib import Path

from bearcnn.sweep.trial_log import Record
from tests.helpers.training import small_config


class Quiet:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.finished: list[Record] = []

    def trial_started(self, trial, epochs):
        self.started.append(trial)

    def epoch_done(self, trial, epoch):
        pass

    def trial_finished(self, record):
        self.finished.append(record)


def tiny_config(photos: Path, *overrides: str):
    return small_config(photos, "data.image_size=16", "model.widths=[4, 8]", *overrides)
