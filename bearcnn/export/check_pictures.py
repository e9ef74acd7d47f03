"""Drawn pictures for a page to check itself with, stored in the ways that cameras and programs store photos."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from bearcnn.data.synthetic.scene import draw_scene

_SEED = 2
_SIDE = 384  # px; most networks see a decoding at half of it


@dataclass(frozen=True, slots=True)
class CheckPicture:
    """A picture file: its bytes, its media type, and how it is stored in words."""

    content: bytes
    type: str
    words: str


def draw_check_pictures() -> list[CheckPicture]:
    """Draw the pictures, always the same ones: half of them have a bear.

    They are drawn, and no photos of a training set: those can show people, and a place that is nobody's business.
    """
    pictures = []
    for number, (words, type_, store) in enumerate(_WAYS):
        image = draw_scene(_SEED, number, size=_SIDE, is_bear=number % 2 == 0).image
        buffer = BytesIO()
        store(image, buffer)
        pictures.append(CheckPicture(buffer.getvalue(), type_, words))
    return pictures


def _landscape(image: Image.Image, out: BytesIO) -> None:
    image.crop((0, 32, _SIDE, 320)).save(out, "JPEG", quality=85)


def _progressive(image: Image.Image, out: BytesIO) -> None:
    image.save(out, "JPEG", quality=85, subsampling="4:4:4", progressive=True)


def _on_its_side(image: Image.Image, out: BytesIO) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.crop((48, 0, 336, _SIDE)).transpose(Image.Transpose.ROTATE_90).save(
        out, "JPEG", quality=85, subsampling="4:2:2", exif=exif
    )


def _grey(image: Image.Image, out: BytesIO) -> None:
    image.convert("L").save(out, "JPEG", quality=85)


def _small(image: Image.Image, out: BytesIO) -> None:
    image.resize((150, 150)).save(out, "JPEG", quality=85)


def _png(image: Image.Image, out: BytesIO) -> None:
    image.resize((160, 160)).crop((0, 20, 160, 140)).save(out, "PNG", optimize=True)


_WAYS: list[tuple[str, str, Callable[[Image.Image, BytesIO], None]]] = [
    ("JPEG", "image/jpeg", _landscape),
    ("progressive JPEG", "image/jpeg", _progressive),
    ("JPEG on its side (EXIF)", "image/jpeg", _on_its_side),
    ("grey JPEG", "image/jpeg", _grey),
    ("small JPEG", "image/jpeg", _small),
    ("PNG, read by the browser", "image/png", _png),
]
