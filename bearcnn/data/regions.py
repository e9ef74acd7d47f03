"""The pictures that a photo is seen as: its whole frame, overlapping tiles, or crops of detected animals.

A network sees a square of few pixels, in which a small bear of a wide photo is a speck. A photo of several pictures has
the answer of its best one. Areas and boxes are left, top, right and bottom as shares of the upright photo's sides.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

Box = tuple[float, float, float, float]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

OVERLAP = 1 / 3
"""The least overlap of neighbouring tiles, as a share of a tile's side: an animal of that size is whole in one."""

LONGEST = 4
"""The longest photo, as a multiple of its shorter side, with square tiles; in a longer one they are wider instead."""

Undetected = Literal["whole", "negative"]


class Region(NamedTuple):
    """One picture of a photo."""

    area: Box  # the part of the photo that the picture shows
    box: Box | None  # what an answer tells the user: the animal's box, the tile; None for the whole frame


WHOLE_FRAME = Region(WHOLE, None)

FindRegions = Callable[[int, int], Sequence[Region]]
"""Takes the width and height of an upright photo in pixels; returns its pictures."""


class Regions(Protocol):
    """A way to see photos as pictures."""

    @property
    def most(self) -> int:
        """The largest number of pictures of one photo."""

    def of(self, path: Path) -> FindRegions:
        """Return the function that finds a photo's pictures, once its size is known."""


@dataclass(frozen=True, slots=True)
class WholeFrames:
    """Each photo is one picture of its whole frame."""

    @property
    def most(self) -> int:
        """One."""
        return 1

    def of(self, path: Path) -> FindRegions:
        """Return the whole frame for any photo."""
        return lambda width, height: (WHOLE_FRAME,)


WHOLE_FRAMES = WholeFrames()


@dataclass(frozen=True, slots=True)
class Tiles:
    """Each photo is its whole frame and overlapping square tiles, `count` of them along its shorter side."""

    count: int

    @property
    def most(self) -> int:
        """The number of pictures of a photo with sides of `LONGEST` to 1."""
        return 1 + len(tile_areas(LONGEST, 1, self.count))

    def of(self, path: Path) -> FindRegions:
        """Return the whole frame, then the tiles row by row."""
        return lambda width, height: (
            WHOLE_FRAME,
            *(Region(area, area) for area in tile_areas(width, height, self.count)),
        )


@dataclass(frozen=True, slots=True)
class Crops:
    """Each photo is a crop around each animal that a detector found in it.

    A photo without a detected animal is its whole frame: the detector can miss a bear. With `undetected = "negative"`
    it is no picture at all, if the detector has processed it.
    """

    boxes: Mapping[str, tuple[Box, ...] | None] = field(repr=False)
    """The boxes of a photo's animals by its absolute path, the surest first; None where the detector failed."""
    padding: float
    undetected: Undetected = "whole"

    @property
    def most(self) -> int:
        """The largest number of animals in one photo."""
        return max((len(boxes) for boxes in self.boxes.values() if boxes), default=1)

    def of(self, path: Path) -> FindRegions:
        """Return the crops, the surest animal's first."""
        boxes = self.boxes.get(absolute(path), None)
        if boxes:
            return lambda width, height: [Region(crop_area(box, width, height, self.padding), box) for box in boxes]
        if boxes is not None and self.undetected == "negative":
            return lambda width, height: ()
        return WHOLE_FRAMES.of(path)

    def surest(self, path: Path) -> "Crop | None":
        """Return the crop that a labelled photo is in training; None for its whole frame."""
        boxes = self.boxes.get(absolute(path))
        return Crop(*boxes[0], self.padding) if boxes else None


class Crop(NamedTuple):
    """A detected animal's box and the padding around it: with the photo's size, they give a picture's area."""

    left: float
    top: float
    right: float
    bottom: float
    padding: float

    @property
    def box(self) -> Box:
        """The animal's box."""
        return self[:4]

    def find(self, width: int, height: int) -> tuple[Region]:
        """Return the one picture of a photo of this size."""
        return (Region(crop_area(self.box, width, height, self.padding), self.box),)


def absolute(path: Path | str) -> str:
    """Return the absolute path by which boxes are known."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.absolute() keeps "..", resolve() follows links


def tile_areas(width: float, height: float, count: int) -> list[Box]:
    """Cut a photo into overlapping tiles, `count` along its shorter side and as many as it takes along the longer.

    They cover the photo, row by row. Neighbours share at least `OVERLAP` of a tile's side, so that an animal up to that
    size is whole in one tile. Tiles are square, except in photos beyond `LONGEST` to 1. There is none where the only
    tile would be the whole frame.
    """
    across, along = _spans(width, height, count), _spans(height, width, count)
    if len(across) * len(along) == 1:
        return []
    return [(left, top, right, bottom) for (top, bottom), (left, right) in product(along, across)]


def _spans(length: float, other: float, count: int) -> list[tuple[float, float]]:
    """Return the beginning and end of the tiles along a side of this length, as shares of it."""
    step = 1 - OVERLAP
    ratio = length / min(length, other)  # in shorter sides
    side = 1 / (1 + (count - 1) * step)
    tiles = count
    if ratio > 1:
        tiles = 1 + math.ceil((min(ratio, LONGEST) - side) / (step * side) - 1e-9)
        side = max(side, ratio / (1 + (tiles - 1) * step))  # wider, beyond `LONGEST`
    share = side / ratio
    starts = [number * (1 - share) / (tiles - 1) for number in range(tiles)] if tiles > 1 else [0.0]
    return [(start, min(1.0, start + share)) for start in starts[:-1]] + [(starts[-1], 1.0)]


def crop_area(box: Box, width: float, height: float, padding: float) -> Box:
    """Return the area of a square picture around an animal's box, with `padding` times its longer side on each side.

    At the photo's edge it is moved inside. It is smaller than asked for where the photo is, and not square only where
    the animal is longer than the photo's shorter side.
    """
    left, top, right, bottom = box
    longer = max((right - left) * width, (bottom - top) * height, 1.0)  # a box of no width still shows something
    side = min(longer * (1 + 2 * padding), max(longer, min(width, height)))
    (left, right), (top, bottom) = _around(left, right, side / width), _around(top, bottom, side / height)
    return left, top, right, bottom


def _around(low: float, high: float, length: float) -> tuple[float, float]:
    """Return the ends of a length around the middle of another one, moved into 0 to 1."""
    length = min(1.0, length)
    start = min(max((low + high - length) / 2, 0.0), 1.0 - length)
    return min(start, low), min(1.0, max(start + length, high))


def least_sides(areas: Sequence[Box], size: int) -> tuple[int, int]:
    """Return the width and height that a decoded photo needs for each of these areas to have `size` pixels a side."""
    width = max((math.ceil(size / (right - left)) for left, _, right, _ in areas), default=size)
    return width, max((math.ceil(size / (bottom - top)) for _, top, _, bottom in areas), default=size)
