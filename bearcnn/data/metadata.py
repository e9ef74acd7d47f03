"""The time at which a photo was taken, and its camera, as its metadata says."""

import re
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from bearcnn.data.photos import FORMATS, prepare_pillow
from bearcnn.data.reading import open_photo

_TIME_FORMAT = "%Y:%m:%d %H:%M:%S"  # CIPA DC-008, tags 0x9003 and 0x0132
_SEPARATOR = r"[-_. :hmT]?"
_TIME_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d\d)" + 5 * (_SEPARATOR + r"(\d\d)") + r"(?!\d)")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The time and the camera of a photo; None for what is unknown."""

    taken: datetime | None = None  # on the camera's clock, without a time zone
    camera: str | None = None  # its serial number if the file has one, else maker and model
    unset: bool = False  # the time is there, but all zeros: the camera's clock was never set


def read_metadata(photo: Path | BinaryIO, name: str | None = None) -> Metadata:
    """Read a photo's EXIF time and camera; the time in its name, such as 20240131_235959, is second best.

    Only the head of the file is read. A file that can't be read has no metadata.

    Args:
        photo: the file.
        name: the file's name; that of the path unless given.
    """
    name = name if name is not None else photo.name if isinstance(photo, Path) else ""
    prepare_pillow()
    try:
        with (
            open_photo(photo) if isinstance(photo, Path) else nullcontext(photo) as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            return metadata_of(image, name)
    except Exception:  # broken files, on which Pillow raises nearly any exception
        return Metadata(time_in_name(name))


def metadata_of(image: Image.Image, name: str) -> Metadata:
    """Read the EXIF time and camera of an opened photo, whose file has this name; as `read_metadata`."""
    try:
        exif = Image.Image.getexif(image)  # not the PNG's own, which decodes the picture for what may follow it
        details = exif.get_ifd(ExifTags.IFD.Exif)
    except Exception:  # broken metadata
        return Metadata(time_in_name(name))
    stamps = [
        stamp for stamp in (details.get(ExifTags.Base.DateTimeOriginal), exif.get(ExifTags.Base.DateTime)) if stamp
    ]
    taken = next((time for stamp in stamps if (time := _parse_time(stamp))), None)
    serial = _clean(details.get(ExifTags.Base.BodySerialNumber))
    model = " ".join(filter(None, (_clean(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))))
    return Metadata(
        taken or time_in_name(name),
        " ".join(filter(None, (model, serial))) or None,
        taken is None and any(_clean(stamp).strip("0: ") == "" for stamp in stamps),
    )


def time_in_name(name: str) -> datetime | None:
    """Return the time that a file's name states to the second, such as IMG_20240131_235959.jpg."""
    for found in _TIME_IN_NAME.finditer(name):
        try:
            return datetime(*map(int, found.groups()))  # type: ignore[arg-type]  # six numbers
        except ValueError:  # month 13
            continue
    return None


def _parse_time(stamp: object) -> datetime | None:
    try:
        return datetime.strptime(str(stamp).strip("\0 ")[:19], _TIME_FORMAT)
    except ValueError:  # none, or a camera whose clock was never set: 0000:00:00
        return None


def _clean(text: object) -> str:
    return " ".join(str(text).replace("\0", " ").split()) if isinstance(text, str) else ""
