"""Metrics of probabilities against true labels, with intervals.

The single scores, the training loop and the bootstrap use one set of formulas.

A positive is a photo with label 1; it is predicted positive when its probability is at least the threshold. A number
that the data doesn't define (such as recall without a positive) is NaN in `score` and None in an `Estimate`.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bearcnn.evaluation.intervals import (
    Estimate,
    auc_interval,
    clustered_proportion,
    effective_number,
    estimate,
    f1_interval,
    weighted_sum,
    wilson_interval,
)
from bearcnn.evaluation.resampling import Ranking, accumulate, percentile_interval, rank, resample, roc_auc


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to score a model."""

    words: str  # its name for people
    higher_is_better: bool


METRICS: dict[str, Metric] = {
    "roc_auc": Metric("ROC AUC", True),
    "average_precision": Metric("average precision", True),
    "accuracy": Metric("accuracy", True),
    "balanced_accuracy": Metric("balanced accuracy", True),
    "precision": Metric("precision", True),
    "recall": Metric("recall", True),
    "false_positive_rate": Metric("false-positive rate", False),
    "f1": Metric("F1", True),
    "brier": Metric("Brier score", False),
    "log_loss": Metric("log loss", False),
}
"""Every metric by its name in files and on the command line."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """The number of photos of each class with each answer at the threshold."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of a model on labelled photos."""

    n: int
    positives: int
    threshold: float
    estimates: dict[str, Estimate]
    confusion: Confusion
    resamples: int
    confidence: float
    seed: int
    clusters: int | None = None  # groups of photos that count together; None where each photo counts alone

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes, with null for what is undefined."""
        fields = asdict(self)
        if self.clusters is None:
            del fields["clusters"]
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Evaluation":
        """Build the evaluation from the fields that `to_json` returned."""
        estimates = {name: Estimate(**estimate) for name, estimate in fields["estimates"].items()}
        return cls(**{**fields, "estimates": estimates, "confusion": Confusion(**fields["confusion"])})


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    threshold: float = 0.5,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> Evaluation:
    """Compute every metric with its confidence interval.

    `labels` (n,) are 0 or 1, `probabilities` (n,) those of class 1, and `clusters` (n,) name the group of each photo,
    such as its site or burst: photos of a group are right or wrong together, and count less than as many others.

    Accuracy, precision, recall and the false-positive rate are proportions and have Wilson intervals, which have a
    width even at 1: with 20 of 20 bears found, recall is 1.000 (0.839 to 1.000). Balanced accuracy and F1 are made of
    proportions, and their intervals of those. The others have bootstrap percentile intervals from resamples of the
    photos. The resampling is not stratified: the number of bears before the camera is chance as well, and average
    precision depends on it. A resample that leaves a number undefined is skipped for that number's interval. Where all
    resamples agree, as on a perfect ranking, the interval of the ROC AUC is Newcombe's (2006), and that of average
    precision is Wilson's with one trial per bear (Boyd, Eng & Page 2013).

    With clusters, proportions have the intervals of `clustered_proportion`, and resamples draw clusters.

    Raises ValueError for arrays of the wrong shape or with values outside their range.
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"resamples={resamples} must be at least 1, confidence={confidence} between 0 and 1")
    ranking = rank(labels, probabilities, threshold)
    groups = None if clusters is None else _number(clusters, ranking)
    cells = _count(ranking)
    positive, called = ranking.labels == 1, np.arange(ranking.n) < ranking.above

    values = {name: value[0] for name, value in _measure(ranking, np.ones((1, ranking.n), np.int64)).items()}

    by_formula = proportions(positive, called, groups, confidence)
    drawn = [_measure(ranking, counts) for counts in resample(ranking.n, resamples, seed, groups)]
    positives, negatives = (
        float(rows.sum()) if groups is None else effective_number(groups[rows]) for rows in (positive, ~positive)
    )
    estimates = {}
    for name, value in values.items():
        if name in by_formula:
            estimates[name] = by_formula[name]
            continue
        low, high = percentile_interval(np.concatenate([chunk[name] for chunk in drawn]), confidence)
        if low == high and name == "roc_auc":
            low, high = auc_interval(float(value), positives, negatives, confidence)
        elif low == high and name == "average_precision":
            low, high = wilson_interval(float(value) * positives, positives, confidence)
        estimates[name] = estimate(value, low, high)
    return Evaluation(
        ranking.n,
        int(positive.sum()),
        threshold,
        estimates,
        cells,
        resamples,
        confidence,
        seed,
        None if groups is None else int(groups.max(initial=-1)) + 1,
    )


