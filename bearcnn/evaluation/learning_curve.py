"""Scores of networks trained on more and more photos, with intervals, and the curve continued to twice as many.

All intervals come from one bootstrap. Each resample draws validation photos and seeds, the same ones for every size
(Owen 2007): a difference between sizes is free of what makes a resample easy for all of them. With few seeds the part
of the seeds is rough.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.formats import decimal, signed
from bearcnn.evaluation.intervals import Estimate, auc_interval, estimate, wilson_interval
from bearcnn.evaluation.power_law import fit_power_laws
from bearcnn.evaluation.resampling import Ranking, accumulate, percentile_interval, rank, resample, roc_auc
from bearcnn.evaluation.wording import FEW_OF_A_CLASS, FEW_PHOTOS, interval

FALSE_ALARMS = 0.05
"""The share of false alarms at which the recall is given."""

RECALL = 0.95
"""The recall at which the share of false alarms is given."""

FEWEST_SIZES, FEWEST_SEEDS = 4, 3
"""With fewer there is no extrapolation: a law has three numbers, and a spread needs a few seeds."""

SATURATED = 0.995
"""The AUC from which on no extrapolation is made: what is left to gain is a matter of single photos."""

TOLERANCE = 0.01
"""The difference of AUC that a prediction may be wrong by in the check, if it is more than chance."""

UNDERFITTED = 0.01
"""The advantage on its own training photos below which a network lacks training or size, not photos."""

SMALL = 0.005
"""The gain of AUC below which more photos hardly help: half a point."""

_RESAMPLES = 1000

_UNKNOWN = "These runs can't say whether more photos would help"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The scores of the networks trained on so many photos: means over the seeds."""

    photos: int
    runs: int
    roc_auc: Estimate
    recall: Estimate  # at FALSE_ALARMS
    false_alarms: Estimate  # share of the other photos, at RECALL
    aucs: tuple[float, ...]  # of the single runs
    training_auc: float | None  # mean, on their own training photos


@dataclass(frozen=True, slots=True)
class Check:
    """The largest size predicted from the smaller ones, in the way in which twice as many photos are."""

    predicted: Estimate
    measured: float
    excess: Estimate  # predicted minus measured, on the same resamples


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """The curve at twice the largest number of photos: a guess."""

    photos: int
    roc_auc: Estimate
    gain: Estimate  # from the largest number, on the curve
    floor: float  # 1 - AUC = floor + scale * photos ** -exponent
    scale: float
    exponent: float
    band: tuple[tuple[float, float, float, float], ...]  # photos, AUC, low, high: for a picture


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The measured curve, and what it says about more photos."""

    points: tuple[CurvePoint, ...]
    validation_photos: int
    validation_positives: int
    rise: Estimate  # of AUC, from the fewest to the most photos
    last_rise: Estimate  # of AUC, in the last step
    check: Check | None
    extrapolation: Extrapolation | None
    reason: str  # why there is no extrapolation

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        return {
            **asdict(self),
            "answer": answer(self),
            "recall_at_false_alarms": FALSE_ALARMS,
            "false_alarms_at_recall": RECALL,
        }


def measure_curve(
    labels: NDArray[np.int64],
    predictions: Mapping[int, Mapping[int, NDArray[np.float32]]],
    training_aucs: Mapping[int, float] | None = None,
    *,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> LearningCurve:
    """Measure a learning curve and continue it, if it can be trusted so far.

    Args:
        labels: 0 or 1 for each validation photo, (n,).
        predictions: number of training photos -> seed -> probabilities of the validation photos (n,).
        training_aucs: number of training photos -> mean AUC on these, if it is known.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no prediction, or an array has the wrong shape or a value outside its range.
    """
    sizes = sorted(photos for photos, runs in predictions.items() if runs)
    if not sizes:
        raise ValueError("not one size has a finished run")
    whole, drawn = _resample(labels, [predictions[photos] for photos in sizes], resamples, seed)
    points = []
    for place, photos in enumerate(sizes):
        auc, recall, false_alarms = (
            _with_width(name, float(whole[name][place].mean()), drawn[name][:, place], labels)
            for name in ("roc_auc", "recall", "false_alarms")
        )
        single = tuple(float(value) for value in whole["roc_auc"][place])
        points.append(
            CurvePoint(photos, len(single), auc, recall, false_alarms, single, (training_aucs or {}).get(photos))
        )
    aucs = drawn["roc_auc"]
    aucs = aucs[np.isfinite(aucs).all(axis=1)]  # (rows, sizes)
    check = _check(points, aucs)
    positives = int(labels.sum())
    reason = _object_to_photos(len(labels), positives) or find_objection(points, aucs, check)
    return LearningCurve(
        points=tuple(points),
        validation_photos=len(labels),
        validation_positives=positives,
        rise=_difference(points, aucs, 0),
        last_rise=_difference(points, aucs, max(0, len(points) - 2)),
        check=check,
        extrapolation=None if reason else extrapolate(points, aucs),
        reason=reason,
    )


def _with_width(name: str, value: float, drawn: NDArray[np.float64], labels: NDArray[np.int64]) -> Estimate:
    """Return a mean with its interval: a formula's where all resamples agree, as on perfect scores."""
    low, high = percentile_interval(drawn, 0.95)
    if low == high:
        positives, negatives = int(labels.sum()), int(len(labels) - labels.sum())
        if name == "roc_auc":
            low, high = auc_interval(value, positives, negatives)
        else:
            trials = positives if name == "recall" else negatives
            low, high = wilson_interval(value * trials, trials)
    return estimate(value, low, high)


