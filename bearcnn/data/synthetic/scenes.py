"""A folder of drawn scenes, the built-in data set: everything works without a download."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bearcnn.data import OnProgress
from bearcnn.data.scratch import remove_abandoned, scratch_folder
from bearcnn.data.synthetic.boxes import INDEX
from bearcnn.data.synthetic.scene import (
    DEFAULT_CLUTTER,
    DEFAULT_SCALE,
    DEFAULT_SIZE,
    DRAWING_VERSION,
    EMPTY_SHARE,
    Scale,
    check_scene,
    draw_scene,
)
from bearcnn.errors import DataError
from bearcnn.machine import usable_cpus
from bearcnn.workers import exit_on_sigterm, map_in_processes

DEFAULT_COUNT = 6000


@dataclass(frozen=True, slots=True)
class ScenesSummary:
    """The result of `write_scenes`: pictures by split and by subclass."""

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
    on_progress: OnProgress | None = None,
) -> ScenesSummary:
    """Draw a data set: directory/{train,valid,test}/{bear,not_bear}/<subclass>/<number>.jpg, and scenes.jsonl.

    Half of the pictures have a bear; six of ten are for training, two for validation and two for the test.
    scenes.jsonl holds a line for each picture: its path, its content and the animal's box. The folder appears when it
    is whole. The same arguments give the same files, whatever the number of `workers`. `on_progress` counts pictures.

    Raises:
        DataError: the folder exists and isn't empty, or can't be written to, or a number is out of its range.
    """
    check_scene(size, bear_scale, clutter, seed)
    if count < 20:
        raise DataError(f"{count} pictures are too few for three splits of bears and others: draw at least 20")
    directory = directory.resolve()
    remove_abandoned(directory, directory.name)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError(f"{directory} exists and is not empty; nothing is ever overwritten: choose another folder")
    # An existing empty folder may be the current one or a mount point: it is filled, not replaced.
    fills = directory.exists()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(directory if fills else directory.parent, directory.name) as scratch:
            whole = scratch / "whole"
            whole.mkdir()
            rows = []
            orders = [_Order(whole, number, _split(number), size, seed, bear_scale, clutter) for number in range(count)]
            # No worker outlives an interruption. SIGTERM, like Ctrl-C, removes the half-written folder.
            with exit_on_sigterm(), closing(_draw_all(orders, workers or usable_cpus())) as drawn:
                for row in drawn:
                    rows.append(row)
                    if on_progress:
                        on_progress(len(rows), count)
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (whole / INDEX).write_text(lines, encoding="utf-8")
            if fills:
                for entry in sorted(
                    whole.iterdir(), key=lambda entry: entry.name == INDEX
                ):  # the index last: now whole
                    entry.rename(directory / entry.name)
            else:
                whole.rename(directory)
    except OSError as error:
        raise DataError(
            f"{directory} can't be written: {error.strerror or error}; make room or choose another folder"
        ) from None
    splits, subclasses = Counter(row["split"] for row in rows), Counter(row["subclass"] for row in rows)
    return ScenesSummary(directory, count, dict(splits), dict(subclasses))


def builtin_scenes(cache_root: Path, on_progress: OnProgress | None = None) -> Path:
    """Return the folder of the default set below `cache_root`; one process draws it on first use, and others wait."""
    parameters = f"{DRAWING_VERSION} {DEFAULT_COUNT} {DEFAULT_SIZE} {DEFAULT_SCALE} {DEFAULT_CLUTTER} {EMPTY_SHARE}"
    name = f"scenes-{DRAWING_VERSION}-{hashlib.blake2b(parameters.encode(), digest_size=4).hexdigest()}"
    directory = cache_root / name
    try:
        cache_root.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_root / f"{name}.lock"):
            if not (directory / INDEX).is_file():
                for unfinished in (directory, *cache_root.glob(f".{name}-*")):  # only bearcnn's own, unfinished ones
                    shutil.rmtree(unfinished, ignore_errors=True)
                write_scenes(directory, on_progress=on_progress)
    except OSError as error:
        raise DataError(
            f"{cache_root} can't be written ({error.strerror or error}); set BEARCNN_CACHE to a folder that can"
        ) from None
    return directory


def _split(number: int) -> str:
    # By pairs: bears and others alternate.
    return ("train", "train", "train", "valid", "test")[number // 2 % 5]


def _draw_all(orders: list[_Order], workers: int) -> Generator[dict[str, Any], None, None]:
    if workers == 1 or len(orders) < 100:  # starting processes would take longer
        yield from map(_draw_file, orders)
    else:
        yield from map_in_processes(_draw_file, orders, workers)


def _draw_file(order: _Order) -> dict[str, Any]:
    """Draw one picture into its file, and return its line of scenes.jsonl."""
    scene = draw_scene(
        order.seed,
        order.number,
        size=order.size,
        is_bear=order.number % 2 == 0,
        bear_scale=order.bear_scale,
        clutter=order.clutter,
    )
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
