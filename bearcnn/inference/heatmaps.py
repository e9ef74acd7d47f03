"""Class activation maps drawn over photos, with Pillow alone."""

import contextlib
import os
from io import BytesIO
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bearcnn.data.photos import load_photo, resize_photo
from bearcnn.data.regions import WHOLE, Box, Region, least_sides
from bearcnn.errors import BearcnnError, PhotoError
from bearcnn.files import write_atomically
from bearcnn.geometry import MAX_MEGAPIXELS
from bearcnn.inference.contact_sheet import ContactSheet, Entry
from bearcnn.inference.overlay import draw_windows, frame, shade
from bearcnn.inference.windows import Windows, find_windows
from bearcnn.manifest import Manifest

LONGER_SIDE = (480, 800)  # of a drawn photo, at least and at most, in pixels
GAP = 8  # between a photo and its best picture, in pixels
_LONGEST_NAME = 255  # bytes


def draw_heatmap(
    pixels: NDArray[np.uint8],
    scores: NDArray[np.floating[Any]],
    probability: float,
    positive: str,
    windows: Windows | None = None,
    beside: Image.Image | None = None,
) -> Image.Image:
    """Draw window scores on a page with the answer for the whole photo and a legend below.

    If `pixels` are an area of the photo, `beside` is the photo with that area marked, and is drawn left of it.
    """
    picture = draw_windows(pixels, scores, windows)
    shown = "whole photo" if beside is None else "the framed part"
    if beside is not None:
        picture = _put_side_by_side(beside, picture)
    # Under a narrow photo the legend must be readable, too.
    width = max(picture.width, 420)
    page = Image.new("RGB", (width, picture.height + 62), "white")
    page.paste(picture, ((width - picture.width) // 2, 0))
    draw, top = ImageDraw.Draw(page), picture.height + 8
    large, small = ImageFont.load_default(20), ImageFont.load_default(13)
    draw.text((12, top), f"{positive}: probability {probability:.3f}", fill="black", font=large)
    draw.text((12, top + 27), f"{shown}; best window {scores.max():.2f}", fill="#444444", font=small)
    bar = 180
    left = width - bar - 12
    color, opacity = shade(np.linspace(0.5, 1, bar))
    strip = color * opacity[:, None] + 160 * (1 - opacity[:, None])  # over a middle grey, as over a photo
    page.paste(Image.fromarray(np.repeat(strip.round().astype(np.uint8)[None], 14, 0)), (left, top + 6))
    draw.text((left, top + 27), "0.5", fill="#444444", font=small)
    draw.text((left + bar / 2, top + 27), "this window alone", fill="#444444", font=small, anchor="ma")
    draw.text((left + bar, top + 27), "1", fill="#444444", font=small, anchor="ra")
    return page


def _put_side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Put two pictures beside each other, with a gap between them."""
    both = Image.new("RGB", (left.width + GAP + right.width, max(left.height, right.height)), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return both


class HeatmapFolder:
    """A new folder of drawn heat maps, in subfolders like those of the photos, and their contact sheet index.html.

    A call draws one heat map: it is a `predictor.OnWindows`. As a context manager it writes index.html at the end,
    also after Ctrl-C, of what is drawn by then.

    Args:
        directory: the folder; it is made.
        manifest: of the model that answers.
        root: the folder that all photos lie in, whose subfolders are made again. Photos outside of it, and all
            photos without it, have the folders of their path from the current folder.
        max_megapixels: of the largest photo, as for `photos.load_photo`.

    Raises:
        BearcnnError: the folder isn't empty or can't be made; later, a file can't be written.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, root: Path | None = None, max_megapixels: int = MAX_MEGAPIXELS
    ) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            taken = any(directory.iterdir())
        except OSError as error:
            raise BearcnnError(f"{directory} can't be made: {error.strerror or error}; choose another folder") from None
        if taken:
            raise BearcnnError(f"{directory} is not empty; nothing is ever overwritten: choose another folder")
        self._directory, self._manifest, self._root = directory, manifest, root
        self._max_megapixels = max_megapixels
        self._sheet = ContactSheet(manifest)

    def __enter__(self) -> "HeatmapFolder":
        return self

    def __exit__(self, *error: object) -> None:
        # A page that can't be written must not hide why the drawing ended.
        with contextlib.suppress(BearcnnError) if error[0] else contextlib.nullcontext():
            write_atomically(self._directory / "index.html", self._sheet.render())

    def __call__(
        self, path: Path, pixels: NDArray[np.uint8], probability: float, scores: NDArray[np.float32], region: Region
    ) -> None:
        """Draw the heat map of a photo from its best picture: pixels, probability, window scores and region."""
        manifest = self._manifest
        windows = find_windows(manifest, len(scores))
        larger = max(LONGER_SIDE[1], *least_sides([region.area], LONGER_SIDE[0]))
        try:
            image, area = load_photo(path, larger, self._max_megapixels), region.area
        except PhotoError:  # deleted since: the network's pixels are left
            image, area = Image.fromarray(pixels), WHOLE
        if area == WHOLE:
            seen, beside = resize_as_seen(image, manifest, LONGER_SIDE), None
        else:
            seen, beside = resize_as_seen(image, manifest, LONGER_SIDE, area), _mark_area(image, area)
        page = draw_heatmap(seen, scores, probability, manifest.classes[1], windows, beside=beside)
        buffer = BytesIO()
        page.save(buffer, "JPEG", quality=88)
        photo = _place_below(path, self._root)
        target = _choose_name(self._directory, photo)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BearcnnError(f"{target.parent} can't be made: {error.strerror or error}") from None
        write_atomically(target, buffer.getvalue())
        file = PurePosixPath(target.relative_to(self._directory).as_posix())
        self._sheet.add(Entry(probability, photo.as_posix(), file))


def resize_as_seen(
    image: Image.Image, manifest: Manifest, sides: tuple[int, int], area: Box = WHOLE
) -> NDArray[np.uint8]:
    """Resize a photo to look at, or an area of it, in its own shape, with the same frame as the network's pixels.

    `sides` are the least and the most of its longer side, in pixels.
    """
    left, top, right, bottom = area
    width, height = max(1.0, (right - left) * image.width), max(1.0, (bottom - top) * image.height)
    longer = min(max(sides[0], round(width), round(height)), sides[1])
    # A smaller area is never cut: the network sees all of it.
    if manifest.resize == "pad" or (manifest.resize == "crop" and area == WHOLE):
        return resize_photo(image, longer, manifest.resize, area)
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    scale = longer / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))


