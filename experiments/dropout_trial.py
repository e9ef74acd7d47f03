"""Dropout, a fair trial: worse on training photos, better on unseen ones, if training runs to its end?

    python experiments/dropout_trial.py
    python experiments/dropout_trial.py --data PHOTOS

Every rate trains until the loss on the validation photos stops falling, by one rule, and the network of the best epoch
is judged on the test photos, which decide nothing. The network has nothing else against overfitting: no weight decay,
no label smoothing, and at first no batch norm and no augmentation. Each seed draws photos and first weights of its own,
the same for all rates.

The trials run one after the other in this process; after a kill, the same command continues. The numbers of a finished
comparison go to experiments/results/dropout_trial/. From there `dropout_findings.py` writes the block of
docs/findings-dropout.md and docs/pictures/dropout-trial*.png, also before the last comparison is finished.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from common import FINDINGS, arguments, draw
from dropout_findings import PAGE, RESULTS, publish_findings, write_results
from heads import describe_machine

from bearcnn.config import Config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.evaluation.metrics import score
from bearcnn.sweep.executors.base import Resources
from bearcnn.sweep.folder import SweepFolder, create_sweep, read_predictions
from bearcnn.sweep.plan import Plan, list_points, make_trials, plan_grid
from bearcnn.sweep.reporter import SweepReporter
from bearcnn.sweep.run import run_missing
from bearcnn.sweep.trial import BEST
from bearcnn.sweep.trial_log import Record, lock_sweep

RATES = (0.0, 0.2, 0.5, 0.8)
STEPS, BATCH, LONGEST, PATIENCE = 16, 50, 60, 8  # steps in an epoch, photos in a step, epochs, epochs
POOL, OTHERS = 1200, 400  # drawn scenes: to draw training photos from; for validation, and as many for the test
NETWORK = (
    "data.image_size=32",
    "model.kernel_size=[3,3,1]",
    "model.dropout=0",
    "train.schedule=constant",
    "train.lr=1e-3",
    f"train.batch_size={BATCH}",
    "train.monitor=valid_loss",
    f"train.patience={PATIENCE}",
    "train.weight_decay=0",
    "train.label_smoothing=0",
    "train.balance=none",
    "train.subclasses=false",
    "train.precision=float32",
    "train.replicas=1",
)
NO_AUGMENTATION = (
    "augment.flip=0",
    "augment.crop=1",
    "augment.stretch=1",
    "augment.rotation=0",
    "augment.brightness=0",
    "augment.contrast=0",
)
AUGMENTATION = ("augment.crop=0.9", "augment.stretch=1", "augment.rotation=0")
WIDE, NARROW = "[8,16,256]", "[8,16,32]"
MEASURES = ("log_loss", "accuracy", "roc_auc")


@dataclass(frozen=True)
class Setup:
    """What all rates of one comparison share."""

    photos: int
    norm: str = "none"
    augmented: bool = False
    widths: str = WIDE
    key: str = "model.dropout"

    @property
    def name(self) -> str:
        """Name it in tables, pictures and folders."""
        parts = [f"{self.photos} photos"]
        parts += ["batch norm"] * (self.norm == "batch") + ["augmented"] * self.augmented
        parts += ["narrow"] * (self.widths == NARROW) + ["whole channels"] * (self.key == "model.conv_dropout")
        return ", ".join(parts)

    def configure(self, options: Namespace, data: Path) -> Config:
        """Build the configuration of its trials, but for rate and seed."""
        epochs = options.epochs or LONGEST
        settings = [
            *NETWORK,
            *(AUGMENTATION if self.augmented else NO_AUGMENTATION),
            f"data.path={data.resolve()}",
            f"data.photos={self.photos}",
            f"model.norm={self.norm}",
            f"model.widths={self.widths}",
            f"train.epochs={epochs}",
            f"train.min_steps={epochs * STEPS}",
        ]
        return load_config(options.config, settings)


# The most telling ones first: an early stop leaves whole comparisons.
SETUPS = (
    Setup(200),
    Setup(50),
    Setup(800),
    Setup(200, "batch"),
    Setup(200, augmented=True),
    Setup(200, key="model.conv_dropout"),
    Setup(200, widths=NARROW),
    Setup(800, "batch"),
    Setup(50, "batch"),
    Setup(800, augmented=True),
    Setup(50, augmented=True),
    Setup(200, "batch", augmented=True),
    Setup(800, "batch", augmented=True),
    Setup(50, "batch", augmented=True),
)


class Progress(SweepReporter):
    """A line for each finished trial."""

    def __init__(self, name: str) -> None:
        self.name = name

    def trial_finished(self, record: Record) -> None:
        """Say how it went; the test photos stay unseen until all rates are done."""
        rate, best = next(iter(record.settings.values())), record.scores.get("best", {})
        print(
            f"  {self.name}, rate {rate}, seed {record.seed}: best epoch {record.best_epoch} of {record.epochs}, "
            f"validation AUC {best.get('roc_auc', float('nan')):.3f}, {record.seconds:.0f} s {record.reason}",
            file=sys.stderr,
            flush=True,
        )


def main(setups: Sequence[Setup] = SETUPS) -> None:
    """Run the trials, and publish the comparisons that are finished."""
    options = arguments(__doc__.splitlines()[0])
    options.out = PAGE if options.out == FINDINGS else options.out
    folder = options.data or draw(options.work / f"trial-{POOL}", POOL, OTHERS, clutter=0)
    dataset = hold_out(Dataset.from_config(setups[0].configure(options, folder).data.with_all_photos))
    content = {
        "seeds": options.seeds,
        "steps": STEPS,
        "batch": BATCH,
        "patience": PATIENCE,
        "longest": options.epochs or LONGEST,
        "epochs": options.epochs,
        "machine": describe_machine(),
        "photos": {split: len(dataset.select(split)) for split in ("train", "valid", "test")},
        "own_photos": options.data is not None,
        "planned": [setup.name for setup in setups],
    }
    results = RESULTS if options.out == PAGE else options.out.parent
    file = results / ("photos.json" if options.data else "scenes.json")
    comparisons: list[dict[str, Any]] = []
    for setup in setups:
        comparisons.append({"name": setup.name, "trials": run(setup, options, folder, dataset)})
        write_results(file, {**content, "comparisons": comparisons})
    publish_findings(file, options.out)


def hold_out(dataset: Dataset) -> Dataset:
    """Make a test split, if there is none, of every other validation photo of each class."""
    if dataset.select("test"):
        return dataset
    numbers = {label: count() for label in (0, 1)}
    examples = [
        replace(each, split="test") if each.split == "valid" and next(numbers[each.label]) % 2 else each
        for each in dataset.examples
    ]
    return replace(dataset, examples=tuple(examples))


def run(setup: Setup, options: Namespace, data: Path, dataset: Dataset) -> list[dict[str, Any]]:
    """Run what is missing of one comparison, and score its trials."""
    config = setup.configure(options, data)
    plan = plan_grid(config, {setup.key: list(RATES)}, options.seeds)
    plan = replace(plan, config=config)  # sweeps turn train.patience off: they judge on the validation photos
    name = "-".join(["dropout_trial", *([options.data.name] if options.data else []), setup.name])
    directory = options.work / name.replace(", ", "-").replace(" ", "_")
    folder = SweepFolder(directory)
    if not folder.plan_file.is_file():
        create_sweep(directory, plan, dataset)
    with lock_sweep(directory):
        run_missing(folder, plan, dataset, Resources(), Progress(setup.name))
    return score_trials(folder, plan, dataset)


def score_trials(folder: SweepFolder, plan: Plan, dataset: Dataset) -> list[dict[str, Any]]:
    """Score each trial's networks on each split: that of the best epoch, and that of the last one."""
    records, found = folder.records(), []
    for trial in make_trials(plan, list_points(plan)):
        record, limited = records[trial.id], dataset.limit(trial.config.data.photos, trial.seed)
        if record.status != "done":
            raise SystemExit(f"{trial.id} in {folder.directory} failed: {record.reason}")
        scores = {
            "rate": next(iter(trial.settings.values())),
            "seed": trial.seed,
            "epochs": record.epochs,
            "best_epoch": record.best_epoch,
        }
        for split in ("train", "valid", "test"):
            _, labels = limited.arrays(split)
            for kept, place in ((BEST, ""), ("", "last.")):
                measured = score(labels, read_predictions(folder, trial.id, f"{kept}{split}", len(labels)))
                scores |= {f"{place}{split}.{name}": round(measured[name], 5) for name in MEASURES}
        found.append(scores)
    return found


if __name__ == "__main__":
    main()
