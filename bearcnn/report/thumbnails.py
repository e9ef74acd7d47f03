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
from bearcnn.data.photos import load_photo, load_regions
from bearcnn.data.reading import hash_photo, read_photo
from bearcnn.data.regions import WHOLE, Box, Region, least_sides
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.evaluation.predictions import LabelledPrediction
from bearcnn.inference.heatmaps import resize_as_seen
from bearcnn.inference.overlay import draw_overlay
from bearcnn.inference.predictor import Predictor, predict_rows
from bearcnn.inference.windows import Windows, find_windows
from bearcnn.machine import usable_cpus
from bearcnn.manifest import Manifest
from bearcnn.workers import map_in_threads

SIDE = 384
"""The longer side of a photo with an answer, in pixels: small on the page, and clear when it is enlarged."""

SHEET_HEIGHT = 192
"""The height of a photo on a contact sheet of many, in pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of a photo in its own shape; the data URI is empty where the photo can't be read."""

    uri: str
    width: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A photo, or the part of it that was answered, with the model's answer.

    The pictures are data URIs of one shape, empty where the photo is another one by now, or it or the model can't be
    read.
    """

    prediction: LabelledPrediction
    photo: Picture
    windows: str = ""  # transparent where the score is low; it lies over the photo
    best_window: float | None = None


def make_thumbnails(photos: Sequence[LabelledPrediction], root: Path, model: Path) -> list[Thumbnail]:
    """Draw small pictures of photos below `root`, with the window scores of the model file."""
    try:
        predictor = Predictor(model)
    except ModelFileError:
        return [Thumbnail(photo, Picture("")) for photo in photos]
    manifest = predictor.manifest
    pictures: dict[int, Image.Image] = {}
    pixels: list[NDArray[np.uint8]] = []
    for number, photo in enumerate(photos):
        try:
            content = _read(root, photo)
            pictures[number], seen = _load(content, photo.area, manifest, predictor.max_megapixels)
        except PhotoError:
            continue
        pixels.append(seen)
    scores = iter(predict_rows(predictor, np.stack(pixels), np.arange(len(pixels)))[1]) if pixels else iter(())
    return [
        _lay_over(photo, pictures[number], next(scores), manifest)
        if number in pictures
        else Thumbnail(photo, Picture(""))
        for number, photo in enumerate(photos)
    ]


def make_pictures(photos: Sequence[LabelledPrediction], root: Path) -> list[Picture]:
    """Draw pictures of whole photos below `root`, in their own shapes."""

    def draw(photo: LabelledPrediction) -> Picture:
        try:
            image = load_photo(BytesIO(_read(root, photo)), at_least=SIDE)
        except PhotoError:
            return Picture("")
        image.thumbnail((SIDE, SIDE), reducing_gap=3.0)
        return Picture(_jpeg(np.asarray(image)), *image.size)

    return map_in_threads(draw, photos, usable_cpus())


def _read(root: Path, photo: LabelledPrediction) -> bytes:
    """Read a photo's bytes; another picture at its place, as where a stranger's run leads, is none of the page's."""
    content = read_photo(root / photo.path)
    if hash_photo(content) != photo.digest:
        raise PhotoError("it is another picture")
    return content


def _load(
    content: bytes, area: Box | None, manifest: Manifest, max_megapixels: int
) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Read the part of a photo that was answered: a picture in its own shape, and the network's pixels."""
    part = WHOLE if area is None else area
    ((_, pixels),) = load_regions(
        BytesIO(content),
        lambda width, height: [Region(part, None)],
        manifest.image_size,
        manifest.resize,
        max_megapixels,
    )
    photo = load_photo(BytesIO(content), max(least_sides([part], SIDE)), max_megapixels)
    return Image.fromarray(resize_as_seen(photo, manifest, (SIDE, SIDE), part)), pixels


def draw_pictures(paths: Sequence[Path], on_progress: OnProgress | None = None) -> list[Picture]:
    """Draw small pictures of photos in their own shapes, in threads; `on_progress` counts photos."""
    return map_in_threads(_draw_picture, paths, usable_cpus(), on_progress)


def _draw_picture(path: Path) -> Picture:
    try:
        image = load_photo(path, at_least=SHEET_HEIGHT)
    except PhotoError:
        return Picture("")
    image.thumbnail((2 * SHEET_HEIGHT, SHEET_HEIGHT), reducing_gap=3.0)
    return Picture(_jpeg(np.asarray(image)), *image.size)


def overlay_uri(shape: tuple[int, int], scores: NDArray[np.float32], windows: Windows) -> str:
    """Draw window scores as a PNG data URI that lies over a picture of (width, height)."""
    return _data_uri(draw_overlay(shape, scores, windows), "PNG")


def _lay_over(
    photo: LabelledPrediction, picture: Image.Image, scores: NDArray[np.float32], manifest: Manifest
) -> Thumbnail:
    windows = overlay_uri(picture.size, scores, find_windows(manifest, len(scores)))
    return Thumbnail(photo, Picture(_jpeg(np.asarray(picture)), *picture.size), windows, float(scores.max()))


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    return _data_uri(Image.fromarray(pixels), "JPEG", quality=82)


def _data_uri(image: Image.Image, kind: str, **options: int) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
