"""The cache folder: its place, its entries, and how to empty it.

<cache root>/pixels/<key>/    pixels.npy  (n, size, size, 3) uint8                index.json  the photo of each row
                              looks.npy   (n, 16, 17) uint8, in grey              related.json  see related.py
                                                                                  checks.json  see checks/kept.py
<cache root>/maps/<key>/      maps.npy    (n, views, side, side, channels) float16  index.json  the photo of each row
"""

import contextlib
import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from platformdirs import user_cache_path

from bearcnn.data.regions import Crop
from bearcnn.digests import seal
from bearcnn.errors import DataError
from bearcnn.machine import usable_cpus
from bearcnn.workers import map_ahead

ENTRY_NAME = re.compile(r"[0-9a-f]{32}")
BUILDING_NAME = re.compile(r"building-([0-9a-f]{32})-\w+")
KINDS = ("pixels", "maps")
"""What is cached: a folder for each, whose entries hold a file of that name."""
LOOKS_FILE, RELATED_FILE, CHECKS_FILE = "looks.npy", "related.json", "checks.json"
"""What lies beside the pixels; an entry can lack all but the first."""

_CHECKED_TOGETHER = 64
"""Rows whose checksums one thread computes together."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One entry of the cache: a row of `bearcnn data cache`."""

    directory: Path
    kind: str  # decoded "pixels", or a pretrained body's "maps" of them
    source: Path | None  # the folder of all its photos; None for a damaged entry
    photos: int
    size: int  # px
    resize: str
    bytes: int
    last_used: datetime


class Photo(NamedTuple):
    """A photo file as it was when its pixels were decoded."""

    path: str  # absolute
    bytes: int  # -1, like the time, for a missing file
    modified: int  # ns
    crop: Crop | None = None  # None for the whole frame


@dataclass(frozen=True, slots=True)
class Index:
    """The content of an entry's index.json."""

    version: str
    size: int
    resize: str
    folder: str
    photos: tuple[Photo, ...]
    digests: tuple[str, ...]
    reasons: tuple[str | None, ...]
    sums: tuple[int, ...] = ()
    """The checksum of each row of the arrays beside it (`row_sum`); none in entries of versions before there were."""


def cache_root() -> Path:
    """Return the cache folder: $BEARCNN_CACHE, or else the operating system's."""
    return Path(os.environ.get("BEARCNN_CACHE") or user_cache_path("bearcnn"))


def list_caches(root: Path | None = None) -> list[CacheEntry]:
    """List all entries of the cache, the last used first; raises DataError if they can't be read."""
    root = root or cache_root()
    try:
        entries = [_describe(directory, kind) for kind in KINDS for directory in list_folders(root / kind, ENTRY_NAME)]
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"the cache in {root} can't be read: {reason}; check its permissions") from error
    return sorted(entries, key=lambda entry: entry.last_used, reverse=True)


def clear_caches(root: Path | None = None) -> tuple[int, int]:
    """Delete every entry that no process is building; returns the numbers of entries and of bytes.

    Files that the cache didn't write are kept. Raises DataError if an entry can't be deleted.
    """
    root = root or cache_root()
    removed, freed = 0, 0
    try:
        for folder in (root / kind for kind in KINDS):
            for directory in list_folders(folder, ENTRY_NAME, BUILDING_NAME):
                building = BUILDING_NAME.fullmatch(directory.name)
                key = building[1] if building else directory.name
                with contextlib.suppress(Timeout), FileLock(folder / f"{key}.lock", timeout=0):
                    freed += remove(directory)
                    removed += building is None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"the cache in {root} can't be deleted: {reason}; check its permissions") from error
    return removed, freed


@contextmanager
def new_entry(entry: Path) -> Iterator[Path]:
    """Give a folder to build an entry in, and rename it into its place at the end: an entry is whole or absent."""
    building = entry.with_name(f"building-{entry.name}-{secrets.token_hex(8)}")
    building.mkdir()  # not tempfile, whose folders only their owner may ever read
    try:
        yield building
        if os.path.lexists(entry):  # damaged, or no longer true
            old = entry.with_name(f"building-{entry.name}-old")
            entry.rename(old)
            remove(old)
        building.rename(entry)
    except BaseException:
        remove(building)
        raise


def write_index(building: Path, index: Index) -> None:
    """Write the index.json of an entry."""
    rows = zip(index.photos, index.digests, index.reasons, strict=True)
    photos = [
        [photo.path, photo.bytes, photo.modified, digest, reason, *([photo.crop] if photo.crop else [])]
        for photo, digest, reason in rows
    ]
    record = {
        "version": index.version,
        "size": index.size,
        "fit": index.resize,
        "folder": index.folder,
        "photos": photos,
        "sums": index.sums,
    }
    with (building / "index.json").open("wb") as file:
        file.write(seal_record(record))
        file.flush()
        os.fsync(file.fileno())


