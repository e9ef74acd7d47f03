"""Decoded pixels on disk: photos are read and decoded once, in parallel, and memory-mapped ever after.

    <cache root>/pixels/<key>/    pixels.npy  (n, size, size, 3) uint8        index.json  what each row is

The key is a hash of every photo's path, size and time, so a changed, added or removed photo makes another entry; rows
of unchanged photos are copied from the entry most like it. An entry is built under another name and renamed into
place: it is whole or it isn't there. A lock for each key makes a second process wait for the first and use its work.
This module must not import torch, fastai, matplotlib or pandas.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from platformdirs import user_cache_path

from bearcnn.config import ResizeMode
from bearcnn.data.photos import load_pixels, read_photo
from bearcnn.errors import DataError, PhotoError

# Raised when photos.py gives other pixels or this module writes other files; another Pillow may decode differently.
_VERSION = f"1, Pillow {PIL.__version__}"
_ENTRY_NAME = re.compile(r"[0-9a-f]{32}")
_BUILDING_NAME = re.compile(r"building-([0-9a-f]{32})-\w+")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PixelCache:
    """The pixels of some photos, in their order: row i is photo i."""

    directory: Path
    pixels: NDArray[np.uint8]  # (n, size, size, 3), memory-mapped, read-only; 0 for a photo that can't be read
    reasons: tuple[str | None, ...]  # why a photo can't be read; None for a readable one
    digests: tuple[str, ...]  # blake2b of the file's bytes, hex; "" if not even those can be read


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What `bearcnn data cache` shows of one entry."""

    directory: Path
    source: Path | None  # the folder all its photos lie under; None for an entry that is damaged
    photos: int
    size: int  # px
    resize: str
    bytes: int
    last_used: datetime


class _Photo(NamedTuple):
    path: str  # absolute
    bytes: int  # -1, and -1 for the time, if there is no such file
    modified: int  # ns


@dataclass(frozen=True, slots=True)
class _Index:
    version: str
    size: int
    resize: str
    folder: str
    photos: tuple[_Photo, ...]
    digests: tuple[str, ...]
    reasons: tuple[str | None, ...]


def cache_root() -> Path:
    """The folder of everything cached: $BEARCNN_CACHE, or the one that the operating system has for this."""
    return Path(os.environ.get("BEARCNN_CACHE") or user_cache_path("bearcnn"))


