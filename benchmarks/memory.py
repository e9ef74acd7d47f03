"""Memory while training, against the number of photos: does it grow with the data set?

    python benchmarks/memory.py [--photos 2000,10000,50000]

Each is one epoch of `bearcnn train` with a small network, in a fresh process. Two kinds of memory are told apart, every
20th of a second: what the process owns ("anonymous": the network, batches, the list of photos), and pages of files,
above all of the memory-mapped pixels, which the system takes back whenever something else needs the room. Linux only.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, Popen

from measure import Sample, alternate, arguments, finish, in_own_process, middle
from pictures import class_folders, small_photos

SETTINGS = ("model.widths=[8, 16]", "data.fit=squish")


def main() -> None:
    """Measure, print, keep."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--photos", default="2000,10000,50000", help="how many, with commas")
    parser.add_argument("--size", type=int, default=64, help="side of the picture that the network sees, in px")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for bearcnn; can be repeated")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("what kind of memory a process holds is read from /proc, which Linux alone has")
    counts = [int(count) for count in options.photos.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = in_own_process(small_photos, folder, options.data, 96)
        for count in counts:
            in_own_process(class_folders, drawn, folder / str(count), count * 4 // 5, count // 5)

        def run(count: int) -> Sample:
            with tempfile.TemporaryDirectory(dir=folder) as cache:
                return _train(folder / str(count), Path(cache), options)

        samples = alternate(
            {f"{count} photos": lambda count=count: run(count) for count in counts}, options.rounds, warm_up=False
        )
    lines = []
    for count, (side, found) in zip(counts, samples.items(), strict=True):
        owned = [sample.values["anonymous_mb"] for sample in found]
        mapped = [sample.values["file_mb"] for sample in found]
        pixels = count * options.size**2 * 3 / 1e6
        lines.append(
            f"{side:14} owned {middle(owned, 'MB', 0)}, pages of files {middle(mapped, 'MB', 0)}, pixels {pixels:.0f} MB"
        )
    first, last = (samples[side][0].values["anonymous_mb"] for side in (list(samples)[0], list(samples)[-1]))
    if len(counts) > 1:
        each = (last - first) * 1e6 / (counts[-1] - counts[0])
        lines.append(f"each photo more takes {each:,.0f} bytes more, of its {options.size**2 * 3:,} bytes of pixels")
    finish("memory while training", options.out / "memory.json", lines, samples)


def _train(data: Path, cache: Path, options) -> Sample:  # noqa: ANN001
    command = [sys.executable, "-m", "bearcnn", "train", "--data", str(data), "--out", str(cache / "run"), "--json"]
    command += ["--image-size", str(options.size), "--epochs", "1"]
    for setting in (*SETTINGS, *options.set):
        command += ["--set", setting]
    start = time.perf_counter()
    peak = {"RssAnon": 0.0, "RssFile": 0.0}
    with (cache / "said").open("w+") as said, Popen(
        command, stdout=DEVNULL, stderr=said, env={**os.environ, "BEARCNN_CACHE": str(cache)}
    ) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            for line in status.splitlines():
                kind, _, rest = line.partition(":")
                if kind in peak:
                    peak[kind] = max(peak[kind], int(rest.split()[0]) * 1024 / 1e6)
            time.sleep(0.05)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read()[-2000:])
    seconds = time.perf_counter() - start
    values = {"anonymous_mb": peak["RssAnon"], "file_mb": peak["RssFile"]}
    return Sample(seconds, sum(peak.values()), values)


if __name__ == "__main__":
    main()
