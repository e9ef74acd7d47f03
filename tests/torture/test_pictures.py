"""Thousands of damaged pictures and the worst bombs: each is a picture or a reason, soon, in bounded memory."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from typing import Any

import pytest
from PIL import Image

from tests.helpers import bombs
from tests.helpers.mutations import VARIANTS
from tests.helpers.places import ROOT

pytestmark = [pytest.mark.torture, pytest.mark.timeout(7200)]

COUNT = int(os.environ.get("BEARCNN_TORTURE_PICTURES", "3500"))
"""Pictures of each of the six formats."""
SEED = int(os.environ.get("BEARCNN_TORTURE_SEED", "1"))
CHUNK = 500  # pictures of one process
SECONDS = 2.0  # of computing, for one picture
SILENCE = 60.0  # s without a line, after which a process hangs
MEGABYTES = 700  # beyond those of a process that has read small pictures
LOSSES = ("cut", "zero_tail", "zero_cluster", "erase_cluster")
VISIBLE = 0.05  # of the pixels

Figures = Callable[[str, Any], None]


@dataclass
class Tally:
    """What became of the pictures of a format."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    cached: int = 0
    crashes: list[str] = field(default_factory=list)
    start: float = 0.0
    peak: float = 0.0

    def add(self, line: dict[str, Any]) -> None:
        if "number" in line:
            self.rows.append(line)
        self.cached += line.get("cached", 0)
        self.start = max(self.start, line.get("start", 0.0))
        self.peak = max(self.peak, line.get("peak", 0.0))


def read_lines(stream: Any, lines: "Queue[str]") -> None:
    """Put a process's whole lines into a queue, and an empty text at its end."""
    for line in stream:
        if line.endswith("\n"):
            lines.put(line)
    lines.put("")


