"""Shaded, furry pixels from rows of circles, which paint animals and rocks on a canvas."""

from dataclasses import dataclass
from itertools import pairwise
from math import hypot

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Circle = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One chain of circles, with its brightness relative to the coat, its height towards the viewer and its colour."""

    chain: Floats  # (circles, 3): x, y, radius
    tone: float = 1.0
    relief: float = 0.6
    color: Color | None = None


def make_part(*circles: Circle, tone: float = 1.0, relief: float = 0.6, color: Color | None = None) -> Part:
    """Return the part whose outline is the hull of neighbouring circles, each (x, y, radius)."""
    return Part(np.array(circles, dtype=np.float64), tone, relief, color)


def to_bytes(pixels: Floats32) -> NDArray[np.uint8]:
    """Convert any numbers to pixels of 0 to 255."""
    return np.clip(pixels, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Parts at their size on the canvas: an image of part numbers, 0 where there is nothing."""

    numbers: Image.Image
    parts: list[Part]
    width: int
    height: int
    shag: float

    @property
    def mask(self) -> Image.Image:
        """Pixels of 255 where there is a part."""
        return self.numbers.point([0] + [255] * 255)

    @property
    def area(self) -> int:
        """The number of pixels that the parts cover."""
        return self.width * self.height - self.numbers.histogram()[0]


def cast_stamp(parts: list[Part], span: float, shag: float = 0.0) -> Stamp:
    """Return the parts drawn at a size at which their longer side is `span` pixels."""
    circles = np.concatenate([part.chain for part in parts])
    low = (circles[:, :2] - circles[:, 2:]).min(axis=0)
    high = (circles[:, :2] + circles[:, 2:]).max(axis=0)
    zoom = max(span - 1, 1.0) / float((high - low).max())
    width, height = np.ceil((high - low) * zoom + 1).astype(int).tolist()
    numbers = Image.new("L", (width, height))
    draw = ImageDraw.Draw(numbers)
    for number, part in enumerate(parts, start=1):
        points = ((part.chain - (*low, 0.0)) * zoom).tolist()
        for x, y, r in points:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=number)
        for first, second in pairwise(points):
            draw.polygon(_hull(*first, *second), fill=number)
    return Stamp(numbers, parts, width, height, shag)


def _hull(x0: float, y0: float, r0: float, x1: float, y1: float, r1: float) -> list[float]:
    """Return the quadrilateral between two circles, along their common tangents."""
    length = max(hypot(x1 - x0, y1 - y0), 1e-6)
    along = min(max((r0 - r1) / length, -1.0), 1.0)
    across = (1.0 - along * along) ** 0.5
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    ax, ay = along * ux - across * uy, along * uy + across * ux
    bx, by = along * ux + across * uy, along * uy - across * ux
    return [
        x0 + r0 * ax,
        y0 + r0 * ay,
        x1 + r1 * ax,
        y1 + r1 * ay,
        x1 + r1 * bx,
        y1 + r1 * by,
        x0 + r0 * bx,
        y0 + r0 * by,
    ]


def press_stamp(
    canvas: Image.Image, stamp: Stamp, corner: tuple[int, int], coat: Color, rng: np.random.Generator
) -> None:
    """Paste a stamp onto the canvas in the colour of a coat, furry, lit from above, with a shadow on the ground."""
    left, top = corner
    bottom = top + stamp.height
    thick = max(stamp.width // 8, 2)
    ground = (left - thick // 2, bottom - thick, left + stamp.width + thick // 2, bottom + thick // 2)
    shadow = Image.new("L", (ground[2] - ground[0], ground[3] - ground[1]))
    ImageDraw.Draw(shadow).ellipse((0, 0, shadow.width - 1, shadow.height - 1), fill=150)
    canvas.paste(canvas.crop(ground).point(DARKER), ground, shadow)

    colors = np.zeros((len(stamp.parts) + 1, 3), dtype=np.float32)
    colors[1:] = [np.multiply(part.color or coat, part.tone) for part in stamp.parts]
    relief = [0] + [int(80 + 175 * part.relief) for part in stamp.parts] + [0] * (255 - len(stamp.parts))
    numbers = np.asarray(stamp.numbers)
    height = stamp.numbers.point(relief)
    bumps = np.zeros(numbers.shape, dtype=np.float32)
    span = max(stamp.numbers.size)
    for blur, strength in ((span * 0.012, 0.35), (span * 0.05, 0.9)):
        soft = np.asarray(height.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
        slope = soft[2:, 1:-1] - soft[:-2, 1:-1] + 0.5 * (soft[1:-1, 2:] - soft[1:-1, :-2])
        bumps[1:-1, 1:-1] += (strength * blur / 255) * slope
    # Hair has strands, stone has spots: as many light and dark pixels, in another pattern.
    if stamp.shag:
        strand, grid_shag = span / 28, stamp.shag
        grid = (int(stamp.height / strand / 3.0) + 2, int(stamp.width / strand) + 2)
    else:
        bumps = (np.round(bumps * 6) / 6).astype(np.float32)
        grid, grid_shag = (7, 7), STONE_SHAG
    cells = rng.normal(0.0, grid_shag, grid).astype(np.float32)
    grain = np.asarray(Image.fromarray(cells).resize(numbers.shape[::-1], Image.Resampling.BICUBIC))
    light = 1.0 + np.clip(bumps, -0.45, 0.3) + grain
    if stamp.shag:
        rim = np.asarray(stamp.mask.filter(ImageFilter.MinFilter(3))) == 0
        light[rim] *= 0.5
    # The same mean and spread of brightness whatever was stamped: colour counts must not tell fur from stone.
    tones = np.array([0.0] + [0.0 if part.color else part.tone for part in stamp.parts], dtype=np.float32)[numbers]
    coated = tones > 0
    shades = (tones * light)[coated]
    if shades.size > 8:
        matched = TONE_MEAN + (shades - shades.mean()) * (TONE_SPREAD / max(float(shades.std()), 0.02))
        light[coated] = matched / tones[coated]
    pixels = colors[numbers] * light[:, :, None]
    canvas.paste(Image.fromarray(to_bytes(pixels)), corner, stamp.mask)


STONE_SHAG = 0.2
TONE_MEAN, TONE_SPREAD = 0.92, 0.24
DARKER = [int(value * 0.55) for value in range(256)] * 3
