"""Whole commands beside other busy programs: how many times as long as on an idle computer does each take?

    python benchmarks/busy.py [--busy 0,1,2] [--photos 600] [--epochs 3] [--data PHOTOS] [--body efficientnet_lite0]
        [--only predict,decode] [--before OTHER_CHECKOUT]

Each runs in a fresh process, timed from start to end: training with the demo's configuration (from decoding to the
report), cross-validation in three folds, evaluation of a trained run, its 8-bit export, prediction of a folder, and
decoding into an empty cache. On two cores, two threads get half of the computer beside two busy loops, and two thirds
beside one: 2 x and 1.5 x the time is what a program that uses both cores can't avoid.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cold_predict import add_body, name_body
from load import add_busy, alternate_beside, name_of, print_slowdowns, words_of
from measure import Sample, arguments, finish, in_own_process, middle, ratios, time_process
from pictures import class_folders, multiply, small_photos

DEMO = Path(__file__).resolve().parents[1] / "configs/demo.toml"

DECODE = """
import sys
from pathlib import Path
from bearcnn.data.cache import build_cache
from bearcnn.data.photos import find_photos
build_cache(list(find_photos(Path(sys.argv[1]))), 128, "squish", root=Path(sys.argv[2]))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--photos", type=int, default=600, help="to train on, to predict and to decode")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", help="parts to measure, with commas (default: all)")
    parser.add_argument("--before", type=Path, metavar="DIR", help="a checkout of another version to compare with")
    add_body(parser)
    add_busy(parser)
    parser.set_defaults(busy=(0, 1, 2))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sides = _sides(Path(name), options)
        found = alternate_beside(sides, options.rounds, options.busy)
    for load, samples in found.items():
        _compare(load, samples, options)
    print_slowdowns(found)


def _sides(folder: Path, options: Namespace) -> dict[str, Callable[[], Sample]]:
    """Write the photos, train a run to evaluate, and return what to measure."""
    photos = in_own_process(small_photos, folder, options.data)
    data = class_folders(photos, folder / "classes", options.photos, max(16, options.photos // 4))
    few = class_folders(photos, folder / "few", 48, 24)
    in_own_process(multiply, photos, options.photos, folder / "photos")
    cache, run = {"BEARCNN_CACHE": str(folder / "cache")}, folder / "run"
    settings = ("--set", f"train.epochs={options.epochs}", "--set", f"model.body={options.body}")

    def train(data: Path, out: Path, *more: str) -> list[str]:
        where = ("--config", str(DEMO), "--data", str(data), "--out", str(out), "--json")
        return ["-m", "bearcnn", "train", *where, *settings, *more]

    def python(command: Callable[[Path], list[str]], **environment: str) -> Sample:
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            return time_process([sys.executable, *command(Path(fresh))], **cache, **environment)

    python(lambda fresh: train(data, run))
    parts: dict[str, Callable[[Path], list[str]]] = {
        "train": lambda fresh: train(data, fresh / "run"),
        "folds": lambda fresh: train(few, fresh / "run", "--folds", "3"),
        "evaluate": lambda fresh: ["-m", "bearcnn", "evaluate", str(run)],
        "export": lambda fresh: [
            "-m",
            "bearcnn",
            "export",
            str(run),
            "--format",
            "int8",
            "--out",
            str(fresh / "int8.onnx"),
            "--allow-loss",
        ],
        "predict": lambda fresh: [
            "-m",
            "bearcnn",
            "predict",
            str(folder / "photos"),
            "--model",
            str(run),
            "--format",
            "csv",
        ],
        "decode": lambda fresh: ["-c", DECODE, str(folder / "photos"), str(fresh)],
    }
    chosen = options.only.split(",") if options.only else list(parts)
    sides: dict[str, Callable[[], Sample]] = {}
    for part in chosen:
        sides[part] = partial(python, parts[part])
        if options.before:
            # Without PYTHONSAFEPATH the bearcnn in the current folder would come first.
            before = {"PYTHONPATH": str(options.before.resolve()), "PYTHONSAFEPATH": "1"}
            sides[f"{part} before"] = partial(python, parts[part], **before)
    return sides


def _compare(load: int, samples: dict[str, list[Sample]], options: Namespace) -> None:
    seconds = {side: [sample.seconds for sample in found] for side, found in samples.items()}
    memory = {side: [sample.peak_mb for sample in found] for side, found in samples.items()}
    lines = [f"{side:16} {middle(seconds[side], 's')}, peak {middle(memory[side], 'MB', 0)}" for side in samples]
    for side in samples:
        if (before := seconds.get(f"{side} before")) is not None:
            lines.append(f"{side} takes {ratios(seconds[side], before, 2)} the time of before")
    name, words = name_body("busy", options.body)
    out = options.out / f"{name_of(name, load)}.json"
    title = f"whole commands with {options.photos} photos{words}{words_of(load)}"
    finish(title, out, lines, samples, options={key: str(value) for key, value in vars(options).items()})


if __name__ == "__main__":
    main()
