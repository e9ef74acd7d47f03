"""Details of photo files that their decoded pixels don't tell: format, size, time and camera."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bearcnn.data import OnProgress
from bearcnn.data.metadata import Metadata, metadata_of
from bearcnn.data.photos import FORMATS, prepare_pillow
from bearcnn.data.reading import open_photo
from bearcnn.machine import usable_cpus
from bearcnn.workers import map_in_threads

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "MPO": (".mpo", ".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2",),
    "PPM": (".ppm", ".pgm"),
}
"""The suffixes that fit a format, as Pillow names it; the usual one first."""


@dataclass(frozen=True, slots=True)
class FileDetails:
    """Details of one file; None where it can't be opened as a picture."""

    format: str | None = None  # as Pillow names it: JPEG, PNG, ...
    width: int | None = None  # px, as stored: an EXIF orientation may turn it
    height: int | None = None
    metadata: Metadata = field(default_factory=Metadata)


def read_details(path: Path) -> FileDetails:
    """Read the details of a photo from the head of its file."""
    prepare_pillow()
    try:
        with open_photo(path) as file, Image.open(file, formats=FORMATS) as image:
            return FileDetails(image.format, *image.size, metadata_of(image, path.name))
    except Exception:  # broken files, on which Pillow raises nearly any exception
        return FileDetails()


def read_all_details(paths: Sequence[Path], on_progress: OnProgress | None = None) -> list[FileDetails]:
    """Read the details of many photos, in threads; `on_progress` counts photos."""
    return map_in_threads(read_details, paths, usable_cpus(), on_progress)
