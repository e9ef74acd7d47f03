"""Analysis of the finished trials: means with intervals, paired differences, the chosen setting and its test score."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import evaluate_repeats
from bearcnn.sweep.plan import GridPoint, Plan, Trial, list_points
from bearcnn.sweep.statistics import (
    Comparison,
    Mean,
    beats_chance,
    compare_paired,
    mean_interval,
    pooled_deviation,
    seeds_needed,
    visible_difference,
    within_one_standard_error,
)
from bearcnn.sweep.trial_log import Record

SCORE = "valid.roc_auc"
"""The score that ranks the settings."""

COMPARED = (SCORE, "valid.accuracy", "valid.log_loss", "train.roc_auc", "train.accuracy", "train.log_loss")

POINT = 0.01
"""The difference for which the summary states the number of seeds: one point of AUC."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting and the numbers of its trials."""

    point: GridPoint
    values: dict[str, dict[int, float]]  # "valid.roc_auc", ... -> seed -> number
    means: dict[str, Mean]
    failed: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """The numbers of a sweep, and the conclusions from them."""

    plan: Plan
    settings: tuple[Setting, ...]  # those with a finished trial, in the order of the plan
    comparisons: dict[str, list[Comparison]]  # score -> each later setting against the first, the baseline
    best: int  # index of the highest mean of SCORE
    chosen: int | None  # index of the first setting within one standard error of the best; None if nothing was learnt
    deviation: float | None  # of a paired difference in SCORE
    seeds_for_a_point: int | None
    visible: float | None  # the smallest true difference that this sweep detects with a power of 80%
    done: int
    failed: tuple[Record, ...]
    missing: int  # of the plan's trials
    photos: dict[str, int]  # split -> number
    test: dict[str, Estimate] = field(default_factory=dict)  # of the chosen setting; empty without a test split
    test_looks: tuple[str, ...] = ()  # labels of the settings whose test score was ever computed, in that order

    @property
    def baseline(self) -> Setting:
        """The setting that the others are compared with: the first one, or the smallest dropout rate."""
        return self.settings[0]


def analyse(
    plan: Plan,
    records: Mapping[str, Record],
    trials: Sequence[Trial],
    photos: dict[str, int],
    positives: int | None = None,
) -> Analysis:
    """Analyse the finished trials of a plan.

    Where no setting's validation AUC is shown to be above 0.5, none is chosen.

    Args:
        plan: of the sweep.
        records: the finished trials, by their names.
        trials: those of the plan.
        photos: number of photos of each split.
        positives: number of positive validation photos; half of them unless given.

    Raises:
        ValueError: no trial is done.
    """
    wanted = {trial.id for trial in trials}
    finished = [record for record in records.values() if record.id in wanted]
    settings = tuple(
        setting
        for point in list_points(plan)
        if (setting := _gather(point, [record for record in finished if record.settings == point.settings])).values
    )
    if not settings:
        raise ValueError("not one trial is done")
    comparisons = {
        name: compare_paired([setting.values[name] for setting in settings[1:]], settings[0].values[name])
        for name in COMPARED
    }
    scores = [setting.means[SCORE] for setting in settings]
    best, chosen = within_one_standard_error(scores)
    bears = photos["valid"] // 2 if positives is None else positives
    deviation = pooled_deviation(comparisons[SCORE])
    seeds = min((each.difference.n for each in comparisons[SCORE]), default=0)
    failed = tuple(record for record in finished if record.status == "failed")
    return Analysis(
        plan=plan,
        settings=settings,
        comparisons=comparisons,
        best=best,
        chosen=chosen if beats_chance(scores, bears, photos["valid"] - bears) else None,
        deviation=deviation,
        seeds_for_a_point=seeds_needed(deviation, POINT) if deviation else None,
        visible=visible_difference(seeds, deviation) if deviation is not None else None,
        done=len(finished) - len(failed),
        failed=failed,
        missing=len(wanted) - len(finished),
        photos=photos,
    )


def score_test(labels: NDArray[np.int64], predictions: Sequence[NDArray[np.float32]]) -> dict[str, Estimate]:
    """Score one setting on the test photos, from the predictions (photos,) of each of its trials."""
    return evaluate_repeats(labels, np.stack(predictions))


def to_json(analysis: Analysis, records: Mapping[str, Record]) -> dict[str, Any]:
    """Return the whole analysis and every trial as plain values, for programs."""
    settings = []
    for number, setting in enumerate(analysis.settings):
        against = {name: asdict(found[number - 1]) for name, found in analysis.comparisons.items()} if number else {}
        settings.append(
            {
                "label": setting.point.label,
                "settings": setting.point.settings,
                "failed": setting.failed,
                "means": {name: asdict(mean) for name, mean in setting.means.items()},
                "against_baseline": against,
            }
        )
    return {
        "format": 1,
        "score": SCORE,
        "photos": analysis.photos,
        "seeds": analysis.plan.seeds,
        "settings": settings,
        "baseline": analysis.baseline.point.settings,
        "best": analysis.settings[analysis.best].point.settings,
        "chosen": None if analysis.chosen is None else analysis.settings[analysis.chosen].point.settings,
        "deviation_of_paired_differences": analysis.deviation,
        "seeds_to_see_one_point": analysis.seeds_for_a_point,
        "visible_difference": analysis.visible,
        "test": {name: asdict(estimate) for name, estimate in analysis.test.items()} or None,
        "test_looks": analysis.test_looks,
        "trials": [asdict(record) for record in records.values()],
    }


def to_csv(records: Mapping[str, Record]) -> str:
    """Format the trials as CSV, one row per trial."""
    rows = []
    for record in records.values():
        scores = {f"{of}_{name}": value for of, values in record.scores.items() for name, value in values.items()}
        rows.append(
            {
                "trial": record.id,
                **record.settings,
                "seed": record.seed,
                "status": record.status,
                "reason": record.reason,
                "seconds": round(record.seconds, 3),
                "epochs": record.epochs,
                "best_epoch": record.best_epoch,
                **scores,
            }
        )
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _gather(point: GridPoint, records: Sequence[Record]) -> Setting:
    values: dict[str, dict[int, float]] = {}
    done = [record for record in records if record.status == "done"]
    for record in sorted(done, key=lambda record: record.seed):
        train, valid = record.scores["train"], record.scores["valid"]
        for name in train:
            # Positive if the network is better on the training photos.
            gap = valid[name] - train[name] if name == "log_loss" else train[name] - valid[name]
            for of, value in (("train", train[name]), ("valid", valid[name]), ("gap", gap)):
                values.setdefault(f"{of}.{name}", {})[record.seed] = value
    means = {name: mean_interval(list(by_seed.values())) for name, by_seed in values.items()}
    return Setting(point, values, means, len(records) - len(done))
