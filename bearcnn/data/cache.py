"""Decoded pixels on disk: photos are read and decoded once, in parallel, and memory-mapped from then on.

The key of an entry is a hash of every photo's path, size and time, and of its crop where it has one. A changed, added
or removed photo makes a new entry. The rows of unchanged photos are copied into it from the entry that shares most
photos with it. An entry is built under another name and renamed into place: it is whole or absent. A lock per key makes
a second process wait for the first and use its work. A checksum for each row finds what a worn disk has changed: those
rows are decoded again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import PIL
from filelock import FileLock
from numpy.typing import NDArray

from bearcnn.data import OnProgress
from bearcnn.data.cache_folder import (
    ENTRY_NAME,
    LOOKS_FILE,
    Index,
    Photo,
    cache_root,
    find_common_folder,
    list_folders,
    new_entry,
    read_index,
    remove_unfinished,
    row_sum,
    rows_are_whole,
    write_index,
)
from bearcnn.data.photos import (
    LOOK_SIZE,
    LOOK_SOURCE,
    lack_of_memory_as_reason,
    load_photo,
    load_regions,
    resize_photo,
    take_look,
)
from bearcnn.data.reading import hash_photo, read_photo
from bearcnn.data.regions import Crop
from bearcnn.errors import DataError, PhotoError, PhotoMemoryError
from bearcnn.geometry import MAX_MEGAPIXELS, ResizeMode
from bearcnn.machine import usable_cpus
from bearcnn.workers import map_ahead

# Raised when photos.py gives other pixels or reasons, or this module writes other files. Another Pillow may decode
# differently.
_VERSION = f"3, Pillow {PIL.__version__}"

_LOOK_SHAPE = LOOK_SIZE[::-1]


@dataclass(frozen=True, slots=True)
class PixelCache:
    """The pixels of some photos; row i is photo i."""

    directory: Path
    pixels: NDArray[np.uint8]  # (n, size, size, 3), memory-mapped, read-only; 0 for a photo that can't be read
    looks: NDArray[np.uint8]  # (n, 16, 17), from `photos.take_look`; the same for every size and resize mode
    reasons: tuple[str | None, ...]  # why a photo can't be read; None for a readable one
    digests: tuple[str, ...]  # blake2b of the file's bytes, hex; "" if not even those can be read


def build_cache(
    paths: Sequence[Path],
    size: int,
    resize: ResizeMode,
    *,
    crops: Sequence[Crop | None] | None = None,
    max_megapixels: int = MAX_MEGAPIXELS,
    root: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PixelCache:
    """Return the pixels of these photos from the cache, after decoding the missing ones.

    `crops` has the part of each photo that its pixels show; None is the whole frame, of one photo or of all. A photo
    of more than `max_megapixels` in memory isn't decoded. The result has a reason for each photo that can't be read.
    Memory use doesn't grow with the number of photos. `on_progress` counts photos.

    Raises:
        DataError: there is no photo, or the cache folder can't be written.
    """
    if not paths:
        raise DataError("there is no photo to read")
    photos = tuple(_look_at(path, crop) for path, crop in zip(paths, crops or [None] * len(paths), strict=True))
    decoding = _Decoding(size, resize, max_megapixels)
    key = hashlib.blake2b(json.dumps(decoding.kind).encode(), digest_size=16)
    for photo in photos:
        key.update(f"\0{photo.bytes} {photo.modified} ".encode() + os.fsencode(photo.path))
        if photo.crop:
            key.update(f"\0{json.dumps(photo.crop)}".encode())
    folder = (root or cache_root()) / "pixels"
    entry = folder / key.hexdigest()
    cache = _open(entry, photos, decoding)
    if cache is not None:
        return cache
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{entry.name}.lock"):
            cache = _open(entry, photos, decoding)  # another process may have built it while this one waited
            if cache is None:
                remove_unfinished(folder, entry.name)
                _build(entry, photos, decoding, workers or usable_cpus(), on_progress)
                # As built: a photo that has become readable since is noticed the next time.
                cache = _open(entry, photos, decoding, built_now=True)
    except OSError as error:
        megabytes = len(photos) * size * size * 3 / 1e6
        raise DataError(
            f"the pixel cache in {folder} can't be written ({error.strerror or error}; it needs {megabytes:,.1f} MB): "
            "make room, or set the environment variable BEARCNN_CACHE to another folder"
        ) from error
    if cache is None:
        raise DataError(f"the pixel cache {entry} was deleted while it was in use: run the command again")
    return cache


def _look_at(path: Path, crop: Crop | None) -> Photo:
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path.absolute() keeps "..", resolve() follows links
    try:
        state = os.stat(absolute)  # noqa: PTH116 - twice as fast, and there may be a million
    except (OSError, ValueError):
        return Photo(absolute, -1, -1, crop)
    return Photo(absolute, state.st_size, state.st_mtime_ns, crop)


class _Decoding(NamedTuple):
    """What decides the pixels of a photo, beside its bytes."""

    size: int
    resize: ResizeMode
    max_megapixels: int

    @property
    def kind(self) -> tuple[str, int, str]:
        """Version, size and resize mode of an index: only pixels of entries with the same may be copied."""
        limit = "" if self.max_megapixels == MAX_MEGAPIXELS else f", at most {self.max_megapixels} megapixels"
        return _VERSION + limit, self.size, self.resize


def _open(entry: Path, photos: tuple[Photo, ...], decoding: _Decoding, built_now: bool = False) -> PixelCache | None:
    """Return the entry if it is whole and its photos haven't changed, else None."""
    index = read_index(entry)
    if index is None or index.photos != photos:
        return None
    mapped = _map_arrays(entry, index)
    if mapped is None or not rows_are_whole(index, *mapped):
        return None
    # A repaired permission or network drive changes neither the time nor the size of a photo; nor does more memory.
    unread = () if built_now else (photo for photo, digest in zip(photos, index.digests, strict=True) if not digest)
    if any(_read_and_decode(photo, decoding)[0] for photo in unread):
        return None
    with contextlib.suppress(OSError):  # a read-only cache is fine
        os.utime(entry / "index.json")
    return PixelCache(entry, *mapped, index.reasons, index.digests)


