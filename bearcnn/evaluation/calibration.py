"""Temperature scaling and reliability curves: of 100 photos with a probability of 0.8, 80 should be bears."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bearcnn.evaluation.intervals import Estimate, proportion
from bearcnn.evaluation.metrics import score

LOWEST, HIGHEST = 0.1, 10.0
"""The bounds of the temperature: beyond them a handful of photos would decide it."""

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The photos with a probability from `low` up to `high`."""

    low: float
    high: float
    photos: int
    probability: float  # their mean
    bears: Estimate  # the share of them that are bears


@dataclass(frozen=True, slots=True)
class Reliability:
    """The agreement of probabilities with the share of bears."""

    bins: tuple[Bin, ...]
    calibration_error: float
    error_by_chance: float  # the average of a perfectly calibrated model on as many photos
    brier: float
    log_loss: float

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        return asdict(self)


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """Fit the divisor of the log odds with the lowest log loss (Guo et al. 2017), within bounds.

    The loss is convex in 1 / temperature: bisection by the sign of its slope finds the lowest. Where all photos are on
    the right side of 0, a lower temperature would always be better: it stays at 1.
    """
    truth, odds = np.asarray(labels, np.float64), np.asarray(logits, np.float64)
    if truth.shape != odds.shape or truth.ndim != 1:
        raise ValueError(f"labels {truth.shape} and logits {odds.shape} must both be (n,)")
    margins = np.where(truth == 1, odds, -odds)  # positive for a right answer
    if not len(margins) or (margins > 0).all():
        return 1.0

    def slope(inverse: float) -> float:
        # d/da of the mean of log(1 + exp(-a m)).
        return float(-(margins * _sigmoid(-inverse * margins)).mean())

    low, high = 1 / HIGHEST, 1 / LOWEST
    if slope(low) >= 0:
        return HIGHEST
    if slope(high) <= 0:
        return LOWEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(2 / (low + high))


def apply_temperature(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return probabilities with their log-odds divided by a temperature."""
    return _sigmoid(log_odds(probabilities) / temperature)


def log_odds(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), finite where a float32 was rounded to 0 or 1."""
    rounding = float(np.finfo(np.float32).eps) / 2
    clipped = np.clip(np.asarray(probabilities, np.float64), rounding, 1 - rounding)
    return np.log(clipped) - np.log1p(-clipped)


def cross_fit(labels: ArrayLike, logits: ArrayLike, folds: int = 5, seed: int = 0) -> NDArray[np.float64]:
    """Calibrate each photo with a temperature that was fitted without it.

    Each class is spread evenly over the folds: every fold has bears even if there are few.
    """
    truth, odds = np.asarray(labels, np.int64), np.asarray(logits, np.float64)
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(truth), np.int64)
    for label in (0, 1):
        members = generator.permutation(np.flatnonzero(truth == label))
        fold[members] = np.arange(len(members)) % folds
    calibrated = np.zeros(len(truth))
    for number in range(folds):
        held = fold == number
        calibrated[held] = _sigmoid(odds[held] / fit_temperature(truth[~held], odds[~held]))
    return calibrated


def measure_reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS, seed: int = 0) -> Reliability:
    """Measure the reliability curve in bins of equal width, and the expected calibration error over them.

    The error is the mean distance between a bin's mean probability and its share of positives, weighted by its photos
    (Naeini et al. 2015). Chance alone makes it larger than 0 on few photos; `error_by_chance` is its mean over
    200 draws of labels from the probabilities themselves.
    """
    truth, scores = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    numbers = score(truth, scores)
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    rows = []
    for number in range(bins):
        inside = place == number
        if inside.any():
            share = proportion(int(truth[inside].sum()), int(inside.sum()))
            rows.append(Bin(number / bins, (number + 1) / bins, int(inside.sum()), float(scores[inside].mean()), share))
    drawn = np.random.default_rng(seed).random((200, len(scores))) < scores
    chance = [_calibration_error(labels_drawn, scores, place, bins) for labels_drawn in drawn]
    return Reliability(
        tuple(rows),
        _calibration_error(truth, scores, place, bins),
        float(np.mean(chance)) if len(scores) else 0.0,
        numbers["brier"],
        numbers["log_loss"],
    )


def _calibration_error(truth: NDArray[Any], scores: NDArray[np.float64], place: NDArray[np.int64], bins: int) -> float:
    gaps = np.bincount(place, weights=scores - truth, minlength=bins)
    return float(np.abs(gaps).sum() / len(scores)) if len(scores) else 0.0


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(logits))  # never overflows
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), np.float64)
