"""The photos of the benchmarks: a given folder or drawn scenes, in any number, no two files equal."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

from bearcnn.data.photos import find_photos
from bearcnn.data.synthetic.scene import draw_scene

CAMERA_SIZE = (3264, 2448)  # 8 megapixels
DRAWN = 24  # scenes; more photos are copies of these


def small_photos(folder: Path, data: Path | None, size: int = 500) -> list[Path]:
    """List the photos of `data`, or draw scenes of `size` px."""
    return list(find_photos(data)) if data else list(_draw(folder / "drawn", size, None))


def camera_photos(folder: Path, data: Path | None) -> list[Path]:
    """List the photos of `data`, or draw scenes as a camera of 8 megapixels would store them."""
    return list(find_photos(data)) if data else list(_draw(folder / "camera", 512, CAMERA_SIZE))


def multiply(photos: Sequence[Path], count: int, folder: Path, mark: str = "") -> list[Path]:
    """Write `count` files into `folder` with the content of the photos, repeated as often as needed.

    A number (and the mark) after the picture's end, which decoders ignore, makes each file different: bearcnn uses
    exact copies only once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = [(photo.suffix.lower(), photo.read_bytes()) for photo in photos[:count]]
    files = []
    for number, (suffix, data) in enumerate(islice(cycle(content), count)):
        file = folder / f"{number:06}{suffix}"
        file.write_bytes(data + f"{mark} {number}".encode())
        files.append(file)
    return files


def class_folders(photos: Sequence[Path], folder: Path, train: int, valid: int) -> Path:
    """Write folder/{train,valid}/{bear,not_bear}/<number>.jpg to measure speed; the labels are arbitrary."""
    for split, count in (("train", train), ("valid", valid)):
        for half, label in enumerate(("bear", "not_bear")):
            turned = [*photos[half::2], *photos[1 - half :: 2]]
            multiply(turned, count // 2, folder / split / label, mark=f"{split} {label}")
    return folder


def _draw(folder: Path, size: int, enlarged: tuple[int, int] | None) -> Iterator[Path]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(DRAWN):
        image = draw_scene(0, number, size=size, is_bear=number % 2 == 0).image
        if enlarged:
            pixels = np.asarray(image.resize(enlarged, Image.Resampling.BICUBIC)).astype(np.int16)
            # A sensor's noise: without it an enlarged drawing is far easier to decode than a photo.
            pixels += rng.integers(-8, 9, pixels.shape, dtype=np.int16)
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=90)
        file = folder / f"{number:03}.jpg"
        file.write_bytes(buffer.getvalue())
        yield file
