"""Photos and class activation maps as small pictures inside a page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bearcnn.data import OnProgress
from bearcnn.data.photos import load_photo, load_pixels, load_regions, read_photo
from bearcnn.data.regions import Box, Region
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.evaluation.predictions import LabelledPrediction
from bearcnn.geometry import ResizeMode
from bearcnn.inference.predictor import Predictor, predict_rows
from bearcnn.machine import usable_cpus
from bearcnn.runs.reading import hash_bytes
from bearcnn.workers import map_in_threads

SIDE = 192


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A photo, or the part of it that was answered, with the model's answer.

    The pictures are data URIs, empty where the photo is another one by now, or it or the model can't be read.
    """

    prediction: LabelledPrediction
    photo: str
    windows: str  # transparent where the score is low; it lies over the photo
    best_window: float | None


def make_thumbnails(photos: Sequence[LabelledPrediction], root: Path, model: Path) -> list[Thumbnail]:
    """Draw small pictures of photos below `root`, with the window scores of the model file."""
    try:
        predictor = Predictor(model)
    except ModelFileError:
        return [Thumbnail(photo, "", "", None) for photo in photos]
    size, resize = predictor.manifest.image_size, predictor.manifest.resize
    pictures: dict[int, str] = {}
    pixels: list[NDArray[np.uint8]] = []
    for number, photo in enumerate(photos):
        try:
            content = _read(root, photo)
            small, seen = (
                _load(BytesIO(content), photo.area, side, resize, predictor.max_megapixels) for side in (SIDE, size)
            )
        except PhotoError:
            continue
        pictures[number] = _jpeg(small)
        pixels.append(seen)
    windows = iter(predict_rows(predictor, np.stack(pixels), np.arange(len(pixels)))[1]) if pixels else iter(())
    return [
        _lay_over(photo, pictures[number], next(windows)) if number in pictures else Thumbnail(photo, "", "", None)
        for number, photo in enumerate(photos)
    ]


def _read(root: Path, photo: LabelledPrediction) -> bytes:
    """Read a photo's bytes; another picture at its place, as where a stranger's run leads, is none of the page's."""
    content = read_photo(root / photo.path)
    if hash_bytes(content) != photo.digest:
        raise PhotoError("it is another picture")
    return content


def _load(
    source: BytesIO, area: Box | None, size: int, resize: ResizeMode, max_megapixels: int
) -> NDArray[np.uint8]:
    """Read the part of a photo that was answered, (size, size, 3)."""
    if area is None:
        return load_pixels(source, size, resize, max_megapixels)
    ((_, pixels),) = load_regions(source, lambda width, height: [Region(area, None)], size, resize, max_megapixels)
    return pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of a photo in its own shape; the data URI is empty where the photo can't be read."""

    uri: str
    width: int = 1
    height: int = 1


def draw_pictures(paths: Sequence[Path], on_progress: OnProgress | None = None) -> list[Picture]:
    """Draw small pictures of photos in their own shapes, in threads; `on_progress` counts photos."""
    return map_in_threads(_draw_picture, paths, usable_cpus(), on_progress)


def _draw_picture(path: Path) -> Picture:
    try:
        image = load_photo(path, at_least=SIDE)
    except PhotoError:
        return Picture("")
    image.thumbnail((2 * SIDE, SIDE), reducing_gap=3.0)
    return Picture(_jpeg(np.asarray(image)), *image.size)


def draw_windows(scores: NDArray[np.float32]) -> str:
    """Draw window scores (rows, columns) as a PNG data URI, one pixel each: orange, more opaque for a higher score."""
    pixels = np.zeros((*scores.shape, 4), np.uint8)
    pixels[..., :3] = (255, 140, 0)
    pixels[..., 3] = np.clip(scores, 0, 1) * 190
    return _data_uri(Image.fromarray(pixels), "PNG")


def _lay_over(photo: LabelledPrediction, picture: str, windows: NDArray[np.float32]) -> Thumbnail:
    return Thumbnail(photo, picture, draw_windows(windows), float(windows.max()))


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    return _data_uri(Image.fromarray(pixels), "JPEG", quality=82)


def _data_uri(image: Image.Image, kind: str, **options: int) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