def _map_arrays(entry: Path, index: Index) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Return the pixels and the looks of an entry; None if they aren't whole."""
    try:
        pixels = np.load(entry / "pixels.npy", mmap_mode="r", allow_pickle=False)
        looks = np.load(entry / LOOKS_FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    number = len(index.photos)
    if len(index.sums) not in (0, number):
        return None
    shapes = pixels.shape == (number, index.size, index.size, 3) and looks.shape == (number, *_LOOK_SHAPE)
    return (pixels, looks) if shapes and pixels.dtype == looks.dtype == np.uint8 else None


def _build(
    entry: Path, photos: tuple[Photo, ...], decoding: _Decoding, workers: int, on_progress: OnProgress | None
) -> None:
    size = decoding.size
    with new_entry(entry) as building:
        digests, reasons, sums = [], [], []
        # Not through memory maps: on a full disk they would kill the process.
        with (
            _new_array(building / "pixels.npy", (len(photos), size, size, 3)) as pixels_file,
            _new_array(building / LOOKS_FILE, (len(photos), *_LOOK_SHAPE)) as looks_file,
            contextlib.closing(_produce_rows(entry.parent, photos, decoding, workers)) as rows,
        ):
            for digest, pixels, look, reason in rows:
                digests.append(digest)
                reasons.append(reason)
                pixels = np.zeros((size, size, 3), np.uint8) if pixels is None else pixels
                look = np.zeros(_LOOK_SHAPE, np.uint8) if look is None else look
                pixels_file.write(pixels.tobytes())
                looks_file.write(look.tobytes())
                sums.append(row_sum(pixels, look))
                if on_progress is not None:
                    on_progress(len(digests), len(photos))
        folder = find_common_folder(photos)
        index = Index(*decoding.kind, folder, photos, tuple(digests), tuple(reasons), tuple(sums))
        write_index(building, index)


@contextlib.contextmanager
def _new_array(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Give a new .npy file of bytes, to write the rows into."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        yield file
        file.flush()
        os.fsync(file.fileno())


Row = tuple[str, NDArray[np.uint8] | None, NDArray[np.uint8] | None, str | None]  # digest, pixels, decoding, reason


def _produce_rows(
    folder: Path, photos: tuple[Photo, ...], decoding: _Decoding, workers: int
) -> Generator[Row, None, None]:
    """Give the row of each photo in order: copied from another entry, or decoded; in threads, a little ahead."""
    known = _find_known_rows(folder, photos, decoding)

    def produce(photo: Photo) -> Row:
        return known(photo) or _read_and_decode(photo, decoding)

    return map_ahead(produce, photos, workers, 8 * workers)  # Pillow decodes without the GIL


def _read_and_decode(photo: Photo, decoding: _Decoding) -> Row:
    size, resize, most = decoding
    digest = ""
    try:
        data = read_photo(Path(photo.path), most)
        digest = hash_photo(data)
        with lack_of_memory_as_reason():
            if photo.crop is None:
                image = load_photo(BytesIO(data), size, most)
                return digest, resize_photo(image, size, resize), take_look(data, image, most), None
            ((_, pixels),) = load_regions(BytesIO(data), photo.crop.find, size, resize, most)
            image = load_photo(BytesIO(data), LOOK_SOURCE, most)
            return digest, pixels, take_look(data, image, most), None
    except PhotoMemoryError as error:
        return "", None, None, str(error)  # as if it hadn't been read: it is tried again
    except PhotoError as error:
        return digest, None, None, str(error)


def _find_known_rows(folder: Path, photos: tuple[Photo, ...], decoding: _Decoding) -> Callable[[Photo], Row | None]:
    """Return a function that finds an unchanged photo's row in the entry that shares most photos with these."""
    wanted = set(photos)
    most, best = 0, None
    for entry in sorted(list_folders(folder, ENTRY_NAME)):
        index = read_index(entry)
        if index is None or (index.version, index.size, index.resize) != decoding.kind:
            continue
        shared = sum(photo in wanted for photo in index.photos)
        if shared > most and (arrays := _map_arrays(entry, index)) is not None:
            most, best = shared, (index, *arrays)
    if best is None:
        return lambda photo: None
    index, pixels, looks = best
    rows = {photo: row for row, photo in enumerate(index.photos) if index.digests[row]}

    def find(photo: Photo) -> Row | None:
        row = rows.get(photo)
        if row is None or (index.sums and row_sum(pixels[row], looks[row]) != index.sums[row]):
            return None
        reason = index.reasons[row]
        return index.digests[row], None if reason else pixels[row], None if reason else looks[row], reason

    return find
