"""What relates photos to each other: their time, their camera, and which ones look the same.

It is read once, and kept beside the pixels in the cache.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bearcnn.data.cache import PixelCache
from bearcnn.data.cache_folder import RELATED_FILE, read_record, seal_record
from bearcnn.data.metadata import read_metadata
from bearcnn.errors import BearcnnError
from bearcnn.files import write_atomically
from bearcnn.machine import usable_cpus
from bearcnn.registry import load
from bearcnn.workers import map_in_threads

_VERSION = 1  # raised when metadata.py or near_copies.py finds something else


@dataclass(frozen=True, slots=True)
class Related:
    """Of each photo, in the order of the pixels' rows."""

    taken: tuple[datetime | None, ...]  # by its EXIF data, else by its name
    camera: tuple[str | None, ...]
    near: tuple[int, ...]  # the number of its group of near copies


def find_related(cache: PixelCache, paths: list[Path]) -> Related:
    """Return what relates the photos of a cache entry, from its file or else from the photos.

    They are the same for every image size and resize mode.
    """
    file = cache.directory / RELATED_FILE
    try:
        kept = read_record(file)
        taken = tuple(None if time is None else datetime.fromisoformat(time) for time in kept["taken"])
        related = Related(taken, tuple(kept["camera"]), tuple(kept["near"]))
        if kept["version"] == _VERSION and len(taken) == len(related.camera) == len(related.near) == len(paths):
            return related
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    found = map_in_threads(read_metadata, paths, usable_cpus())
    near = load("bearcnn.data.near_copies:group_near_copies")(cache.looks)  # loads imagehash
    related = Related(tuple(each.taken for each in found), tuple(each.camera for each in found), tuple(near))
    try:
        times = [None if time is None else time.isoformat() for time in related.taken]
        record = {"version": _VERSION, **asdict(related), "taken": times}
        write_atomically(file, seal_record(record), overwrite=True)
    except BearcnnError:  # a read-only cache is fine
        pass
    return related