def _object_to_photos(photos: int, positives: int) -> str:
    if photos >= FEW_PHOTOS and min(positives, photos - positives) >= FEW_OF_A_CLASS:
        return ""
    return (
        f"{photos} validation photos ({positives} positive) are too few to measure a difference: set aside more "
        "(data.valid_share)"
    )


def find_objection(points: Sequence[CurvePoint], aucs: NDArray[np.float64], check: Check | None) -> str:
    """Return why this curve can't be continued, as a sentence without its full stop; empty if it can.

    `aucs` (rows, sizes) are the mean AUCs of the resamples.
    """
    last = points[-1]
    assert last.roc_auc.value is not None
    if last.roc_auc.value >= SATURATED:
        return (
            f"the AUC is {decimal(last.roc_auc.value)} already, and what is left to gain is a matter of single photos"
        )
    if len(points) < FEWEST_SIZES:
        return f"a curve needs at least {FEWEST_SIZES} sizes, and there are {len(points)}"
    if min(point.runs for point in points) < FEWEST_SEEDS:
        return f"a curve needs at least {FEWEST_SEEDS} finished runs of each size"
    rise = _difference(points, aucs, 0)
    if rise.low is None or rise.low <= 0:
        return (
            f"the AUC with {last.photos:,} photos is not measurably higher than with {points[0].photos:,}: "
            "the curve is flat, as far as these photos and seeds can tell"
        )
    if check and check.excess.low is not None and check.excess.high is not None and check.excess.value is not None:
        shown = check.excess.low > 0 or check.excess.high < 0
        if shown and abs(check.excess.value) > TOLERANCE:
            return (
                f"continued in the same way, the smaller sizes promised {decimal(check.predicted.value)} for "
                f"{last.photos:,} photos, but {decimal(check.measured)} was measured"
            )
    if _misfit(points):
        return "the measured points don't lie on a power law, the usual form of such a curve"
    return ""


def extrapolate(points: Sequence[CurvePoint], aucs: NDArray[np.float64]) -> Extrapolation:
    """Continue a curve to twice its most photos; `aucs` (rows, sizes) are those of the resamples.

    The AUC is never above 1 and never below the curve's at the most photos. The intervals cover other validation
    photos, other draws and other seeds; not that the true curve may have another form.
    """
    sizes = np.array([point.photos for point in points], np.float64)
    weights = 1 / _variances(points)
    most = 2 * points[-1].photos
    middle = fit_power_laws(sizes, 1 - _means(points)[None, :], weights)
    resampled = fit_power_laws(sizes, 1 - aucs, weights)
    at = np.geomspace(sizes[0], most, 41)
    line, lines = 1 - middle.errors(at)[0], 1 - resampled.errors(at)
    ends = middle.errors([sizes[-1], most])[0]
    many = resampled.errors([sizes[-1], most])
    return Extrapolation(
        photos=most,
        roc_auc=_around(1 - float(ends[1]), 1 - many[:, 1]),
        gain=_around(float(ends[0] - ends[1]), many[:, 0] - many[:, 1]),
        floor=float(middle.floor[0]),
        scale=float(middle.scale[0]),
        exponent=float(middle.exponent[0]),
        band=tuple(
            (float(photos), float(value), *percentile_interval(column, 0.95))
            for photos, value, column in zip(at, line, lines.T, strict=True)
        ),
    )