def build_cache(
    paths: Sequence[Path],
    size: int,
    resize: ResizeMode,
    *,
    root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PixelCache:
    """The pixels of these photos from the cache, after decoding what isn't there yet.

    A photo that can't be read has its reason in the result. Memory stays small whatever the number of photos.
    Raises DataError if there is no photo, or if the cache folder can't be written.
    """
    if not paths:
        raise DataError("There is no photo to read.")
    photos = tuple(_look_at(path) for path in paths)
    key = hashlib.blake2b(json.dumps([_VERSION, size, resize]).encode(), digest_size=16)
    for photo in photos:
        key.update(f"\0{photo.bytes} {photo.modified} ".encode() + os.fsencode(photo.path))
    folder = (root or cache_root()) / "pixels"
    entry = folder / key.hexdigest()
    cache = _open(entry, photos)
    if cache is not None:
        return cache
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{entry.name}.lock"):
            cache = _open(entry, photos)  # another process may have built it while this one waited
            if cache is None:
                _remove_abandoned(folder, entry.name)
                _build(entry, photos, size, resize, workers or os.cpu_count() or 1, progress)
                cache = _open(entry, photos)
    except OSError as error:
        megabytes = len(photos) * size * size * 3 / 1e6
        raise DataError(
            f"The pixel cache in {folder} can't be written ({error.strerror or error}; it needs {megabytes:,.1f} MB): "
            "make room, or set the environment variable BEARCNN_CACHE to another folder."
        ) from error
    if cache is None:
        raise DataError(f"The pixel cache {entry} was deleted while it was in use: run the command again.")
    return cache


def list_caches(root: Path | None = None) -> list[CacheEntry]:
    """All entries of the cache, the last used one first; DataError if they can't be read."""
    folder = (root or cache_root()) / "pixels"
    try:
        entries = [_describe(directory) for directory in _list_folders(folder, _ENTRY_NAME)]
    except OSError as error:
        raise DataError(f"The pixel cache in {folder} can't be read: {error.strerror or error}.") from error
    return sorted(entries, key=lambda entry: entry.last_used, reverse=True)


def clear_caches(root: Path | None = None) -> tuple[int, int]:
    """Deletes every entry that no process is building: (number of entries removed, bytes freed).

    Only files that this module wrote are deleted. Raises DataError if one can't be.
    """
    removed, freed = 0, 0
    folder = (root or cache_root()) / "pixels"
    try:
        for directory in _list_folders(folder, _ENTRY_NAME, _BUILDING_NAME):
            building = _BUILDING_NAME.fullmatch(directory.name)
            key = building[1] if building else directory.name
            with contextlib.suppress(Timeout), FileLock(folder / f"{key}.lock", timeout=0):
                freed += _remove(directory)
                removed += building is None
    except OSError as error:
        raise DataError(f"The pixel cache in {folder} can't be deleted: {error.strerror or error}.") from error
    return removed, freed


def _describe(directory: Path) -> CacheEntry:
    index = _read_index(directory)
    files = {file.name: file.stat() for file in directory.iterdir() if file.name in ("pixels.npy", "index.json")}
    used = files.get("index.json", directory.stat()).st_mtime  # `_open` touches it
    return CacheEntry(
        directory=directory,
        source=Path(index.folder) if index else None,
        photos=len(index.photos) if index else 0,
        size=index.size if index else 0,
        resize=index.resize if index else "",
        bytes=sum(state.st_size for state in files.values()),
        last_used=datetime.fromtimestamp(used, UTC),
    )


def _look_at(path: Path) -> _Photo:
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path.absolute() keeps "..", resolve() follows links
    try:
        state = os.stat(absolute)  # noqa: PTH116 - twice as fast, and there may be a million
    except (OSError, ValueError):
        return _Photo(absolute, -1, -1)
    return _Photo(absolute, state.st_size, state.st_mtime_ns)


def _open(entry: Path, photos: tuple[_Photo, ...]) -> PixelCache | None:
    """The entry if it is whole and still true."""
    index = _read_index(entry)
    if index is None or index.photos != photos:
        return None
    pixels = _map_pixels(entry, index)
    if pixels is None:
        return None
    # A permission given back or a network drive that works again changes neither the time nor the size of a photo.
    unread = [photo.path for photo, digest in zip(photos, index.digests, strict=True) if not digest]
    if any(_read_and_decode(path, 1, "squish")[0] for path in unread):
        return None
    with contextlib.suppress(OSError):  # a cache that can only be read is fine
        os.utime(entry / "index.json")
    return PixelCache(entry, pixels, index.reasons, index.digests)


def _map_pixels(entry: Path, index: _Index) -> NDArray[np.uint8] | None:
    try:
        pixels = np.load(entry / "pixels.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = pixels.shape == (len(index.photos), index.size, index.size, 3) and pixels.dtype == np.uint8
    return pixels if whole else None


def _read_index(entry: Path) -> _Index | None:
    try:
        if entry.is_symlink():
            return None
        record: dict[str, Any] = json.loads((entry / "index.json").read_bytes())
        rows = record["photos"]
        return _Index(
            version=str(record["version"]),
            size=int(record["size"]),
            resize=str(record["fit"]),
            folder=str(record["folder"]),
            photos=tuple(_Photo(path, size, modified) for path, size, modified, _, _ in rows),
            digests=tuple(str(digest) for _, _, _, digest, _ in rows),
            reasons=tuple(None if reason is None else str(reason) for _, _, _, _, reason in rows),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(
    entry: Path, photos: tuple[_Photo, ...], size: int, resize: ResizeMode, workers: int, progress: Progress | None
) -> None:
    building = entry.with_name(f"building-{entry.name}-{secrets.token_hex(8)}")
    building.mkdir()  # not tempfile, whose folders only their owner may ever read
    try:
        digests, reasons = [], []
        with (building / "pixels.npy").open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(photos), size, size, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            # Written and not stored through a memory map: on a full disk that would kill the process.
            with contextlib.closing(_produce_rows(entry.parent, photos, size, resize, workers)) as rows:
                for digest, pixels, reason in rows:
                    digests.append(digest)
                    reasons.append(reason)
                    file.write(bytes(size * size * 3) if pixels is None else pixels.tobytes())
                    if progress is not None:
                        progress(len(digests), len(photos))
            file.flush()
            os.fsync(file.fileno())
        record = {
            "version": _VERSION,
            "size": size,
            "fit": resize,
            "folder": _find_common_folder(photos),
            "photos": [
                [*photo, digest, reason] for photo, digest, reason in zip(photos, digests, reasons, strict=True)
            ],
        }
        with (building / "index.json").open("w", encoding="ascii") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        if os.path.lexists(entry):  # damaged, or no longer true
            old = entry.with_name(f"building-{entry.name}-old")
            entry.rename(old)
            _remove(old)
        building.rename(entry)
    except BaseException:
        _remove(building)
        raise


Row = tuple[str, NDArray[np.uint8] | None, str | None]  # digest, pixels, reason


def _produce_rows(
    folder: Path, photos: tuple[_Photo, ...], size: int, resize: ResizeMode, workers: int
) -> Generator[Row, None, None]:
    """The row of each photo in order: copied from the entry most like it, else decoded in threads a little ahead."""
    known = _find_known_rows(folder, photos, size, resize)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="decode")  # Pillow decodes without the GIL
    try:
        ahead: deque[Row | Future[Row]] = deque()
        for photo in photos:
            row = known(photo)
            ahead.append(row if row is not None else executor.submit(_read_and_decode, photo.path, size, resize))
            if len(ahead) > 8 * workers:
                yield _wait_for(ahead.popleft())
        while ahead:
            yield _wait_for(ahead.popleft())
    finally:
        executor.shutdown(cancel_futures=True)


def _wait_for(row: "Row | Future[Row]") -> Row:
    return row.result() if isinstance(row, Future) else row


def _read_and_decode(path: str, size: int, resize: ResizeMode) -> Row:
    digest = ""
    try:
        data = read_photo(Path(path))
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        return digest, load_pixels(BytesIO(data), size, resize), None
    except PhotoError as error:
        return digest, None, str(error)


def _find_known_rows(
    folder: Path, photos: tuple[_Photo, ...], size: int, resize: ResizeMode
) -> Callable[[_Photo], Row | None]:
    """What finds the row of an unchanged photo in the entry that shares most photos with these."""
    wanted = set(photos)
    best: tuple[int, _Index | None, NDArray[np.uint8] | None] = (0, None, None)
    for entry in sorted(_list_folders(folder, _ENTRY_NAME)):
        index = _read_index(entry)
        if index is None or (index.version, index.size, index.resize) != (_VERSION, size, resize):
            continue
        shared = sum(photo in wanted for photo in index.photos)
        if shared > best[0] and (pixels := _map_pixels(entry, index)) is not None:
            best = (shared, index, pixels)
    _, index, pixels = best
    if index is None or pixels is None:
        return lambda photo: None
    rows = {photo: row for row, photo in enumerate(index.photos) if index.digests[row]}

    def find(photo: _Photo) -> Row | None:
        row = rows.get(photo)
        if row is None:
            return None
        reason = index.reasons[row]
        return index.digests[row], None if reason else pixels[row], reason

    return find


def _find_common_folder(photos: tuple[_Photo, ...]) -> str:
    try:
        return os.path.commonpath([os.path.dirname(photo.path) for photo in photos])  # noqa: PTH120
    except ValueError:  # photos on several drives
        return os.path.dirname(photos[0].path)  # noqa: PTH120


def _list_folders(folder: Path, *names: re.Pattern[str]) -> list[Path]:
    """The folders in it, and no links, whose names are ours."""
    try:
        with os.scandir(folder) as listing:
            return [
                Path(entry.path)
                for entry in listing
                if entry.is_dir(follow_symlinks=False) and any(name.fullmatch(entry.name) for name in names)
            ]
    except FileNotFoundError:
        return []


def _remove_abandoned(folder: Path, key: str) -> None:
    """Deletes what killed builders left: whoever builds holds the lock of the key."""
    for directory in _list_folders(folder, _BUILDING_NAME):
        match = _BUILDING_NAME.fullmatch(directory.name)
        assert match is not None
        if match[1] == key:  # this process holds that lock
            _remove(directory)
            continue
        with contextlib.suppress(Timeout), FileLock(folder / f"{match[1]}.lock", timeout=0):
            _remove(directory)


def _remove(directory: Path) -> int:
    """Deletes an entry's own two files and then its folder, if that is empty by then; returns the bytes freed."""
    if directory.is_symlink():
        directory.unlink()
        return 0
    freed = 0
    for file in (directory / "pixels.npy", directory / "index.json"):
        with contextlib.suppress(FileNotFoundError):
            freed += file.lstat().st_size
            file.unlink()
    with contextlib.suppress(OSError):  # a stranger's file in it stays
        directory.rmdir()
    return freed