def _mark_area(image: Image.Image, area: Box) -> Image.Image:
    """Resize a photo to look at, with a frame around an area of it."""
    photo = _resize_to(image, LONGER_SIDE[1])
    left, top, right, bottom = area
    width, height = photo.size
    frame(photo, (round(left * width), round(top * height), round(right * width) - 1, round(bottom * height) - 1))
    return photo


def _resize_to(image: Image.Image, longer: int) -> Image.Image:
    scale = longer / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _place_below(photo: Path, root: Path | None) -> Path:
    """Return the photo's path from the root; else from the current folder, without what leads out of it."""
    if root is not None:
        # Without `..`, but with the names of links.
        inside = Path(os.path.abspath(photo))  # noqa: PTH100
        if inside.is_relative_to(root):
            return inside.relative_to(root)
    if photo.is_absolute() and photo.is_relative_to(Path.cwd()):
        photo = photo.relative_to(Path.cwd())
    return Path(*(part for part in photo.parts if part not in (photo.anchor, "..")))


def _choose_name(directory: Path, photo: Path) -> Path:
    """Choose a new file in `directory`, named after the photo and its folders."""
    stem, suffix = (photo.stem, photo.suffix) if photo.suffix.lower() in (".jpg", ".jpeg") else (photo.name, ".jpg")
    folder = directory / photo.parent
    target = folder / _shorten(stem, suffix)
    for number in count(2):
        if not target.exists():
            break
        target = folder / _shorten(stem, f"-{number}{suffix}")
    return target


def _shorten(stem: str, end: str) -> str:
    """Return a file's name of no more bytes than file systems take."""
    while len(os.fsencode(stem + end)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + end