def is_underfitted(point: CurvePoint) -> bool:
    """Check whether the networks are hardly better on their own training photos than on others."""
    if point.training_auc is None or point.roc_auc.value is None:
        return False
    return point.training_auc < SATURATED and point.training_auc - point.roc_auc.value < UNDERFITTED


def answer(curve: LearningCurve) -> str:
    """Answer in a few sentences whether more photos would help."""
    last, guess = curve.points[-1], curve.extrapolation
    now = f"With {last.photos:,} training photos the AUC is {decimal(last.roc_auc.value)}{_ends(last.roc_auc)}"
    underfitted = ""
    if is_underfitted(last):
        underfitted = (
            f" On its own training photos a network is hardly better ({decimal(last.training_auc)}): longer training "
            "(train.epochs) or a larger network comes first."
        )
    if guess:
        return (
            f"{_verdict_by_guess(guess)}. {now}; twice as many ({guess.photos:,}) would give about "
            f"{decimal(guess.roc_auc.value)}{_ends(guess.roc_auc)}, from a curve through {len(curve.points)} points: "
            f"a guess, not a measurement.{underfitted}"
        )
    step = ""
    few = _object_to_photos(curve.validation_photos, curve.validation_positives)
    if few:
        underfitted = ""  # a comparison with training photos would be as uncertain
    elif len(curve.points) > 1 and curve.last_rise.value is not None:
        rise = curve.last_rise
        step = (
            f" The step from {curve.points[-2].photos:,} to {last.photos:,} photos changed it by {signed(rise.value)}"
            f"{_ends(rise, signed)}."
        )
    return (
        f"{_verdict_by_step(curve, bool(underfitted))}. {now}.{step}{underfitted} There is no number for twice as "
        f"many, because {curve.reason}."
    )


def _verdict_by_guess(guess: Extrapolation) -> str:
    assert guess.gain.value is not None and guess.gain.high is not None
    if guess.gain.high < SMALL:
        return "More photos of this kind would hardly help"
    if guess.gain.value < SMALL:
        return "More photos of this kind would help a little at most"
    return "More photos would help"


def _verdict_by_step(curve: LearningCurve, underfitted: bool) -> str:
    rise = curve.last_rise
    if _object_to_photos(curve.validation_photos, curve.validation_positives):
        return _UNKNOWN
    if (curve.points[-1].roc_auc.value or 0.0) >= SATURATED:
        return "More photos of this kind would hardly help"
    if underfitted:
        return "Train longer before you add photos"
    if len(curve.points) > 1 and rise.low is not None and rise.low > 0:
        return "More photos seem to help"
    if len(curve.points) > 1 and rise.high is not None and rise.high < 2 * SMALL:
        return "The last photos hardly helped"
    return _UNKNOWN


def _ends(value: Estimate, text: Callable[[float | None], str] = decimal) -> str:
    return f" ({ends})" if (ends := interval(value, text)) else ""


