"""The built-in data set: drawn scenes with a bear, another animal or none: everything works without a download.

Bears and other animals share coats, places, sizes, light and scenery, and rocks wear the same coats, so that shape and
fur tell a bear, and colours hardly. This module must not import torch, fastai or matplotlib.
"""

import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from bearcnn.data.synthetic.animals import ANATOMY, BEARS, COATS, OTHERS, WEARERS, make_body
from bearcnn.data.synthetic.boxes import INDEX
from bearcnn.data.synthetic.landscapes import (
    LIGHT_ODDS,
    LIGHTS,
    SEASON_ODDS,
    SEASONS,
    draw_backdrop,
    grade_light,
    grow_foreground,
    make_rock,
    scatter_plants,
    vary_color,
)
from bearcnn.data.synthetic.painting import cast_stamp, press_stamp
from bearcnn.errors import DataError

SUBCLASSES = (*BEARS, *OTHERS, "empty")

DRAWING_VERSION = 1  # raise it whenever the same seed gives another picture: cached sets are named by it
DEFAULT_COUNT = 6000
DEFAULT_SIZE = 96
DEFAULT_SCALE = (0.5, 0.6)
DEFAULT_CLUTTER = 0.25
SCALE_LIMITS = (0.05, 0.6)

EMPTY_SHARE = 0.4  # of the scenes without a bear
SUPERSAMPLING = 2

