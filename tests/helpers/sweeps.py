"""Sweeps that take seconds."""

from pathlib import Path

import numpy as np

from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.sweep.analysis import analyse
from bearcnn.sweep.executors.base import Job, Resources
from bearcnn.sweep.executors.serial import run_serially
from bearcnn.sweep.folder import SweepFolder, create_sweep
from bearcnn.sweep.plan import Plan, digest_config, list_points, make_trials, plan_dropout
from bearcnn.sweep.reporter import SILENT, SweepReporter
from bearcnn.sweep.run import run_plan
from bearcnn.sweep.trial_log import Record
from tests.helpers.training import small_config

PHOTOS = {"train": 100, "valid": 50, "test": 40}


class RecordingReporter(SweepReporter):
    """A reporter that writes down what it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.finished: list[Record] = []

    def trial_started(self, trial, epochs):
        self.started.append(trial)

    def trial_finished(self, record):
        self.finished.append(record)


def tiny_config(photos: Path, *overrides: str):
    return small_config(photos, "data.image_size=16", "model.widths=[4, 8]", *overrides)


def make_job(
    folder: SweepFolder, plan: Plan, dataset: Dataset, reporter: SweepReporter = SILENT, workers: int = 1, **resources
) -> Job:
    return Job(folder, dataset, plan.config.data, Resources(workers=workers, **resources), reporter)


def run_here(directory: Path, plan: Plan, dataset: Dataset | None = None) -> tuple[SweepFolder, RecordingReporter]:
    """Run what is missing of a plan in this process."""
    dataset = dataset or Dataset.from_config(plan.config.data)
    folder = SweepFolder(directory) if (directory / "plan.json").exists() else create_sweep(directory, plan, dataset)
    reporter = RecordingReporter()
    with run_serially(make_job(folder, plan, dataset, reporter)) as executor:
        run_plan(folder, plan, executor, reporter)
    return folder, reporter


def analyse_made_up(plan, auc, loss=lambda rate, seed: 0.5, failed=(), photos=PHOTOS):
    """Analyse made-up trials: `auc` and `loss` give validation AUC and training loss for a setting and a seed."""
    records = {}
    for trial in make_trials(plan, list_points(plan)):
        value = next(iter(trial.settings.values()))
        scores = {
            "train": {"log_loss": loss(value, trial.seed), "accuracy": 0.9, "roc_auc": 0.95},
            "valid": {"log_loss": 0.6, "accuracy": 0.8, "roc_auc": auc(value, trial.seed)},
        }
        lost = trial.id in failed
        records[trial.id] = Record(
            trial.id,
            trial.settings,
            trial.seed,
            "failed" if lost else "done",
            "too hot" if lost else "",
            digest_config(trial.config),
            "photos",
            1.0,
            2,
            1,
            {} if lost else scores,
            1,
            "host",
            "now",
        )
    return analyse(plan, records, make_trials(plan, list_points(plan)), photos), records


def dropout(seeds, rates=(0, 0.2, 0.4)):
    return plan_dropout(load_config(), "head", rates, seeds)


def noise(scale, size=(100, 100)):
    table = np.random.default_rng(1).normal(0, scale, size)
    return lambda rate, seed: float(table[int(rate * 10), seed])
