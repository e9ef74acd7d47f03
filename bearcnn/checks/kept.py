"""Details and measures of photos, kept beside their decoded pixels: the next check of the same photos reads no file."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from bearcnn.checks.measures import Measures, measure
from bearcnn.data import OnProgress
from bearcnn.data.cache import PixelCache
from bearcnn.data.cache_folder import CHECKS_FILE, read_record, seal_record
from bearcnn.data.details import FileDetails, read_all_details
from bearcnn.data.metadata import Metadata
from bearcnn.errors import BearcnnError
from bearcnn.files import write_atomically

_VERSION = 1  # raised when a measure or a detail changes

Kept = tuple[list[FileDetails], Measures]


def open_measures(paths: Sequence[Path], cache: PixelCache, track: Callable[[str], OnProgress]) -> Kept:
    """Return the details and measures of the photos of a pixel cache, read or measured where they aren't kept yet.

    Args:
        paths: of the photos, in the order of the cache.
        cache: their pixels, beside which the answers are kept for as long as no photo changes.
        track: gives the callback for the progress of each step.
    """
    file = cache.directory / CHECKS_FILE
    kept = _read(file, len(paths))
    if kept is not None:
        return kept
    details = read_all_details(paths, track("reading the files' details"))
    rows = [row for row, reason in enumerate(cache.reasons) if reason is None]
    measures = measure(cache, rows, track("measuring photos"))
    with contextlib.suppress(BearcnnError):  # a cache that can't be written to is no reason to stop
        write_atomically(file, _encode(details, measures), overwrite=True)
    return details, measures


def _encode(details: list[FileDetails], measures: Measures) -> bytes:
    rows = [
        [
            hashed.tobytes().hex(),
            low,
            dim,
            bright,
            detailed,
            grey,
            each.format,
            each.width,
            each.height,
            each.metadata.taken.isoformat() if each.metadata.taken else None,
            each.metadata.camera,
            each.metadata.unset,
        ]
        for each, hashed, low, dim, bright, detailed, grey in zip(
            details,
            measures.hashes,
            measures.low.tolist(),
            measures.dim.tolist(),
            measures.bright.tolist(),
            measures.detailed.tolist(),
            measures.grey.tolist(),
            strict=True,
        )
    ]
    return seal_record({"version": _VERSION, "rows": rows})


def _read(file: Path, count: int) -> Kept | None:
    """Read what is kept; None if there is nothing, or nothing whole."""
    try:
        record = read_record(file)
        if record["version"] != _VERSION or len(record["rows"]) != count:
            return None
        hashes, low, dim, bright, detailed, grey, formats, widths, heights, times, cameras, unset = zip(
            *record["rows"], strict=True
        )
        measures = Measures(
            np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(count, -1),
            np.array(low, np.float32),
            np.array(dim, np.float32),
            np.array(bright, np.float32),
            np.array(detailed, bool),
            np.array(grey, bool),
        )
        taken = [None if time is None else datetime.fromisoformat(time) for time in times]
        metadata = map(Metadata, taken, cameras, unset)
        return list(map(FileDetails, formats, widths, heights, metadata)), measures
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