def run_process(file_format: str, first: int, last: int, tally: Tally) -> int:
    """Try these pictures in a process of its own; returns the number from which to go on."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.picture_trials", file_format, str(SEED), str(first), str(last)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        lines: Queue[str] = Queue()
        said: list[str] = []
        readers = [
            threading.Thread(target=read_lines, args=(process.stdout, lines)),
            threading.Thread(target=lambda: said.extend(process.stderr or ())),
        ]
        for reader in readers:
            reader.start()
        begun: dict[str, Any] = {"begins": first, "name": "start"}
        hung, silent = False, 0
        while True:
            try:
                text = lines.get(timeout=SILENCE)
                silent = 0
            except Empty:
                silent += 1  # once can be this process's own, which was stopped for a while
                if silent > 1:
                    hung = True
                    process.kill()
                continue
            if not text:
                break
            line = json.loads(text)
            begun = line if "begins" in line else begun
            tally.add(line)
        for reader in readers:
            reader.join()
    code = process.returncode
    if code == 0:
        return last
    what = "hangs" if hung else f"exit code {code}"
    tally.crashes.append(f"{file_format} {begun['begins']} ({begun['name']}): {what}: {''.join(said[-3:])}")
    return int(begun["begins"]) + (20 if begun["name"] == "cache" else 1)


@pytest.mark.parametrize("file_format", VARIANTS)
def test_each_damaged_picture_is_a_picture_or_a_reason(file_format: str, figures: Figures) -> None:
    tally, first = Tally(), 0
    while first < COUNT:
        first = run_process(file_format, first, min(COUNT, first + CHUNK), tally)
    rows = tally.rows
    slow = [row for row in rows if row["cpu"] > SECONDS]
    figures("damaged pictures", len(rows))
    figures("through the cache", tally.cached)
    figures("pictures", sum(row["reason"] is None for row in rows))
    figures("reasons", sum(row["reason"] is not None for row in rows))
    reasons = Counter(row["reason"] for row in rows if row["reason"])
    figures("most frequent", "; ".join(f"{count} {reason}" for reason, count in reasons.most_common(6)))
    figures("crashes and hangs", len(tally.crashes))
    figures("longest, s of computing", round(max(row["cpu"] for row in rows), 3))
    figures("longest, s", round(max(row["wall"] for row in rows), 3))
    figures("median, ms", round(1000 * median(row["wall"] for row in rows), 2))
    figures("peak memory, MB", f"{tally.peak:.0f} (of a process that has read nothing: {tally.start:.0f})")
    for name in LOSSES:
        of_name = [row for row in rows if row["name"] == name]
        unseen = [row for row in of_name if row.get("changed", 0) > VISIBLE]
        figures(f"visibly wrong after {name}, and not called damaged", f"{len(unseen)} of {len(of_name)}")
    assert not tally.crashes, "\n".join(tally.crashes)
    assert not slow, slow
    assert len(rows) == COUNT and tally.cached == COUNT
    assert tally.peak < tally.start + MEGABYTES


def _saved(mode: str, size: tuple[int, int], file_format: str, **options: Any) -> Callable[[], bytes]:
    def save() -> bytes:
        stream = BytesIO()
        Image.new(mode, size).save(stream, file_format, **options)
        return stream.getvalue()

    return save


REFUSED: dict[str, Callable[[], bytes]] = {
    "progressive JPEG, 2048 x 2048, 60,000 empty scans": lambda: bombs.progressive_jpeg(2048, 2048, 60_000),
    "progressive JPEG, 14000 x 14000, 3,000 empty scans": lambda: bombs.progressive_jpeg(14000, 14000, 3_000),
    "WebP with alpha, 16383 x 12000": lambda: bombs.webp(16383, 12000),
    "PNG, 1 x 199,999,999": lambda: bombs.png(1, 199_999_999, colour=0),
    "PNG, 1 x 49,999,999": lambda: bombs.png(1, 49_999_999, colour=0),
    "TIFF, float, 14000 x 14000": lambda: bombs.float_tiff(14000, 14000),
    "PNG RGBA, 14000 x 14000": lambda: bombs.png(14000, 14000),
    "JPEG with 20 MB of 0xff": lambda: bombs.erased_jpeg(20),
    "JPEG with 50 MB of 0xff": lambda: bombs.erased_jpeg(50),
}
"""Without limits they took up to 4.5 GB, or 45 s."""

SIDE = 7071  # 50 megapixels
ALLOWED: dict[str, Callable[[], bytes]] = {
    "progressive JPEG, 50 megapixels, 95 empty scans": lambda: bombs.progressive_jpeg(SIDE, SIDE, 90),
    "WebP with alpha, 50 megapixels": lambda: bombs.webp(SIDE, SIDE),
    "TIFF, float, 50 megapixels": lambda: bombs.float_tiff(SIDE, SIDE),
    "PNG RGBA, 50 megapixels": lambda: bombs.png(SIDE, SIDE),
    "PNG RGB of 16 bits, 50 megapixels": lambda: bombs.png(SIDE, SIDE, 16, 2),
    "PNG, 762 x 65,535": lambda: bombs.png(762, 65_535),
    "baseline JPEG, 200 megapixels": _saved("L", (20_000, 10_000), "JPEG"),
    "GIF, 50 megapixels": _saved("P", (SIDE, SIDE), "GIF"),
}
"""The worst that the limits let through."""


@pytest.mark.parametrize("name", [*REFUSED, *ALLOWED])
def test_a_bomb_takes_little_time_and_memory(name: str, tmp_path: Path, figures: Figures) -> None:
    path = tmp_path / "bomb.jpg"
    path.write_bytes({**REFUSED, **ALLOWED}[name]())
    found = subprocess.run(
        [sys.executable, "-m", "tests.helpers.picture_trials", str(path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    took = json.loads(found.stdout)
    figures(
        name,
        f"{path.stat().st_size / 1e6:.3g} MB; {took['reason'] or 'a picture'}; {took['cpu']:.2f} s of computing; "
        f"{took['more']:.0f} MB more ({took['with the cache']:.0f} with the cache)",
    )
    assert (took["reason"] is not None) == (name in REFUSED)
    assert took["cpu"] < SECONDS
    assert took["with the cache"] < MEGABYTES
