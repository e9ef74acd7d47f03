"""Memory in training against the number of photos.

    python benchmarks/memory.py [--photos 2000,10000,50000]

Each measurement is one epoch of `bearcnn train` with a small network, in a fresh process. Every 20th of a second it
reads the memory that the process owns ("anonymous": the network, batches, the list of photos) and, separately, the
pages of files: mostly the memory-mapped pixels, which the system frees whenever memory is short. Linux only.
"""

import tempfile
from argparse import Namespace
from pathlib import Path

from measure import Sample, alternate, arguments, bearcnn_train, finish, in_own_process, middle, watch_process
from pictures import class_folders, small_photos

SETTINGS = ("model.widths=[8, 16]", "model.kernel_size=3")


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--photos", default="2000,10000,50000", help="how many, with commas")
    parser.add_argument("--size", type=int, default=64, help="side of the picture that the network sees, in px")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for bearcnn; can be repeated")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("this benchmark reads /proc, which only Linux has")
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
    per_photo = options.size**2 * 3
    lines = []
    for count, (side, found) in zip(counts, samples.items(), strict=True):
        owned = middle([sample.values["anonymous_mb"] for sample in found], "MB", 0)
        mapped = middle([sample.values["file_mb"] for sample in found], "MB", 0)
        lines.append(f"{side:14} owned {owned}, pages of files {mapped}; pixels {count * per_photo / 1e6:.0f} MB")
    if len(counts) > 1:
        first, *_, last = (found[0].values["anonymous_mb"] for found in samples.values())
        each = (last - first) * 1e6 / (counts[-1] - counts[0])
        lines.append(f"each photo more takes {each:,.0f} bytes more, where its pixels are {per_photo:,} bytes")
    finish("memory while training", options.out / "memory.json", lines, samples)


def _train(data: Path, cache: Path, options: Namespace) -> Sample:
    settings = (*SETTINGS, f"data.image_size={options.size}", "train.epochs=1", *options.set)
    peak = {"RssAnon": 0.0, "RssFile": 0.0}

    def look(process: int) -> None:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            kind, _, rest = line.partition(":")
            if kind in peak:
                peak[kind] = max(peak[kind], int(rest.split()[0]) * 1024 / 1e6)

    seconds = watch_process(bearcnn_train(data, cache / "run", settings), look, BEARCNN_CACHE=str(cache))
    return Sample(seconds, sum(peak.values()), {"anonymous_mb": peak["RssAnon"], "file_mb": peak["RssFile"]})


if __name__ == "__main__":
    main()