def find_common_folder(photos: Sequence[Photo]) -> str:
    """Return the folder that all of these photos are in."""
    try:
        return os.path.commonpath([os.path.dirname(photo.path) for photo in photos])  # noqa: PTH120
    except ValueError:  # photos on several drives
        return os.path.dirname(photos[0].path)  # noqa: PTH120


def _describe(directory: Path, kind: str) -> CacheEntry:
    index = read_index(directory)
    ours = (f"{kind}.npy", "index.json", LOOKS_FILE, RELATED_FILE, CHECKS_FILE)
    files = {file.name: file.stat() for file in directory.iterdir() if file.name in ours}
    used = files.get("index.json", directory.stat()).st_mtime  # opening an entry touches it
    return CacheEntry(
        directory=directory,
        kind=kind,
        source=Path(index.folder) if index else None,
        photos=len(index.photos) if index else 0,
        size=index.size if index else 0,
        resize=index.resize if index else "",
        bytes=sum(state.st_size for state in files.values()),
        last_used=datetime.fromtimestamp(used, UTC),
    )


def read_index(entry: Path) -> Index | None:
    """Return the index of an entry; None if it is missing or damaged."""
    try:
        if entry.is_symlink():
            return None
        record = read_record(entry / "index.json")
        rows = record["photos"]
        return Index(
            version=str(record["version"]),
            size=int(record["size"]),
            resize=str(record["fit"]),
            folder=str(record["folder"]),
            photos=tuple(
                Photo(path, size, modified, *(Crop(*each) for each in crop))
                for path, size, modified, _, _, *crop in rows
            ),
            digests=tuple(str(digest) for _, _, _, digest, *_ in rows),
            reasons=tuple(None if reason is None else str(reason) for _, _, _, _, reason, *_ in rows),
            sums=tuple(map(int, record.get("sums", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def seal_record(record: Mapping[str, Any]) -> bytes:
    """Return a record as JSON with a digest of itself."""
    return json.dumps({**record, "digest": seal(json.dumps(record), {})}).encode()


def read_record(file: Path) -> dict[str, Any]:
    """Read a record of the cache, with its digest if it has one; raises ValueError if it is damaged."""
    record = json.loads(file.read_bytes())
    if not isinstance(record, dict):
        raise ValueError("no record")
    digest = record.pop("digest", None)
    if digest not in (None, seal(json.dumps(record), {})):
        raise ValueError("a byte of it has changed")
    return record


def row_sum(*arrays: NDArray[Any]) -> int:
    """Return the checksum of one row of each of some arrays."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return found


def rows_are_whole(index: Index, *arrays: NDArray[Any]) -> bool:
    """Check the rows of memory-mapped arrays by their checksums; an entry without has none to check."""
    rows = len(index.sums)

    def check(start: int) -> bool:
        end = min(rows, start + _CHECKED_TOGETHER)
        return all(row_sum(*(array[row] for array in arrays)) == index.sums[row] for row in range(start, end))

    return all(map_ahead(check, range(0, rows, _CHECKED_TOGETHER), usable_cpus(), 2 * usable_cpus()))


def list_folders(folder: Path, *names: re.Pattern[str]) -> list[Path]:
    """List the subfolders with one of these names, without links."""
    try:
        with os.scandir(folder) as listing:
            return [
                Path(entry.path)
                for entry in listing
                if entry.is_dir(follow_symlinks=False) and any(name.fullmatch(entry.name) for name in names)
            ]
    except FileNotFoundError:
        return []


def remove_unfinished(folder: Path, key: str) -> None:
    """Delete unfinished entries of killed processes.

    A living process holds the lock of its entry's key; this process holds the lock of `key`.
    """
    for directory in list_folders(folder, BUILDING_NAME):
        match = BUILDING_NAME.fullmatch(directory.name)
        assert match is not None
        if match[1] == key:
            remove(directory)
            continue
        with contextlib.suppress(Timeout), FileLock(folder / f"{match[1]}.lock", timeout=0):
            remove(directory)


def remove(directory: Path) -> int:
    """Delete an entry's files, then its folder if it is empty; returns the bytes freed."""
    if directory.is_symlink():
        directory.unlink()
        return 0
    freed = 0
    for name in (*(f"{kind}.npy" for kind in KINDS), "index.json", LOOKS_FILE, RELATED_FILE, CHECKS_FILE):
        file = directory / name
        with contextlib.suppress(FileNotFoundError):
            freed += file.lstat().st_size
            file.unlink()
    with contextlib.suppress(OSError):  # a file that isn't ours stays
        directory.rmdir()
    return freed
