"""Damaged pictures on the ways that photos go: decoding, metadata, and the pixel cache. Run as a worker process.

    python -m tests.helpers.picture_trials FORMAT SEED FIRST LAST

writes one JSON line for each picture and one for each batch in the cache, before and after: a process that dies or
hangs tells with what.

    python -m tests.helpers.picture_trials FILE

reads one file as predict and as the cache do, and writes what it took.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bearcnn.data.cache import build_cache
from bearcnn.data.details import read_details
from bearcnn.data.metadata import read_metadata
from bearcnn.data.photos import load_pixels
from bearcnn.errors import PhotoError
from tests.helpers.mutations import draw_whole, mutate

SIZE = 48
BATCH = 20


def try_picture(path: Path) -> tuple[np.ndarray | None, str | None]:
    """The pixels of a file, or the reason why there are none; its details and metadata are read as well."""
    details, metadata = read_details(path), read_metadata(path)
    assert details.width is None or details.width >= 0
    assert metadata.camera is None or metadata.camera
    try:
        pixels = load_pixels(path, SIZE, "squish")
    except PhotoError as error:
        reason = str(error)
        assert 0 < len(reason) < 80 and "\n" not in reason, reason
        return None, reason
    assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8
    return pixels, None


def peak_megabytes() -> float:
    """The most memory that this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_trials(file_format: str, seed: int, first: int, last: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Try the damaged pictures of these numbers; yields what becomes of each, and of each batch in the cache."""
    for start in range(first, last, BATCH):
        paths, found = [], []
        for number in range(start, min(start + BATCH, last)):
            name, data, whole = mutate(file_format, number, seed)
            path = folder / f"{number}.jpg"
            path.write_bytes(data)
            before = peak_megabytes()
            yield {"begins": number, "name": name}
            wall, used = time.perf_counter(), time.process_time()
            pixels, reason = try_picture(path)
            row = {
                "number": number,
                "name": name,
                "reason": reason,
                "cpu": time.process_time() - used,
                "wall": time.perf_counter() - wall,
                "peak": peak_megabytes(),
                "more": peak_megabytes() - before,
            }
            if pixels is not None:
                row["changed"] = _share_changed(pixels, whole, folder)
            yield row
            paths.append(path)
            found.append((pixels, reason))
        yield {"begins": start, "name": "cache"}
        cache = build_cache(paths, SIZE, "squish", root=folder / "cache", workers=2)
        for row, (pixels, reason) in enumerate(found):
            assert cache.reasons[row] == reason, (start + row, cache.reasons[row], reason)
            assert (cache.pixels[row] == (0 if pixels is None else pixels)).all(), start + row
        yield {"cached": len(paths), "peak": peak_megabytes()}
        for path in paths:
            path.unlink()


_KNOWN: dict[bytes, np.ndarray] = {}


def _share_changed(pixels: np.ndarray, whole: bytes, folder: Path) -> float:
    """The share of the pixels that are visibly others than those of the whole picture."""
    if whole not in _KNOWN:
        (folder / "whole").write_bytes(whole)
        _KNOWN[whole] = load_pixels(folder / "whole", SIZE, "squish").astype(int)
    return float((np.abs(pixels - _KNOWN[whole]).max(axis=2) > 24).mean())


def measure(path: Path, folder: Path) -> dict[str, Any]:
    """The outcome of one file, its seconds, and the memory that it took beyond that of a small picture, in MB."""
    (folder / "small").write_bytes(draw_whole("PNG", 0))
    try_picture(folder / "small")
    build_cache([folder / "small"], SIZE, "squish", root=folder / "cache")
    before = peak_megabytes()
    wall, used = time.perf_counter(), time.process_time()
    _, reason = try_picture(path)
    took = {"reason": reason, "cpu": time.process_time() - used, "wall": time.perf_counter() - wall}
    took["more"] = peak_megabytes() - before
    cache = build_cache([path], SIZE, "squish", root=folder / "cache")
    assert cache.reasons == (reason,), (cache.reasons, reason)
    return {**took, "with the cache": peak_megabytes() - before}


def main() -> None:
    if len(sys.argv) == 2:
        with tempfile.TemporaryDirectory() as folder:
            _say(measure(Path(sys.argv[1]), Path(folder)))
        return
    file_format, *numbers = sys.argv[1:]
    seed, first, last = map(int, numbers)
    for number in range(60):
        draw_whole(file_format, number)
    _say({"start": peak_megabytes()})
    with tempfile.TemporaryDirectory() as folder:
        for row in run_trials(file_format, seed, first, last, Path(folder)):
            _say(row)


def _say(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
