"""A learning curve: the same configuration trained on more and more photos, with several seeds each.

It is a sweep of `data.photos` with an analysis of its own. Each seed draws its own photos, and with one seed the fewer
photos are a part of the more.

    <curve>/  plan.json  config.toml  trial_log.jsonl  trials/         as in every sweep
              summary.json  learning_curve.png  trials.csv             the analysis
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import SweepError
from bearcnn.evaluation.learning_curve import LearningCurve, measure_curve
from bearcnn.files import write_atomically
from bearcnn.registry import load
from bearcnn.sweep.analysis import to_csv
from bearcnn.sweep.executors import find_executor
from bearcnn.sweep.executors.base import Resources
from bearcnn.sweep.folder import SweepFolder, choose_folder, create_sweep, read_predictions
from bearcnn.sweep.plan import Plan, SweptKey, make_plan
from bearcnn.sweep.reporter import SILENT, SweepReporter
from bearcnn.sweep.run import run_missing
from bearcnn.sweep.trial_log import lock_sweep

KEY = "data.photos"

SMALLEST = 16
"""The fewest photos by default."""

MIN_STEPS = 500
"""The fewest steps of a trial, unless the configuration says otherwise."""


def learning_curve(
    config: Config,
    dataset: Dataset,
    photos: Sequence[int] | None = None,
    *,
    seeds: int = 5,
    out: Path | str | None = None,
    executor: str = "local",
    workers: int = 1,
    reporter: SweepReporter = SILENT,
) -> LearningCurve:
    """Measure AUC and recall against the number of training photos, and guess those of twice as many.

    `photos` are the numbers of training photos, by default 16, 32, 64 and so on up to all. `dataset` is the data set of
    `config.data`. All files are written into the folder `out`, by default sweeps/<time>-learning-curve.

    Raises:
        SweepError: a size can't work, `out` is not empty, or no trial could be finished.
        ConfigError: a setting that can't work.
    """
    plan = plan_curve(config, dataset, photos, seeds)
    find_executor(executor)  # an unknown name is an error before anything is written
    folder = create_sweep(Path(out) if out else choose_folder(datetime.now(), "learning-curve"), plan, dataset)
    return run_curve(folder, plan, dataset, Resources(executor, workers), reporter)


def default_sizes(photos: int) -> tuple[int, ...]:
    """Return 16, 32, 64 and so on, and all; with fewer than 64 photos, four steps down from all by halves.

    A step that would be less than a third above the one before it is skipped.
    """
    first = SMALLEST if photos >= 4 * SMALLEST else max(2, photos // 8)
    sizes = []
    while first <= 0.75 * photos:
        sizes.append(first)
        first *= 2
    return (*sizes, photos)


def plan_curve(config: Config, dataset: Dataset, photos: Sequence[int] | None, seeds: int) -> Plan:
    """Plan a learning curve; 0 among `photos` stands for all.

    Every trial has the configured epochs, but at least `train.min_steps` steps, by default MIN_STEPS: a few photos in
    the usual epochs would be a handful of steps, and an unfair trial.

    Raises:
        SweepError: a size is below 2 or above the number of training photos, or there is no seed.
        ConfigError: a setting that can't work.
    """
    most = len(dataset.select("train"))
    if config.data.photos:
        most = min(most, config.data.photos)
    sizes = sorted({size or most for size in photos}) if photos else list(default_sizes(most))
    for size in sizes:
        if not 2 <= size <= most:
            raise SweepError(f"`photos` {size}: there are {most:,} photos to train on; give numbers from 2 to {most}")
    train = config.train if config.train.min_steps else config.train.model_copy(update={"min_steps": MIN_STEPS})
    data = config.data.with_all_photos
    return make_plan(
        config.model_copy(update={"train": train, "data": data}), [SweptKey("photos", (KEY,), tuple(sizes))], seeds
    )


def check_curve(plan: Plan, directory: Path) -> None:
    """Check that a folder's plan is that of a learning curve.

    Raises:
        SweepError: it is another sweep.
    """
    if [each.keys for each in plan.swept] != [(KEY,)]:
        raise SweepError(f"{directory} is no learning curve but a sweep; continue it with: bearcnn sweep --resume DIR")


def run_curve(
    folder: SweepFolder,
    plan: Plan,
    dataset: Dataset,
    resources: Resources = Resources(),  # noqa: B008  # frozen
    reporter: SweepReporter = SILENT,
) -> LearningCurve:
    """Run the missing trials of a curve's plan, then measure the curve and write its files.

    Raises:
        SweepError: another process runs this sweep, or no trial is done.
    """
    with lock_sweep(folder.directory):
        run_missing(folder, plan, dataset, resources, reporter)
        return write_curve(folder, plan, dataset)


def write_curve(folder: SweepFolder, plan: Plan, dataset: Dataset) -> LearningCurve:
    """Measure the curve of the finished trials and write summary.json, learning_curve.png and trials.csv.

    Raises:
        SweepError: no trial is done.
    """
    records = folder.records()
    predictions: dict[int, dict[int, NDArray[np.float32]]] = {size: {} for size in plan.swept[0].values}
    training: dict[int, list[float]] = {size: [] for size in predictions}
    failed = []
    _, labels = dataset.arrays("valid")
    for record in records.values():
        size = record.settings.get(KEY)
        if size not in predictions or record.seed not in plan.seeds:
            continue
        if record.status == "failed":
            failed.append(record)
        else:
            predictions[size][record.seed] = read_predictions(folder, record.id, "valid", len(labels))
            training[size].append(record.scores["train"]["roc_auc"])
    if not any(predictions.values()):
        why = f": {failed[0].reason}" if failed else ""
        raise SweepError(f"not one trial of {folder.directory} is done{why}")
    curve = measure_curve(
        labels, predictions, {size: float(np.mean(found)) for size, found in training.items() if found}
    )
    content = {
        "format": 1,
        "key": KEY,
        "seeds": list(plan.seeds),
        "epochs": plan.config.train.epochs,
        "min_steps": plan.config.train.min_steps,
        "failed": len(failed),
        **curve.to_json(),
    }
    picture = load("bearcnn.sweep.curve_plot:draw_curve")(curve)  # by name: matplotlib loads only now
    for name, data in (
        ("summary.json", json.dumps(content, indent=1).encode()),
        ("learning_curve.png", picture),
        ("trials.csv", to_csv(records).encode()),
    ):
        write_atomically(folder.directory / name, data, overwrite=True)
    return curve