Scale = float | tuple[float, float]
Progress = Callable[[int, int], None]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn picture and what is in it; `box` is left, top, right, bottom of the animal in pixels."""

    image: Image.Image
    subclass: str
    is_bear: bool
    box: Box | None
    scale: float
    """The longer side of the animal's box as a share of the picture's side; for an empty scene, what it would be."""


@dataclass(frozen=True, slots=True)
class ScenesSummary:
    """What `write_scenes` wrote: pictures by split and by subclass."""

    directory: Path
    count: int
    splits: dict[str, int]
    subclasses: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Order:
    """One picture to draw and where to put it; a worker process needs nothing else."""

    folder: Path
    number: int
    split: str
    size: int
    seed: int
    bear_scale: Scale
    clutter: float


def write_scenes(
    directory: Path,
    *,
    count: int = DEFAULT_COUNT,
    size: int = DEFAULT_SIZE,
    seed: int = 0,
    bear_scale: Scale = DEFAULT_SCALE,
    clutter: float = DEFAULT_CLUTTER,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ScenesSummary:
    """Draw a data set: directory/{train,valid,test}/{bear,not_bear}/<subclass>/<number>.jpg, and scenes.jsonl.

    Half of the pictures have a bear; of ten pictures six are for training, two for validation and two for the test.
    scenes.jsonl holds a line for each picture: its path, what is in it, and the animal's box. The folder appears all
    at once, when it is whole. The same arguments give the same files, however many `workers` draw.

    Raises:
        DataError: the folder is there already and not empty, can't be written to, or a number is out of its range.
    """
    _check(size, bear_scale, clutter, seed)
    if count < 20:
        raise DataError(f"{count} pictures are too few for three splits of bears and others: draw at least 20")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError(f"{directory} exists and is not empty; nothing is ever overwritten: choose another folder")
    directory = directory.resolve()
    # An empty folder that is there already may be the current one or a mount point, so it is filled, not replaced.
    fills = directory.exists()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory if fills else directory.parent))
    except OSError as error:
        raise DataError(f"{directory} can't be made: {error.strerror or error}; choose another folder") from None
    try:
        rows = []
        orders = [_Order(building, number, _split(number), size, seed, bear_scale, clutter) for number in range(count)]
        with closing(_draw_all(orders, workers or os.cpu_count() or 1)) as drawn:  # no worker outlives an interruption
            for row in drawn:
                rows.append(row)
                if progress:
                    progress(len(rows), count)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (building / INDEX).write_text(lines, encoding="utf-8")
        building.chmod(0o755)  # mkdtemp lets only the owner in
        if fills:
            for entry in sorted(building.iterdir(), key=lambda entry: entry.name == INDEX):  # the index last: now whole
                entry.rename(directory / entry.name)
        else:
            building.rename(directory)
    except OSError as error:
        raise DataError(f"{directory} can't be written: {error.strerror or error}; is the disk full?") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    splits, subclasses = Counter(row["split"] for row in rows), Counter(row["subclass"] for row in rows)
    return ScenesSummary(directory, count, dict(splits), dict(subclasses))


def builtin_scenes(cache_root: Path, progress: Progress | None = None) -> Path:
    """The folder of the default set below `cache_root`; drawn on first use, by one process for all that wait for it."""
    parameters = f"{DRAWING_VERSION} {DEFAULT_COUNT} {DEFAULT_SIZE} {DEFAULT_SCALE} {DEFAULT_CLUTTER} {EMPTY_SHARE}"
    name = f"scenes-{DRAWING_VERSION}-{hashlib.blake2b(parameters.encode(), digest_size=4).hexdigest()}"
    directory = cache_root / name
    try:
        cache_root.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_root / f"{name}.lock"):
            if not (directory / INDEX).is_file():
                for unfinished in (directory, *cache_root.glob(f".{name}-*")):  # ours alone, and not whole
                    shutil.rmtree(unfinished, ignore_errors=True)
                write_scenes(directory, progress=progress)
    except OSError as error:
        raise DataError(
            f"{cache_root} can't be written ({error.strerror or error}); set BEARCNN_CACHE to a folder that can"
        ) from None
    return directory


def _split(number: int) -> str:
    # By pairs, because pictures are bear and not in turn.
    return ("train", "train", "train", "valid", "test")[number // 2 % 5]


def _draw_all(orders: list[_Order], workers: int) -> Generator[dict[str, Any], None, None]:
    if workers == 1 or len(orders) < 100:  # starting processes would take longer
        yield from map(_draw_file, orders)
        return
    # Spawned: a forked child would inherit the locks of whatever threads the caller runs.
    # Ctrl-C is for the caller alone, which then stops them all.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=signal.signal, initargs=ignore) as pool:
        try:
            yield from pool.map(_draw_file, orders, chunksize=25)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # and wait, so that nobody writes any more
            raise


def _draw_file(order: _Order) -> dict[str, Any]:
    """Draw one picture into its file, and say what is in it."""
    scene = draw_scene(
        order.seed, order.number, size=order.size, is_bear=order.number % 2 == 0,
        bear_scale=order.bear_scale, clutter=order.clutter,
    )  # fmt: skip
    place = Path(order.split, "bear" if scene.is_bear else "not_bear", scene.subclass)
    (order.folder / place).mkdir(parents=True, exist_ok=True)
    file = place / f"{order.number:05}.jpg"
    scene.image.save(order.folder / file, quality=92)
    return {
        "path": file.as_posix(),
        "split": order.split,
        "subclass": scene.subclass,
        "is_bear": scene.is_bear,
        "box": scene.box,
        "scale": round(scene.scale, 4),
        "seed": order.seed,
        "clutter": order.clutter,
    }


def draw_scene(
    seed: int, index: int, *, size: int = DEFAULT_SIZE, is_bear: bool, bear_scale: Scale = DEFAULT_SCALE,
    clutter: float = DEFAULT_CLUTTER,
) -> Scene:  # fmt: skip
    """Picture number `index` of the set that `seed` names, `size` pixels a side; equal arguments give equal pixels.

    `bear_scale` is the longer side of the animal, bear or not, as a share of the picture's side, or a range of it;
    `clutter` from 0 to 1 is how much stands around and in front of it. Place and light depend on seed and index alone.

    Raises:
        DataError: a number out of its range.
    """
    low, high = _check(size, bear_scale, clutter, seed)
    place, body, paint, camera = np.random.default_rng([seed, index]).spawn(4)
    coat_name = ("brown", "black", "pale")[place.integers(3)]
    season = str(place.choice(tuple(SEASONS), p=SEASON_ODDS[coat_name]))
    light = str(place.choice(LIGHTS, p=LIGHT_ODDS))
    coats = COATS[coat_name]
    coat = vary_color(coats[place.integers(len(coats))], place, 0.08)
    scale = float(place.uniform(low, high))
    side = size * SUPERSAMPLING
    reach = scale * side
    horizon = int(side * place.uniform(0.22, 0.5))
    spot = (float(place.uniform(0, side)), horizon + (side - horizon) * float(place.uniform(0.3 + scale, 0.97)))
    coat_area = reach * reach * float(place.uniform(0.22, 0.44))

    bear, others = WEARERS[coat_name]
    subclass = bear if is_bear else "empty" if body.random() < EMPTY_SHARE else str(body.choice(others))
    animal = None
    if subclass != "empty":
        pale = vary_color((int(coat[0] * 0.5 + 112), int(coat[1] * 0.5 + 106), int(coat[2] * 0.5 + 94)), body, 0.05)
        animal = cast_stamp(make_body(subclass, pale, body), reach, ANATOMY[subclass].shag)
        coat_area -= animal.area

    canvas = draw_backdrop(side, horizon, season, light, place)
    scatter_plants(canvas, horizon, season, clutter, place)
    for nth in range(4):
        if coat_area < (0.04 * reach) ** 2 * 4:
            break
        lump = make_rock(paint)
        share = 1.0 if nth == 3 else float(paint.uniform(0.4, 1.0))
        trial = cast_stamp(lump, reach * 0.5)
        wide = 0.5 * reach * (coat_area * share / trial.area) ** 0.5
        lump_stamp = cast_stamp(lump, min(max(wide, 4.0), side * 0.6))
        coat_area -= lump_stamp.area
        x, y = spot
        if animal or nth:
            x = max(paint.uniform(0, side, 4).tolist(), key=lambda there: abs(there - spot[0]))
            y = horizon + (side - horizon) * float(paint.uniform(0.3, 0.96))
        press_stamp(
            canvas,
            lump_stamp,
            (int(x - lump_stamp.width / 2), int(y - lump_stamp.height)),
            vary_color(coat, paint, 0.08),
            paint,
        )
    box = None
    if animal:
        left = min(max(int(spot[0] - animal.width / 2), 0), side - animal.width)
        top = min(max(int(spot[1] - animal.height), 0), side - animal.height)
        press_stamp(canvas, animal, (left, top), coat, paint)
        edges = animal.numbers.getbbox()
        assert edges is not None
        box = ((left + edges[0]) // SUPERSAMPLING, (top + edges[1]) // SUPERSAMPLING,
               -(-(left + edges[2]) // SUPERSAMPLING), -(-(top + edges[3]) // SUPERSAMPLING))  # fmt: skip
    grow_foreground(canvas, spot, reach, season, clutter, camera)
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    image = Image.fromarray(grade_light(pixels, light, season, camera))
    return Scene(image, subclass, is_bear, box, scale)


def _check(size: int, bear_scale: Scale, clutter: float, seed: int) -> tuple[float, float]:
    """The lowest and highest scale, when everything asked for can be drawn.

    Raises:
        DataError: a number out of its range.
    """
    low, high = (bear_scale, bear_scale) if isinstance(bear_scale, (int, float)) else bear_scale
    if not 16 <= size <= 1024:
        raise DataError(f"size {size}: pictures are drawn from 16 to 1024 pixels a side; choose one in between")
    if not SCALE_LIMITS[0] <= low <= high <= SCALE_LIMITS[1]:
        limits = f"{SCALE_LIMITS[0]} to {SCALE_LIMITS[1]}"
        raise DataError(
            f"bear scale {low}-{high}: an animal can take {limits} of the picture's side, the smaller first"
        )
    if not 0 <= clutter <= 1:
        raise DataError(f"clutter {clutter}: choose a number from 0 (an open field) to 1 (a thicket)")
    if seed < 0:
        raise DataError(f"seed {seed}: choose 0 or a positive whole number")
    return low, high
