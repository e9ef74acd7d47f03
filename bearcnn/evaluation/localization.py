"""The pointing game: whether the best window of a class activation map lies on the bear."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.intervals import UNDEFINED, Estimate, proportion


@dataclass(frozen=True, slots=True)
class PointingGame:
    """The share of photos whose best window's centre lies in the bear's box, beside the shares by chance."""

    photos: int
    hits: int
    rate: Estimate
    chance: float | None
    """The hit rate of a random window: the mean share of windows whose centre lies in the box."""
    best_place: float | None
    """The hit rate of the best fixed window, whose centre lies in most of these boxes."""
    box_area: float | None
    """The mean share of the picture that the box covers."""

    @classmethod
    def from_metrics(cls, metrics: dict[str, Any]) -> "PointingGame | None":
        """Read the game of all bears from the content of metrics.json; None if there is none."""
        games = metrics.get("pointing_game") or metrics.get("window_hits")  # as bearcnn 0.1 called it
        return cls(**{**games["all"], "rate": Estimate(**games["all"]["rate"])}) if games else None


def play_pointing_game(
    scores: NDArray[np.floating[Any]], boxes: NDArray[np.floating[Any]], centres: NDArray[np.floating[Any]]
) -> PointingGame:
    """Count the photos whose best window points at the bear (Zhang et al. 2016).

    Args:
        scores: of each window, (photos, rows, columns); the first of equal ones is the best.
        boxes: left, top, right, bottom of each bear as shares of the picture's sides, (photos, 4).
        centres: of the windows along either side, as `inference.windows.find_windows` finds them, (rows,).
    """
    photos, rows, columns = scores.shape
    if photos == 0:
        return PointingGame(0, 0, UNDEFINED, None, None, None)
    left, top, right, bottom = (side[:, None] for side in boxes.T)
    x, y = centres[None, :columns], centres[None, :rows]
    inside = ((top <= y) & (y < bottom))[:, :, None] & ((left <= x) & (x < right))[:, None, :]
    inside = inside.reshape(photos, -1)
    hits = int(inside[np.arange(photos), scores.reshape(photos, -1).argmax(1)].sum())
    return PointingGame(
        photos=photos,
        hits=hits,
        rate=proportion(hits, photos),
        chance=float(inside.mean()),
        best_place=float(inside.mean(0).max()),
        box_area=float(((right - left) * (bottom - top)).mean()),
    )
