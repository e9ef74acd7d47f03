"""Where on the picture the windows of a map lie, and whether the best of them points at the bear.

Sizes and places follow from the configuration alone, so that `bearcnn predict` can draw window scores and the report
can judge them: this module must not import torch, fastai, matplotlib or pandas.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bearcnn.errors import DataError
from bearcnn.evaluation.intervals import Estimate, wilson_interval

if TYPE_CHECKING:  # for the types alone: drawing over a photo needs none of it
    from bearcnn.data.dataset import Dataset
    from bearcnn.data.splits import Split
    from bearcnn.inference.predictor import Predictor

BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class WindowHits:
    """How often the best window's centre lies in the bear's box, and how often it would without looking."""

    photos: int
    hits: int
    rate: Estimate
    chance: float | None
    """Of a window chosen blindly: the mean share of windows whose centre lies in the box."""
    best_place: float | None
    """Of always the same window, the one that lies in most of these boxes."""
    box_area: float | None
    """The mean share of the picture that the box covers."""


def window_hit_rate(
    scores: NDArray[np.floating[Any]], boxes: NDArray[np.floating[Any]], centres: NDArray[np.floating[Any]]
) -> WindowHits:
    """The share of photos whose best window points at the bear (the pointing game of Zhang et al. 2016).

    Args:
        scores: of each window, (photos, rows, columns); of equal ones the first counts.
        boxes: left, top, right, bottom of each bear as shares of the picture's sides, (photos, 4).
        centres: of the windows along either side, as `Manifest.window_centres` gives them, (rows,).
    """
    photos, rows, columns = scores.shape
    if photos == 0:
        return WindowHits(0, 0, Estimate(None, None, None), None, None, None)
    left, top, right, bottom = (side[:, None] for side in boxes.T)
    x, y = centres[None, :columns], centres[None, :rows]
    inside = ((top <= y) & (y < bottom))[:, :, None] & ((left <= x) & (x < right))[:, None, :]
    inside = inside.reshape(photos, -1)
    hits = int(inside[np.arange(photos), scores.reshape(photos, -1).argmax(1)].sum())
    area = ((right - left) * (bottom - top)).mean()
    rate = Estimate(hits / photos, *wilson_interval(hits, photos))
    return WindowHits(photos, hits, rate, float(inside.mean()), float(inside.mean(0).max()), float(area))


def read_boxes(root: Path) -> dict[Path, tuple[float, float, float, float]]:
    """The box of each bear in a folder of drawn scenes, as shares of the picture's sides; empty for other photos.

    Raises:
        DataError: the list of the scenes is damaged.
    """
    from bearcnn.data.synthetic.scenes import INDEX  # not at the top: it loads the painters

    index = root / INDEX
    if not index.is_file():
        return {}
    try:
        scenes = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
        bears = {root / scene["path"]: scene["box"] for scene in scenes if scene["is_bear"] and scene["box"]}
        if not bears:
            return {}
        with Image.open(next(iter(bears))) as image:  # they are all squares of one size
            side = image.width
        return {path: (box[0] / side, box[1] / side, box[2] / side, box[3] / side) for path, box in bears.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{index} can't be used: {error}; draw the scenes again with `bearcnn data synth`") from None


def measure_window_hits(
    predictor: "Predictor", dataset: "Dataset", split: "Split", progress: Callable[[int, int], None] | None = None
) -> dict[str, WindowHits] | None:
    """How well a model's windows point at the bears of a split: of "all" bears, and of those "called" so.

    None where nobody knows where the bears are: only drawn scenes come with boxes.
    """
    boxes = read_boxes(dataset.root)
    bears = [example for example in dataset.select(split) if example.path in boxes]
    if not bears:
        return None
    scores, called = [], []
    for start in range(0, len(bears), BATCH_SIZE):
        rows = np.array([example.row for example in bears[start : start + BATCH_SIZE]])
        probability, windows = predictor.predict_pixels(np.asarray(dataset.pixels[rows]))
        scores.append(windows)
        called.append(probability >= predictor.manifest.threshold)
        if progress:
            progress(min(start + BATCH_SIZE, len(bears)), len(bears))
    windows, chosen = np.concatenate(scores), np.concatenate(called)
    places = np.array([boxes[example.path] for example in bears])
    centres = predictor.manifest.window_centres(windows.shape[1])
    return {
        "all": window_hit_rate(windows, places, centres),
        "called": window_hit_rate(windows[chosen], places[chosen], centres),
    }
