"""Finished trials -> what they say: means with intervals, paired differences, the choice, its test score.

Numbers alone; verdict.py puts them into words. This module must not import torch, fastai, matplotlib or pandas.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import evaluate_repeats
from bearcnn.sweep.plan import Cell, Plan, Trial, list_cells
from bearcnn.sweep.statistics import (
    Comparison,
    Mean,
    compare_paired,
    mean_interval,
    pooled_deviation,
    seeds_needed,
    visible_difference,
    within_one_standard_error,
)
from bearcnn.sweep.trial_log import Record

SCORE = "valid.roc_auc"
"""What settings are ranked by."""

COMPARED = (SCORE, "valid.accuracy", "valid.log_loss", "train.roc_auc", "train.accuracy", "train.log_loss")

POINT = 0.01
"""The difference that a sweep should be able to see: one point of AUC."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting's trials."""

    cell: Cell
    values: dict[str, dict[int, float]]  # "valid.roc_auc" and so on -> seed -> number
    means: dict[str, Mean]
    failed: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What a sweep says."""

    plan: Plan
    settings: tuple[Setting, ...]  # in the order of the plan; those that were sampled, and at least one trial done
    comparisons: dict[str, list[Comparison]]  # of each setting but the first with the first, the baseline
    best: int  # the highest mean of SCORE
    chosen: int  # the first setting within one standard error of it
    deviation: float | None  # of a paired difference in SCORE
    seeds_for_a_point: int | None
    visible: float | None  # the smallest true difference that this sweep sees with a chance of 80%
    done: int
    failed: tuple[Record, ...]
    missing: int  # of the plan's trials
    photos: dict[str, int]  # split -> number
    test: dict[str, Estimate] = field(default_factory=dict)  # of the chosen setting; empty without a test split
    test_looks: tuple[str, ...] = ()  # settings whose test score was ever looked at, in the order of looking

    @property
    def baseline(self) -> Setting:
        """What the others are compared with: for dropout the smallest rate, else the first value of each key."""
        return self.settings[0]


def analyse(plan: Plan, records: Mapping[str, Record], trials: Sequence[Trial], photos: dict[str, int]) -> Findings:
    """What the finished trials say.

    Raises:
        ValueError: not one trial is done.
    """
    wanted = {trial.id for trial in trials}
    finished = [record for record in records.values() if record.id in wanted]
    settings = tuple(
        setting
        for cell in list_cells(plan)
        if (setting := _gather(cell, [record for record in finished if record.settings == cell.settings])).values
    )
    if not settings:
        raise ValueError("not one trial is done")
    comparisons = {
        name: compare_paired([setting.values[name] for setting in settings[1:]], settings[0].values[name])
        for name in COMPARED
    }
    best, chosen = within_one_standard_error([setting.means[SCORE] for setting in settings])
    deviation = pooled_deviation(comparisons[SCORE])
    seeds = min((each.difference.n for each in comparisons[SCORE]), default=0)
    failed = tuple(record for record in finished if record.status == "failed")
    return Findings(
        plan=plan,
        settings=settings,
        comparisons=comparisons,
        best=best,
        chosen=chosen,
        deviation=deviation,
        seeds_for_a_point=seeds_needed(deviation, POINT) if deviation else None,
        visible=visible_difference(seeds, deviation) if deviation is not None else None,
        done=len(finished) - len(failed),
        failed=failed,
        missing=len(wanted) - len(finished),
        photos=photos,
    )


def judge_choice(labels: NDArray[np.int64], predictions: Sequence[NDArray[np.float32]]) -> dict[str, Estimate]:
    """The test scores of one setting, from what each of its trials predicted for the test photos (photos,)."""
    return evaluate_repeats(labels, np.stack(predictions))


def to_json(findings: Findings, records: Mapping[str, Record]) -> dict[str, Any]:
    """All of it, for programs."""
    settings = []
    for number, setting in enumerate(findings.settings):
        against = {name: asdict(found[number - 1]) for name, found in findings.comparisons.items()} if number else {}
        settings.append(
            {
                "label": setting.cell.label,
                "settings": setting.cell.settings,
                "failed": setting.failed,
                "means": {name: asdict(mean) for name, mean in setting.means.items()},
                "against_baseline": against,
            }
        )
    return {
        "format": 1,
        "score": SCORE,
        "photos": findings.photos,
        "seeds": findings.plan.seeds,
        "settings": settings,
        "baseline": findings.baseline.cell.settings,
        "best": findings.settings[findings.best].cell.settings,
        "chosen": findings.settings[findings.chosen].cell.settings,
        "deviation_of_paired_differences": findings.deviation,
        "seeds_to_see_one_point": findings.seeds_for_a_point,
        "visible_difference": findings.visible,
        "test": {name: asdict(estimate) for name, estimate in findings.test.items()} or None,
        "test_looks": findings.test_looks,
        "trials": [asdict(record) for record in records.values()],
    }


def to_csv(records: Mapping[str, Record]) -> str:
    """One row a trial, for spreadsheets."""
    rows = []
    for record in records.values():
        scores = {f"{of}_{name}": value for of, values in record.scores.items() for name, value in values.items()}
        rows.append(
            {"trial": record.id, **record.settings, "seed": record.seed, "status": record.status,
             "reason": record.reason, "seconds": round(record.seconds, 3), "epochs": record.epochs,
             "best_epoch": record.best_epoch, **scores}
        )  # fmt: skip
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _gather(cell: Cell, records: Sequence[Record]) -> Setting:
    values: dict[str, dict[int, float]] = {}
    done = [record for record in records if record.status == "done"]
    for record in sorted(done, key=lambda record: record.seed):
        train, valid = record.scores["train"], record.scores["valid"]
        for name in train:
            # Positive where the network does better on what it was trained on.
            gap = valid[name] - train[name] if name == "log_loss" else train[name] - valid[name]
            for of, value in (("train", train[name]), ("valid", valid[name]), ("gap", gap)):
                values.setdefault(f"{of}.{name}", {})[record.seed] = value
    means = {name: mean_interval(list(by_seed.values())) for name, by_seed in values.items()}
    return Setting(cell, values, means, len(records) - len(done))
