"""The cache folder: its place, its entries, and how to empty it.

<cache root>/pixels/<key>/    pixels.npy  (n, size, size, 3) uint8                index.json  the photo of each row
                             checked.json  what a check of the photos has measured
<cache root>/maps/<key>/      maps.npy    (n, views, side, side, channels) float16  index.json  the photo of each row
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from bearcnn.errors import DataError

ENTRY_NAME = re.compile(r"[0-9a-f]{32}")
BUILDING_NAME = re.compile(r"building-([0-9a-f]{32})-\w+")
KINDS = ("pixels", "maps")
"""What is cached: a folder for each, whose entries hold a file of that name."""
CHECKED_FILE = "checked.json"
"""In an entry of pixels, what a check of its photos has measured (`checks.kept`)."""


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
    record = {
        "version": index.version,
        "size": index.size,
        "fit": index.resize,
        "folder": index.folder,
        "photos": [[*photo, digest, reason] for photo, digest, reason in rows],
    }
    with (building / "index.json").open("w", encoding="ascii") as file:
        json.dump(record, file)
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
    files = {
        file.name: file.stat()
        for file in directory.iterdir()
        if file.name in (f"{kind}.npy", "index.json", CHECKED_FILE)
    }
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
        record: dict[str, Any] = json.loads((entry / "index.json").read_bytes())
        rows = record["photos"]
        return Index(
            version=str(record["version"]),
            size=int(record["size"]),
            resize=str(record["fit"]),
            folder=str(record["folder"]),
            photos=tuple(Photo(path, size, modified) for path, size, modified, _, _ in rows),
            digests=tuple(str(digest) for _, _, _, digest, _ in rows),
            reasons=tuple(None if reason is None else str(reason) for _, _, _, _, reason in rows),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


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


def remove_abandoned(folder: Path, key: str) -> None:
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
    for file in (*(directory / f"{kind}.npy" for kind in KINDS), directory / "index.json", directory / CHECKED_FILE):
        with contextlib.suppress(FileNotFoundError):
            freed += file.lstat().st_size
            file.unlink()
    with contextlib.suppress(OSError):  # a file that isn't ours stays
        directory.rmdir()
    return freed
