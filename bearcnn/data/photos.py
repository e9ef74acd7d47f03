"""Photo files to upright RGB pixels: one decoder for training and prediction.

Pictures come from strangers' cameras and from the web. The content decides the format, not the suffix. Every file gives
either the whole picture or a `PhotoError` with a reason that people understand. Colour profiles (ICC) are ignored: they
hardly matter for recognizing a bear, and would be one more untrusted input to a C library.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from bearcnn.data.colours import to_rgb
from bearcnn.data.damage import find_damage
from bearcnn.data.jpeg import drop_details, keeps_coefficients
from bearcnn.data.reading import read_photo
from bearcnn.data.regions import WHOLE, Box, FindRegions, Region, least_sides
from bearcnn.errors import PhotoError, PhotoMemoryError
from bearcnn.geometry import MAX_MEGAPIXELS, ResizeMode

# HEIC can't be read, but an iPhone's photos must appear as skipped, with a reason.
PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".avif", ".jp2", ".ppm", ".pgm", ".heic", ".heif"}
)

LOOK_SIZE = (17, 16)  # width, height: what a difference hash of 256 bits needs
LOOK_SOURCE = 64  # px of the shorter side, at least, of the decoding that a look is taken from

PIXEL_LIMIT = 200_000_000
"""The most pixels of any photo. A 150-megapixel panorama is one; 50000 x 50000 px is an attack on the memory."""

SIDE_LIMIT = 65_535
"""The longest side, as of a JPEG: each row of 50 million takes time, even if it is one pixel."""

# Only formats of photos: Pillow also opens documents (EPS, PDF), video and formats without any signature.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM")
_DRAFTS = ("JPEG", "MPO")  # what can be decoded at a part of its size
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP", b"\xffO\xffQ")
_HEIC_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")
_PILLOW = r"PIL\."  # the modules whose warnings are silenced

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation (CIPA DC-008, tag 0x0112) to what turns the stored picture upright
_ON_ITS_SIDE = {turn for orientation, turn in _TURNS.items() if orientation >= 5}

# Pillow itself refuses twice this number, even in a frame of a file that claims to be small.
Image.MAX_IMAGE_PIXELS = PIXEL_LIMIT


def find_photos(root: Path, every_link: bool = False) -> Iterator[Path]:
    """Yield every file below a folder that has a photo's suffix, in the order of the sorted names.

    Only the names of one chain of folders are in memory at a time. Hidden files and folders are skipped. A folder that
    can't be listed is yielded itself: reading it gives the reason, as for a bad photo. Linked folders are followed. A
    folder with several links is visited once, by the first link; with `every_link` it is visited by each link, but
    never inside itself.
    """
    seen: set[tuple[int, int]] = set()  # device and inode of the listed folders; with `every_link`, of the open ones
    open_folders = [_Listing(root, seen)]  # a stack and not a recursion: folders may be nested thousands deep
    while open_folders:
        listing = open_folders[-1]
        if listing.failed:
            yield listing.folder
        while listing.names:
            name = listing.names.pop()
            if name in listing.folders:
                open_folders.append(_Listing(listing.folder / name, seen))
                break
            if os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122 - a Path for each of a million names is slow
                yield listing.folder / name
        else:
            open_folders.pop()
            if every_link and listing.identity:
                seen.remove(listing.identity)


class _Listing:
    """The names in one folder; none if the folder has been `seen`."""

    def __init__(self, folder: Path, seen: set[tuple[int, int]]) -> None:
        self.folder = folder
        self.names: list[str] = []  # backwards: the next one is the last, and what was taken is no longer in memory
        self.folders: set[str] = set()
        self.failed = False
        self.identity: tuple[int, int] | None = None  # once it is in `seen`
        try:
            state = folder.stat()
            identity = (state.st_dev, state.st_ino)
            if identity in seen:
                return
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
                self.folders = {entry.name for entry in entries if is_folder(entry)}
                self.names = sorted((entry.name for entry in entries), reverse=True)
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            self.failed = True
        else:
            self.identity = identity
            seen.add(identity)


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Check whether a name in a folder is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: reading it gives the reason
        return False


def load_pixels(
    source: Path | BinaryIO, size: int, resize: ResizeMode, max_megapixels: int = MAX_MEGAPIXELS
) -> NDArray[np.uint8]:
    """Read a photo as the network sees it, (size, size, 3) uint8; raises PhotoError if it can't be read."""
    with lack_of_memory_as_reason():
        return resize_photo(load_photo(source, size, max_megapixels), size, resize)


