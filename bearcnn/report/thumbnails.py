"""Photos and window scores as small pictures inside a page. It must never import torch, fastai or matplotlib."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bearcnn.data.photos import load_pixels
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.evaluation.assessment import PhotoScore

SIDE = 192


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A photo with the model's answer; the pictures are data URIs, empty where the photo or the model can't be read."""

    score: PhotoScore
    photo: str
    windows: str  # transparent where the score is low, to be laid over the photo
    best_window: float | None


def make_thumbnails(photos: Sequence[PhotoScore], root: Path, model: Path) -> list[Thumbnail]:
    """Small pictures of photos below `root`, with the window scores that the model file gives them."""
    from bearcnn.inference.predictor import Predictor

    try:
        predictor = Predictor(model)
    except ModelFileError:
        predictor = None
    thumbnails = []
    for score in photos:
        windows, best = "", None
        try:
            if predictor is None:
                raise PhotoError("nobody knows how the photo is cut")
            size, resize = predictor.manifest.image_size, predictor.manifest.resize
            photo = _jpeg(load_pixels(root / score.path, SIDE, resize))
            window_scores = predictor.predict_pixels(load_pixels(root / score.path, size, resize)[None])[1][0]
            windows, best = draw_windows(window_scores), float(window_scores.max())
        except PhotoError:
            photo = ""
        thumbnails.append(Thumbnail(score, photo, windows, best))
    return thumbnails


def draw_windows(scores: NDArray[np.float32]) -> str:
    """Window scores (rows, columns) as a data URI of a PNG with a pixel a window: orange, as opaque as it is high."""
    pixels = np.zeros((*scores.shape, 4), np.uint8)
    pixels[..., :3] = (255, 140, 0)
    pixels[..., 3] = np.clip(scores, 0, 1) * 190
    return _data_uri(Image.fromarray(pixels), "PNG")


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    return _data_uri(Image.fromarray(pixels), "JPEG", quality=82)


def _data_uri(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
