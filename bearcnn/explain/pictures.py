"""Maps, kernels and masks as small pictures inside a page."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from bearcnn.explain.canvas import MAP_COLORS
from bearcnn.explain.subject import Array

MOST_PLACES = 96
"""Places along a side of a drawn map at most; a larger one is drawn by the averages of its places."""
_LOSSLESS = 192  # pixels along a side of a photo that is drawn without loss
_NOTHING = 255  # the colour of what isn't there
_ABOVE, _BELOW, _ZERO = (179, 88, 6), (84, 39, 136), (247, 247, 247)
"""The colours of numbers: orange above zero, violet below."""


def palette() -> NDArray[np.uint8]:
    """Return the colours of a map's numbers, from dark to bright, and grey for what isn't there: (256, 3)."""
    colors: NDArray[np.uint8] = colormaps[MAP_COLORS](np.linspace(0, 1, _NOTHING), bytes=True)[:, :3]
    return np.vstack([colors, np.full((1, 3), 228, np.uint8)])


def draw_map(values: NDArray[Any], limits: tuple[float, float] | None = None) -> str:
    """Draw a map (rows, columns) as a data URI; NaN is grey, `limits` are the darkest and the brightest value."""
    values = shrink(np.asarray(values, np.float32))
    low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
    level = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * (_NOTHING - 1)
    image = Image.fromarray(np.where(np.isnan(level), _NOTHING, level.round()).astype(np.uint8), "P")
    image.putpalette(palette().tobytes())
    return _png(image)


def draw_signed(values: NDArray[Any], limit: float | None = None) -> str:
    """Draw numbers around zero (rows, columns) as a data URI: orange above zero, violet below."""
    values = np.asarray(values, np.float32)
    limit = limit or max(float(np.abs(values).max()), 1e-9)
    return _png(Image.fromarray(color_signed(values, limit)))


def color_signed(values: NDArray[Any], limit: float) -> NDArray[np.uint8]:
    """Return the colour of numbers around zero: (...) to (..., 3)."""
    share = np.clip(np.abs(values) / limit, 0, 1)[..., None] * 0.85
    colors = np.where((np.asarray(values) < 0)[..., None], _BELOW, _ABOVE)
    mixed: NDArray[np.uint8] = np.round(colors * share + np.array(_ZERO) * (1 - share)).astype(np.uint8)
    return mixed


def draw_grey(values: NDArray[Any]) -> str:
    """Draw numbers from 0 to 255 as a grey picture."""
    image = Image.fromarray(np.asarray(values, np.float32).round().astype(np.uint8))
    return _png(image) if len(values) <= MOST_PLACES else _jpeg(image)


def draw_colors(values: NDArray[Any]) -> str:
    """Draw a small picture (rows, columns, 3), from 0 to 1."""
    return _png(Image.fromarray(np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)))


def draw_photo(pixels: NDArray[np.uint8]) -> str:
    """Draw the network's pixels, without loss where they are few."""
    image = Image.fromarray(pixels)
    return _png(image) if len(pixels) <= _LOSSLESS else _jpeg(image)


def draw_mask(kept: NDArray[np.bool_], grey: int) -> str:
    """Draw a mask that lies over a picture: grey where it is dropped, transparent elsewhere."""
    image = Image.fromarray(kept.astype(np.uint8), "P")
    image.putpalette([grey] * 3 + [0] * 3)
    return _png(image, transparency=1, bits=1)


def draw_layer(image: Image.Image) -> str:
    """Return a transparent picture as a data URI."""
    return _png(image)


def shrink(values: Array, most: int = MOST_PLACES) -> Array:
    """Shrink a map with more places along a side than `most`, by averages of square pieces."""
    factor = -(-max(values.shape) // most)
    if factor == 1:
        return values
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], factor)
        counts = np.diff([*starts, values.shape[axis]])
        values = np.add.reduceat(values, starts, axis) / np.expand_dims(counts, 1 - axis)
    return values.astype(np.float32)


def encode(values: NDArray[Any]) -> str:
    """Return numbers as base64, each as it lies in memory (little-endian)."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _png(image: Image.Image, **options: Any) -> str:
    return _uri(image, "PNG", optimize=True, **options)


def _jpeg(image: Image.Image) -> str:
    return _uri(image, "JPEG", quality=88)


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