def _resample(
    labels: NDArray[np.int64], sizes: Sequence[Mapping[int, NDArray[np.float32]]], resamples: int, seed: int
) -> tuple[dict[str, list[NDArray[np.float64]]], dict[str, NDArray[np.float64]]]:
    """Measure the runs of each size, (runs,) for each size; and the mean over runs of each resample, (rows, sizes)."""
    names = ("roc_auc", "recall", "false_alarms")
    seeds = sorted({number for runs in sizes for number in runs})
    rankings = [[rank(labels, runs[number], 0.5) for number in sorted(runs)] for runs in sizes]
    which = [[seeds.index(number) for number in sorted(runs)] for runs in sizes]
    ones = np.ones((1, len(labels)), np.int64)
    measured = [np.concatenate([_measure(each, ones) for each in ranked], axis=1) for ranked in rankings]
    whole = {name: [each[row] for each in measured] for row, name in enumerate(names)}
    generator = np.random.default_rng([seed, 1])
    parts: list[NDArray[np.float64]] = []  # (3, rows, sizes)
    for counts in resample(len(labels), resamples, seed):  # (rows, n)
        chosen = generator.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), len(counts))  # (rows, seeds)
        part = np.empty((len(names), len(counts), len(sizes)))
        for place, (ranked, of) in enumerate(zip(rankings, which, strict=True)):
            weights = chosen[:, of].T.astype(np.float64)  # (runs, rows)
            values = np.stack([_measure(each, counts) for each in ranked])  # (runs, 3, rows)
            with np.errstate(invalid="ignore"):  # none of a size's runs drawn: undefined
                part[:, :, place] = (values * weights[:, None, :]).sum(axis=0) / weights.sum(axis=0)
        parts.append(part)
    drawn = np.concatenate(parts, axis=1)
    return whole, dict(zip(names, drawn, strict=True))


def _measure(ranking: Ranking, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute AUC, recall at FALSE_ALARMS and false alarms at RECALL for each row of counts: (3, rows)."""
    found, alarms = accumulate(ranking, counts[:, ranking.order])
    positive, negative = found[:, -1], alarms[:, -1]  # (rows,)
    rows = np.arange(len(counts))
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample without one of the classes: undefined
        quiet = (alarms <= FALSE_ALARMS * negative[:, None] + 1e-9).sum(axis=1)
        recall = np.where(quiet > 0, found[rows, np.maximum(quiet - 1, 0)], 0.0) / positive
        enough = (found < RECALL * positive[:, None] - 1e-9).sum(axis=1)
        false_alarms = alarms[rows, enough] / negative
    return np.stack([roc_auc(found, alarms), recall, false_alarms])


def _check(points: Sequence[CurvePoint], aucs: NDArray[np.float64]) -> Check | None:
    if len(points) <= FEWEST_SIZES:
        return None
    before, sizes = points[:-1], np.array([point.photos for point in points], np.float64)
    weights = 1 / _variances(before)
    middle = 1 - fit_power_laws(sizes[:-1], 1 - _means(before)[None, :], weights).errors(sizes[-1:])[0, 0]
    resampled = 1 - fit_power_laws(sizes[:-1], 1 - aucs[:, :-1], weights).errors(sizes[-1:])[:, 0]  # (rows,)
    measured = float(_means(points)[-1])
    return Check(
        _around(float(middle), resampled), measured, _around(float(middle) - measured, resampled - aucs[:, -1])
    )


def _misfit(points: Sequence[CurvePoint]) -> bool:
    """Check whether the points lie further from the law than the spread of the seeds explains, at a level of 0.1%.

    The chi-square quantile is Wilson & Hilferty's (1931).
    """
    sizes, variances = np.array([point.photos for point in points], np.float64), _variances(points)
    law = fit_power_laws(sizes, 1 - _means(points)[None, :], 1 / variances)
    distance = float(((1 - _means(points) - law.errors(sizes)[0]) ** 2 / variances).sum())
    freedom = max(1, len(points) - 3)
    part = 2 / (9 * freedom)
    return distance > freedom * (1 - part + NormalDist().inv_cdf(0.999) * math.sqrt(part)) ** 3


def _means(points: Sequence[CurvePoint]) -> NDArray[np.float64]:
    return np.array([np.mean(point.aucs) for point in points])


def _variances(points: Sequence[CurvePoint]) -> NDArray[np.float64]:
    """Return the variance of each size's mean over seeds, (sizes,).

    That of a few seeds is rough: it is averaged with that of all sizes, and never less than a thousandth of AUC.
    """
    single = np.array([np.var(point.aucs, ddof=1) if point.runs > 1 else 0.0 for point in points])
    runs = np.array([point.runs for point in points], np.float64)
    return np.asarray(np.maximum((single + single.mean()) / 2, 1e-6) / runs)


def _difference(points: Sequence[CurvePoint], aucs: NDArray[np.float64], first: int) -> Estimate:
    means = _means(points)
    return _around(float(means[-1] - means[first]), aucs[:, -1] - aucs[:, first])


def _around(value: float, drawn: NDArray[np.float64]) -> Estimate:
    return estimate(value, *percentile_interval(drawn, 0.95))
