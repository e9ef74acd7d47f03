"""Pictures of any mode to RGB, a part at a time: that needs little more memory than the picture itself."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bearcnn.errors import PhotoError

_PART = 1 << 20  # pixels that are converted at a time

Bounds = tuple[int, int, int, int]


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a picture in RGB: itself if it is that, with white where it is transparent.

    Raises:
        PhotoError: its colours can't be converted.
    """
    if image.mode == "LAB":
        raise PhotoError("Lab colours, which can't be read: save it as RGB")
    transparent = image.has_transparency_data
    if image.mode == "RGB" and not transparent:
        return image
    convert: Callable[[Image.Image], Image.Image]
    if image.mode in ("I", "F"):
        low, high = _find_range(image)
        convert = lambda part: _to_grey(part, low, high)  # noqa: E731
    elif image.mode.startswith("I;16"):
        convert = _upper_byte
    else:
        convert = _on_white if transparent else _plain
    result = Image.new("RGB", image.size)
    for bounds in _parts(image):
        result.paste(convert(image.crop(bounds)), bounds)
    return result


def _parts(image: Image.Image) -> Iterator[Bounds]:
    """Cut a picture into parts of at most `_PART` pixels."""
    width = min(image.width, _PART)
    height = max(1, _PART // width)
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            yield left, top, min(image.width, left + width), min(image.height, top + height)


def _plain(part: Image.Image) -> Image.Image:
    return part.convert("RGB")


def _on_white(part: Image.Image) -> Image.Image:
    page = Image.new("RGBA", part.size, "white")
    page.alpha_composite(part if part.mode == "RGBA" else part.convert("RGBA"))
    return page.convert("RGB")


def _upper_byte(part: Image.Image) -> Image.Image:
    """Scale 16 bits to 8 (Pillow itself clips to white)."""
    return Image.fromarray((np.asarray(part) >> 8).astype(np.uint8))


def _to_grey(part: Image.Image, low: float, high: float) -> Image.Image:
    """Scale values from `low` to `high` to 8 bits."""
    values = _numbers(part)
    values -= low
    values *= 255 / max(high - low, 1e-9)
    return Image.fromarray(values.astype(np.uint8))


def _find_range(image: Image.Image) -> tuple[float, float]:
    """Find the values that are black and white, by the range of the picture's mode."""
    ends = [(values.min(), values.max()) for values in map(_numbers, map(image.crop, _parts(image)))]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    # Integers have 16 bits in Pillow's wider mode. Floats have no fixed range: take the narrowest usual one that fits.
    usual = [limit for limit in ((65535.0,) if image.mode == "I" else (1.0, 255.0, 65535.0)) if high <= limit]
    return (0.0, usual[0]) if low >= 0 and usual else (low, high)


def _numbers(part: Image.Image) -> NDArray[np.float32]:
    """Return the values of a part, 0 for those that are no finite numbers."""
    values = np.array(part, np.float32)
    if not np.isfinite(values.sum(dtype=np.float64)):  # one of them makes the sum so
        np.nan_to_num(values, copy=False, posinf=0, neginf=0)
    return values