def load_regions(
    source: Path | BinaryIO,
    find: FindRegions,
    size: int,
    resize: ResizeMode,
    max_megapixels: int = MAX_MEGAPIXELS,
) -> list[tuple[Region, NDArray[np.uint8]]]:
    """Read pictures of a photo as the network sees them, each (size, size, 3) uint8; the photo is decoded once.

    Raises:
        PhotoError: it can't be read.
    """

    def need(width: int, height: int) -> tuple[int, int]:
        return least_sides([region.area for region in find(width, height)], size)

    with lack_of_memory_as_reason():
        image, (width, height) = _load(source, need, max_megapixels)
        return [(region, resize_photo(image, size, resize, region.area)) for region in find(width, height)]


def load_photo(
    source: Path | BinaryIO, at_least: int | None = None, max_megapixels: int = MAX_MEGAPIXELS
) -> Image.Image:
    """Read a photo as people see it, upright and in RGB.

    With `at_least`, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where both sides stay at least that many pixels.
    Of an animation, only the first frame is read; transparent pixels become white, as on a page.

    Args:
        source: the file, or its bytes.
        at_least: pixels of each side that are needed; all unless given.
        max_megapixels: the largest photo, in million pixels of what is decoded. For a file, the most bytes follow from
            it (`reading.byte_limit`).

    Raises:
        PhotoError: with the reason why the whole picture can't be read.
    """
    with lack_of_memory_as_reason():
        need = None if at_least is None else lambda width, height: (at_least, at_least)
        return _load(source, need, max_megapixels)[0]


def _load(
    source: Path | BinaryIO, at_least: Callable[[int, int], tuple[int, int]] | None, max_megapixels: int
) -> tuple[Image.Image, tuple[int, int]]:
    """Read a photo, upright and in RGB, and its size before any reduction.

    `at_least` takes the size of the upright photo and returns the width and height that it needs.
    """
    data = read_photo(source, max_megapixels) if isinstance(source, Path) else source.read()
    if not data:
        raise PhotoError("empty file")
    prepare_pillow()
    with _errors_as_reasons(data):
        damage = find_damage(data)
        if damage is not None:
            raise PhotoError(damage)
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                raise PhotoError(f"too large: {width}x{height} px, more than {PIXEL_LIMIT // 10**6} megapixels")
            if max(width, height) > SIDE_LIMIT:
                raise PhotoError(f"too large: {width}x{height} px, a side of more than {SIDE_LIMIT:,}")
            full = None
            if at_least is not None and image.format in _DRAFTS:
                on_its_side = _find_turn(image) in _ON_ITS_SIDE
                full = (height, width) if on_its_side else (width, height)
                wanted = at_least(*full)
                image.draft(None, wanted[::-1] if on_its_side else wanted)
                if "progressive" in image.info and image.width < width / 4:  # at 1/8
                    image.fp = BytesIO(drop_details(data))
            # A JPEG of several scans is decoded from all of its coefficients.
            needed = width * height if image.format in _DRAFTS and keeps_coefficients(data) else math.prod(image.size)
            if needed > max_megapixels * 10**6:
                raise PhotoError(f"too large: {width}x{height} px, more than max_megapixels = {max_megapixels}")
            image.load()
            turn = _find_turn(image)
            upright = to_rgb(image)
        del image  # a large one needn't be in memory any more
        if turn is not None:
            upright = upright.transpose(turn)
        return upright, full or upright.size


