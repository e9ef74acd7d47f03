"""Training beside other busy programs: slices in processes of their own, threads of one process, and one thread.

    python benchmarks/busy_training.py [--busy 0,1,2] [--sizes 64,128] [--photos 1024] [--steps 300] [--data PHOTOS]

Each side is one `bearcnn train` in a fresh process, with the same network and batches: "slices" as it is by default
(`train.replicas`), "threads" with all of torch's threads in one process (`train.replicas=1`, as before there were
slices), "one thread" the same with OMP_NUM_THREADS=1. The speed is that of the later half of the epochs, when the
replicas have joined; the whole command's seconds, start-up and export included, stand beside it.
"""

import json
import tempfile
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path

from load import Beside, add_busy, alternate_beside, name_of, print_slowdowns, words_of
from measure import Sample, arguments, bearcnn_train, finish, in_own_process, middle, ratios, time_process
from pictures import class_folders, small_photos

BATCH_SIZE = 32

SIDES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "slices": (("train.replicas=auto",), {}),
    "threads": (("train.replicas=1",), {}),
    "one thread": (("train.replicas=1",), {"OMP_NUM_THREADS": "1"}),
}


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--sizes", default="64,128", help="sides in px, with commas")
    parser.add_argument("--photos", type=int, default=1024, help="to train on")
    parser.add_argument("--steps", type=int, default=300, help="of a training run, about")
    add_busy(parser)
    parser.set_defaults(busy=(0, 1, 2))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = in_own_process(small_photos, folder, options.data)
        data = class_folders(photos, folder / "photos", options.photos, max(16, options.photos // 8))
        for size in (int(size) for size in options.sizes.split(",")):
            found = _measure(size, data, folder, options)
            for load, samples in found.items():
                _compare(size, load, samples, options)
            print_slowdowns(found)


def _measure(size: int, data: Path, folder: Path, options: Namespace) -> Beside:
    epochs = max(4, options.steps * BATCH_SIZE // options.photos)
    settings = (
        f"data.image_size={size}",
        "train.sizes=[]",
        f"train.batch_size={BATCH_SIZE}",
        f"train.epochs={epochs}",
    )
    train = partial(_train, data, folder)
    sides = {name: partial(train, [*settings, *more], environment) for name, (more, environment) in SIDES.items()}
    return alternate_beside(sides, options.rounds, options.busy, warm_up=False)


def _train(data: Path, folder: Path, settings: list[str], environment: dict[str, str]) -> Sample:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        run = Path(name) / "run"
        sample = time_process(bearcnn_train(data, run, settings), BEARCNN_CACHE=str(folder / "cache"), **environment)
        records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    later = [record["images_per_second"] for record in records[len(records) // 2 :]]
    busy = [record["busy"] for record in records[len(records) // 2 :]]
    return replace(
        sample,
        values={"images_per_second": len(later) / sum(1 / speed for speed in later), "busy": sum(busy) / len(busy)},
    )


def _compare(size: int, load: int, samples: dict[str, list[Sample]], options: Namespace) -> None:
    speeds = {side: [sample.values["images_per_second"] for sample in found] for side, found in samples.items()}
    lines = [
        f"{side:11} {middle(speeds[side], 'images/s', 0)}; whole command "
        f"{middle([sample.seconds for sample in samples[side]], 's', 1)}; other programs had the processor for "
        f"{middle([100 * sample.values['busy'] for sample in samples[side]], '%', 0)}"
        for side in samples
    ]
    lines += [
        f"slices train {ratios(speeds['slices'], speeds[other], 2)} as fast as {other}"
        for other in speeds
        if other != "slices"
    ]
    finish(
        f"training at {size} px, {options.photos} photos, batch size {BATCH_SIZE}{words_of(load)}",
        options.out / f"{name_of(f'busy_training-{size}', load)}.json",
        lines,
        samples,
        options={key: str(value) for key, value in vars(options).items()},
    )


if __name__ == "__main__":
    main()
