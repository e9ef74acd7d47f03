"""The cache folder: its place, its entries, and how to empty it.

<cache root>/pixels/<key>/    pixels.npy  (n, size, size, 3) uint8        index.json  the photo of each row
"""

import contextlib
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from bearcnn.errors import DataError

ENTRY_NAME = re.compile(r"[0-9a-f]{32}")
BUILDING_NAME = re.compile(r"building-([0-9a-f]{32})-\w+")


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One entry of the cache: a row of `bearcnn data cache`."""

    directory: Path
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
    folder = (root or cache_root()) / "pixels"
    try:
        entries = [_describe(directory) for directory in list_folders(folder, ENTRY_NAME)]
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"the pixel cache in {folder} can't be read: {reason}; check its permissions") from error
    return sorted(entries, key=lambda entry: entry.last_used, reverse=True)


def clear_caches(root: Path | None = None) -> tuple[int, int]:
    """Delete every entry that no process is building; returns the numbers of entries and of bytes.

    Files that the cache didn't write are kept. Raises DataError if an entry can't be deleted.
    """
    removed, freed = 0, 0
    folder = (root or cache_root()) / "pixels"
    try:
        for directory in list_folders(folder, ENTRY_NAME, BUILDING_NAME):
            building = BUILDING_NAME.fullmatch(directory.name)
            key = building[1] if building else directory.name
            with contextlib.suppress(Timeout), FileLock(folder / f"{key}.lock", timeout=0):
                freed += remove(directory)
                removed += building is None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"the pixel cache in {folder} can't be deleted: {reason}; check its permissions") from error
    return removed, freed


def _describe(directory: Path) -> CacheEntry:
    index = read_index(directory)
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
    """Delete an entry's two files, then its folder if it is empty; returns the bytes freed."""
    if directory.is_symlink():
        directory.unlink()
        return 0
    freed = 0
    for file in (directory / "pixels.npy", directory / "index.json"):
        with contextlib.suppress(FileNotFoundError):
            freed += file.lstat().st_size
            file.unlink()
    with contextlib.suppress(OSError):  # a file that isn't ours stays
        directory.rmdir()
    return freed