@contextmanager
def lack_of_memory_as_reason() -> Iterator[None]:
    """Turn a MemoryError in this block into the reason why a photo can't be read."""
    try:
        yield
    except MemoryError as error:
        raise PhotoMemoryError from error


@contextmanager
def _errors_as_reasons(data: bytes) -> Iterator[None]:
    """Turn what Pillow raises on a file's bytes in this block into a PhotoError."""
    try:
        yield
    except (PhotoError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too large: more than {PIXEL_LIMIT // 10**6} megapixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError(_name_unreadable(data)) from error
    except Exception as error:
        # On damaged bytes Pillow's plugins raise nearly any exception: OSError, SyntaxError, KeyError, ...
        raise PhotoError("file is truncated" if "truncated" in str(error) else "file is damaged") from error


def take_look(data: bytes, photo: Image.Image, max_megapixels: int = MAX_MEGAPIXELS) -> NDArray[np.uint8]:
    """Return a photo's look, by which near copies are found: in grey, `LOOK_SIZE`, (16, 17) uint8.

    It is the same whatever size the photo was decoded at: it is taken from a decoding of at least `LOOK_SOURCE`.

    Args:
        data: the bytes of the file.
        photo: what `load_photo` made of them, at any size; at `LOOK_SOURCE` it isn't decoded again.
        max_megapixels: as for `load_photo`.
    """
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        side, drafts = min(image.size), image.format in _DRAFTS
    if drafts:
        scale = next((scale for scale in (8, 4, 2) if side >= LOOK_SOURCE * scale), 1)
        if min(photo.size) != math.ceil(side / scale):
            photo = load_photo(BytesIO(data), LOOK_SOURCE, max_megapixels)
    return np.array(photo.convert("L").resize(LOOK_SIZE, Image.Resampling.LANCZOS, reducing_gap=3.0))


def resize_photo(image: Image.Image, size: int, resize: ResizeMode, area: Box = WHOLE) -> NDArray[np.uint8]:
    """Resize an RGB picture, or an area of it, to a square, (size, size, 3) uint8.

    `squish` resizes the whole frame to the square, `crop` takes the middle square, and `pad` keeps the frame's shape
    between grey bars. A smaller area is never cut: for it, `crop` is `squish`.
    """
    left, top, right, bottom = (
        area[0] * image.width,
        area[1] * image.height,
        area[2] * image.width,
        area[3] * image.height,
    )
    width, height = right - left, bottom - top
    if resize == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        square = Image.new("RGB", (size, size), (128, 128, 128))  # grey is nearly 0 once the network has normalised it
        square.paste(
            _resize(image, inner, (left, top, right, bottom)), ((size - inner[0]) // 2, (size - inner[1]) // 2)
        )
        return np.array(square)
    box = (left, top, right, bottom)
    if resize == "crop" and area == WHOLE:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
    return np.array(_resize(image, (size, size), box))


def _resize(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    # Bicubic is within 42-45 dB of Lanczos (bilinear: 36) at 0.6 of its time. The reducing gap shrinks by whole
    # numbers first: 11 megapixels to 128 px in 9 ms instead of 62, 44.5 dB instead of 45.6.
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _find_turn(image: Image.Image) -> Image.Transpose | None:
    """Find what turns a stored picture upright."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata, on which Pillow raises nearly any exception; the picture is whole
        return None


def _name_unreadable(data: bytes) -> str:
    if data[4:12] in _HEIC_BRANDS:
        return "HEIC photo, which can't be read: save it as JPEG"
    known = data.startswith(_SIGNATURES) or data[4:12] == b"ftypavif"
    return "file is damaged" if known else "not a picture"


def prepare_pillow() -> None:
    """Make Pillow read a photo whole or not at all, without warnings of odd metadata and large pictures.

    Other packages in the same process, such as megadetector, have it read truncated files as if they were whole.
    `warnings.catch_warnings` isn't safe in the threads that decode photos.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    first = warnings.filters[0] if warnings.filters else None
    if first is None or first[0] != "ignore" or getattr(first[3], "pattern", None) != _PILLOW:
        warnings.filterwarnings("ignore", module=_PILLOW)
