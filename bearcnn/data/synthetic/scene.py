"""One drawn scene: a bear, another animal or none, in a landscape.

Bears and other animals share coats, places, sizes, light and scenery, and rocks have the same colours: a bear is
recognized by its shape and fur, hardly by its colour.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from bearcnn.data.synthetic.animals import ANATOMY, BEARS, COATS, OTHERS, WEARERS, make_body
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

DRAWING_VERSION = 1  # raised whenever the same seed gives another picture; cached sets are named by it
DEFAULT_SIZE = 96
DEFAULT_SCALE = (0.5, 0.6)
DEFAULT_CLUTTER = 0.25
SCALE_LIMITS = (0.05, 0.6)

EMPTY_SHARE = 0.4  # of the scenes without a bear
SUPERSAMPLING = 2

Scale = float | tuple[float, float]
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


def draw_scene(
    seed: int,
    index: int,
    *,
    size: int = DEFAULT_SIZE,
    is_bear: bool,
    bear_scale: Scale = DEFAULT_SCALE,
    clutter: float = DEFAULT_CLUTTER,
) -> Scene:
    """Draw picture number `index` of the set of `seed`, `size` pixels a side; equal arguments give equal pixels.

    `bear_scale` is the longer side of the animal, bear or not, as a share of the picture's side, or a range of it;
    `clutter` from 0 to 1 is how much stands around and in front of it. Place and light depend on seed and index alone.

    Raises:
        DataError: a number out of its range.
    """
    low, high = check_scene(size, bear_scale, clutter, seed)
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
        box = (
            (left + edges[0]) // SUPERSAMPLING,
            (top + edges[1]) // SUPERSAMPLING,
            -(-(left + edges[2]) // SUPERSAMPLING),
            -(-(top + edges[3]) // SUPERSAMPLING),
        )
    grow_foreground(canvas, spot, reach, season, clutter, camera)
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    image = Image.fromarray(grade_light(pixels, light, season, camera))
    return Scene(image, subclass, is_bear, box, scale)


def check_scene(size: int, bear_scale: Scale, clutter: float, seed: int) -> tuple[float, float]:
    """Check that such a scene can be drawn; returns the lowest and the highest scale.

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
