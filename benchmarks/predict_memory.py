"""Memory and time to the first answer of `bearcnn predict`, against the number of photos.

    python benchmarks/predict_memory.py [--photos 2000,20000,200000] [--format csv] [--set KEY=VALUE]

The list on stdin names a few drawn photos again and again; the folders hold as many hard links to them. One process
answers all of a side: what it owns is read (from /proc: Linux only) when the given numbers of rows have come out. The
network is small, so that the rows take the time.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO

from measure import Sample, alternate, arguments, finish, in_own_process, middle, say, time_process
from pictures import small_photos

FRESH_MODEL = """
import sys
from pathlib import Path
from bearcnn.manifest import Manifest
from bearcnn.config import load_config
from bearcnn.export.onnx import to_onnx
from bearcnn.model.network import build_model
file, *settings = sys.argv[1:]
config = load_config(None, settings)
manifest = Manifest(name="fresh", classes=("no", "bear"), image_size=config.data.image_size, resize=config.data.resize)
Path(file).write_bytes(to_onnx(build_model(config.model).eval(), manifest))
"""
SETTINGS = ("data.image_size=32", "model.widths=[4, 8]")

FIND = """
import sys, time
from pathlib import Path
from bearcnn.data.photos import find_photos
start = time.perf_counter()
found = find_photos(Path(sys.argv[1]))
next(found)
first = time.perf_counter() - start
count = 1 + sum(1 for _ in found)
print(f"{first:.4f} {time.perf_counter() - start:.3f} {count}")
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--photos", default="2000,20000,200000", help="after how many to look, with commas")
    parser.add_argument("--format", default="jsonl", help="of the rows: csv, json, jsonl or table")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the network")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("this benchmark reads /proc, which only Linux has")
    marks = [int(count) for count in options.photos.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, links = folder / "fresh.onnx", folder / "links"
        time_process([sys.executable, "-c", FRESH_MODEL, str(model), *SETTINGS, *options.set])
        drawn = in_own_process(small_photos, folder, options.data, 64)
        say(f"linking {max(marks)} photos, twice")
        in_own_process(_link, drawn, max(marks), links, 1000)
        in_own_process(_link, drawn, max(marks), folder / "flat", max(marks))
        sides = {
            "a list on stdin": partial(_predict, model, "-", drawn, marks, options),
            "a folder of folders of 1,000": partial(_predict, model, links, [], marks, options),
            "one folder": partial(_predict, model, folder / "flat", [], marks, options),
            "a pattern": partial(_predict, model, links / "**" / "*.jpg", [], marks, options),
        }
        samples = alternate(sides, options.rounds, warm_up=False)
        found = {
            place: subprocess.check_output([sys.executable, "-c", FIND, str(folder / place)], text=True).split()
            for place in ("links", "flat")
        }
    lines = []
    for side, runs in samples.items():
        first = middle([run.values["first_s"] for run in runs], "s")
        lines.append(f"{side:28} first answer after {first}, {marks[-1] / runs[-1].seconds:.0f} photos/s")
        for number, mark in enumerate(marks):
            now = middle([run.values["mb"][number] for run in runs], "MB", 1)
            more = middle([run.values["mb"][number] / run.values["mb"][0] for run in runs], f"x that at {marks[0]}", 3)
            lines.append(f"    after {mark:9,} rows {now}, {more}")
        lines.append(f"    peak with the pages of files {middle([run.peak_mb for run in runs], 'MB', 0)}")
    for place, (first, every, count) in found.items():
        lines.append(f"listing {place} alone: the first after {first} s, all {count} after {every} s")
    finish("memory of predictions", options.out / "predict_memory.json", lines, samples)


def _link(photos: list[Path], count: int, folder: Path, each: int) -> None:
    """Fill folders with hard links to photos, `each` in a folder."""
    for number in range(count):
        place = folder / f"{number // each:04}" / f"{number:07}.jpg"
        if number % each == 0:
            place.parent.mkdir(parents=True)
        os.link(photos[number % len(photos)], place)


def _predict(model: Path, what: Path | str, listed: list[Path], marks: list[int], options: Namespace) -> Sample:
    """Predict, and read the memory when so many rows have come out; `listed` photos are repeated on stdin."""
    command = [sys.executable, "-m", "bearcnn", "predict", str(what), "--model", str(model), "--format", options.format]
    heading = {"csv": 1, "json": 1}.get(options.format, 0)
    values: dict[str, object] = {"mb": []}
    peak = 0.0
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1 << 20
    ) as process:
        if listed:
            Thread(target=_write, args=(process.stdin, listed, marks[-1]), daemon=True).start()
        rows = 0
        for _ in process.stdout:
            rows += 1
            if rows == heading + 1:
                values["first_s"] = time.perf_counter() - start
            if rows - heading in marks:
                owned, peak = _memory(process.pid)
                values["mb"].append(owned)
    if process.returncode or len(values["mb"]) != len(marks):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} after {rows} lines")
    return Sample(time.perf_counter() - start, peak, values)


def _write(stdin: IO[str], photos: list[Path], count: int) -> None:
    for number in range(count):
        stdin.write(f"{photos[number % len(photos)]}\n")
    stdin.close()


def _memory(process: int) -> tuple[float, float]:
    """Read the memory that a process owns now, and its peak with the pages of files, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    kilobytes = {kind: rest.split()[0] for kind, _, rest in (line.partition(":") for line in lines) if rest.strip()}
    return int(kilobytes["RssAnon"]) / 1024, int(kilobytes["VmHWM"]) / 1024


if __name__ == "__main__":
    main()