def proportions(
    positive: NDArray[np.bool_],
    called: NDArray[np.bool_],
    clusters: NDArray[np.int64] | None = None,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Compute the metrics that are proportions, or made of them, with the intervals by formula that `evaluate` gives.

    `positive` (n,) are the photos with label 1, `called` (n,) those predicted positive, and `clusters` (n,) the numbers
    of their groups, from 0.
    """

    def share(successes: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        return clustered_proportion(successes[among], None if clusters is None else clusters[among], confidence)

    recall, specificity = share(called, positive), share(~called, ~positive)
    found, named = int((called & positive).sum()), int(called.sum()) + int(positive.sum())
    f1 = 2 * found / named if named else math.nan
    return {
        "accuracy": share(called == positive, np.ones(len(called), np.bool_)),
        "balanced_accuracy": weighted_sum((0.5, 0.5), (recall, specificity)),
        "precision": share(positive, called),
        "recall": recall,
        "false_positive_rate": share(called, ~positive),
        "f1": estimate(f1, *f1_interval(share(called & positive, called | positive))),
    }


def evaluate_repeats(
    labels: ArrayLike,
    repeats: ArrayLike,
    *,
    threshold: float = 0.5,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Compute every metric's mean over repeated training runs, with its interval.

    `labels` (n,) are 0 or 1, `repeats` (runs, n) the probabilities that each training run gives the same photos. Each
    bootstrap resample draws photos, the same for all runs, and runs: the interval covers the chance in the photos and
    the chance in the seed (Owen 2007; it is rather too wide than too narrow). With few runs the second part is rough.

    Raises ValueError as `evaluate` does.
    """
    scores = np.atleast_2d(np.asarray(repeats, dtype=np.float64))  # (runs, n)
    rankings = [rank(labels, each, threshold) for each in scores]
    n, runs = rankings[0].n, len(rankings)
    whole = [_measure(ranking, np.ones((1, n), np.int64)) for ranking in rankings]
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in METRICS}
    generator = np.random.default_rng([seed, 1])
    for counts in resample(n, resamples, seed):  # (rows, n)
        chosen = generator.multinomial(runs, np.full(runs, 1 / runs), len(counts)) / runs
        measured = [_measure(ranking, counts[:, ranking.order]) for ranking in rankings]
        for name, values in drawn.items():
            values.append((chosen * np.stack([each[name] for each in measured], axis=1)).sum(axis=1))
    estimates = {}
    for name, values in drawn.items():
        low, high = percentile_interval(np.concatenate(values), confidence)
        mean = float(np.mean([each[name][0] for each in whole]))
        estimates[name] = estimate(mean, low, high)
    return estimates


def score(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> dict[str, float]:
    """Compute every metric without an interval, fast enough for each epoch of training; NaN where undefined.

    `labels` (n,) are 0 or 1, `probabilities` (n,) those of class 1. Raises ValueError as `evaluate` does.
    """
    ranking = rank(labels, probabilities, threshold)
    return {name: float(value[0]) for name, value in _measure(ranking, np.ones((1, ranking.n), np.int64)).items()}


def compare(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> dict[str, Estimate]:
    """Compute every metric's difference, after minus before, of two models on the same photos, by a paired bootstrap.

    `labels`, `before` and `after` (n,) are of the same photos in the same order, and `clusters` (n,) number the groups
    that are drawn whole. Both models are scored on the same
    resamples: what makes a resample easy for both cancels out. Raises ValueError as `evaluate` does.
    """
    first, second = rank(labels, before, thresholds[0]), rank(labels, after, thresholds[1])
    whole = np.ones((1, first.n), np.int64)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in METRICS}
    for counts in resample(first.n, resamples, seed, clusters):
        old, new = _measure(first, counts[:, first.order]), _measure(second, counts[:, second.order])
        for name in METRICS:
            drawn[name].append(new[name] - old[name])
    old, new = _measure(first, whole), _measure(second, whole)
    return {
        name: estimate(
            float(new[name][0] - old[name][0]), *percentile_interval(np.concatenate(drawn[name]), confidence)
        )
        for name in METRICS
    }


def _number(clusters: ArrayLike, ranking: Ranking) -> NDArray[np.int64]:
    """Return the number of each photo's cluster, from 0, in the ranking's order."""
    names = np.asarray(clusters)
    if names.shape != (ranking.n,):
        raise ValueError(f"clusters {names.shape} must be ({ranking.n},), one for each photo")
    return np.unique(names, return_inverse=True)[1][ranking.order].astype(np.int64)


def _count(ranking: Ranking) -> Confusion:
    found = int(ranking.labels[: ranking.above].sum())
    missed = int(ranking.labels[ranking.above :].sum())
    return Confusion(found, ranking.above - found, missed, ranking.n - ranking.above - missed)


def _measure(ranking: Ranking, counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Compute every metric for each row of counts (rows, n): (rows,), NaN where undefined.

    Average precision is the sum over thresholds of precision times the gain in recall, without interpolation, as in
    scikit-learn; equal probabilities share one threshold.
    """
    found, alarms = accumulate(ranking, counts)
    found_here = np.diff(found, axis=1, prepend=0.0)
    positives, negatives = counts * ranking.labels, counts * (1 - ranking.labels)

    total = counts.sum(axis=1).astype(np.float64)
    positive = positives.sum(axis=1).astype(np.float64)
    negative = total - positive
    true_positive = positives[:, : ranking.above].sum(axis=1).astype(np.float64)
    false_positive = negatives[:, : ranking.above].sum(axis=1).astype(np.float64)
    false_negative = positive - true_positive
    true_negative = negative - false_positive

    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN: undefined
        precision_at = np.divide(found, found + alarms, out=np.zeros_like(found), where=found > 0)
        return {
            "roc_auc": roc_auc(found, alarms),
            "average_precision": (found_here * precision_at).sum(axis=1) / positive,
            "accuracy": (true_positive + true_negative) / total,
            "balanced_accuracy": (true_positive / positive + true_negative / negative) / 2,
            "precision": true_positive / (true_positive + false_positive),
            "recall": true_positive / positive,
            "false_positive_rate": false_positive / negative,
            "f1": 2 * true_positive / (2 * true_positive + false_positive + false_negative),
            "brier": counts @ ranking.squares / total,
            "log_loss": counts @ ranking.logarithms / total,
        }
