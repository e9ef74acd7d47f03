"""Window scores as colours over a photo: the one drawing for heat maps, the report, `explain` and contact sheets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bearcnn.inference.windows import Windows

# Light to dark orange: one hue, which the colour-blind can tell from grey, too.
_SCALE = np.array([[253, 208, 120], [240, 140, 30], [200, 60, 0]], np.float32)
_COLOR_KEPT = 0.3  # of the photo's own colours: only the scores are orange
_OPACITY = 0.72


def shade(scores: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the color (..., 3) from 0 to 255, and the opacity (...), of window scores from 0 to 1.

    Scores up to 0.5 are transparent; above it, a higher score is darker.
    """
    sure = np.clip(2 * np.asarray(scores, np.float32) - 1, 0, 1)
    stops = np.linspace(0, 1, len(_SCALE))
    color = np.stack([np.interp(sure, stops, channel) for channel in _SCALE.T], -1).astype(np.float32)
    return color, np.float32(_OPACITY) * np.sqrt(sure)


def draw_overlay(size: tuple[int, int], scores: NDArray[np.floating[Any]], windows: Windows) -> Image.Image:
    """Draw window scores (rows, columns) and a frame around the best window on a transparent picture.

    Each place belongs to the window whose centre is nearest. The frame is around all that the best window sees, or
    around its places where it sees most of the picture.

    Args:
        size: (width, height) of the picture, which has the whole frame that the network saw, in whatever shape.
        scores: the probability of a bear in each window alone.
        windows: where they lie along either side.
    """
    width, height = size
    edges = windows.edges()
    down, across = ((edges * side).round().astype(int) for side in (height, width))
    rows, columns = scores.shape
    color, opacity = shade(scores)
    spread = np.ix_(np.repeat(np.arange(rows), np.diff(down)), np.repeat(np.arange(columns), np.diff(across)))
    pixels = np.concatenate([color, 255 * opacity[..., None]], axis=-1).round().astype(np.uint8)[spread]
    image = Image.fromarray(pixels)
    row, column = divmod(int(np.argmax(scores)), columns)
    (left, right), (top, bottom) = windows.frame(column), windows.frame(row)
    frame(image, (round(left * width), round(top * height), round(right * width) - 1, round(bottom * height) - 1))
    return image


def draw_windows(
    pixels: NDArray[np.uint8], scores: NDArray[np.floating[Any]], windows: Windows | None = None
) -> Image.Image:
    """Draw window scores over a photo, uint8 (height, width, 3), as `draw_overlay` does; spread evenly by default."""
    photo = Image.fromarray(pixels)
    grey = Image.blend(photo.convert("L").convert("RGB"), photo, _COLOR_KEPT).convert("RGBA")
    grey.alpha_composite(draw_overlay(photo.size, scores, windows or Windows.spread(len(scores))))
    return grey.convert("RGB")


def frame(image: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Draw a white frame between black ones, visible on snow and at night."""
    draw = ImageDraw.Draw(image)
    thick = max(1, round(min(image.size) / 200))
    left, top, right, bottom = box
    for inset, color in ((0, "black"), (thick, "white"), (2 * thick, "black")):
        if right - left > 2 * inset and bottom - top > 2 * inset:
            draw.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=color, width=thick)
