"""Images per second in training: plain fastai, bearcnn, and the ceiling (the same network on one batch in memory).

    python benchmarks/training_speed.py [--sizes 32,64,128,224] [--data PHOTOS] [--busy 0,1,2]
    python benchmarks/training_speed.py --camera [--data PHOTOS]

All three train the same network with the same batch size, in their own processes, in turn. The fastai side is what its
users write: `ImageDataLoaders.from_folder` with `Resize(n, squish)` and `aug_transforms`, one worker per core,
`Learner.fit_one_cycle`. bearcnn is `bearcnn train`, with an empty cache each time; the ceiling has its loss, optimizer
and number format. The first epoch is reported separately: workers and allocators start in it, and bearcnn fills its
cache. Start-up and imports don't count.

`--camera` measures photos of 8 megapixels and more at 128 px; there the first epoch is a separate result.
"""

import json
import tempfile
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from load import Beside, add_busy, alternate_beside, name_of, print_slowdowns, words_of
from measure import (
    Sample,
    arguments,
    bearcnn_train,
    cores,
    finish,
    in_own_process,
    middle,
    ratios,
    share,
    time_process,
    time_script,
)
from pictures import camera_photos, class_folders, small_photos

NETWORK = ("model.widths=[32, 64, 128, 256]", "model.kernel_size=3", "model.stride=2", "model.pooling=concat")

PLAIN_FASTAI = """
import bearcnn._torch
import json, sys, time, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
from bearcnn.config import load_config
from bearcnn.model.network import build_model
folder, size, batch_size, epochs, workers, *settings = sys.argv[1:]

class Clock(Callback):
    run_valid = False
    def before_fit(self): self.epochs, self.trainings = [], []
    def before_epoch(self): self.start = time.perf_counter()
    def after_batch(self): self.photos = (self.iter + 1) * len(self.x)
    def after_train(self): self.trainings.append(self.photos / (time.perf_counter() - self.start))
    def after_epoch(self): self.epochs.append(time.perf_counter() - self.start)

if __name__ == "__main__":
    resize = Resize(int(size), ResizeMethod.Squish)
    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="valid", item_tfms=resize, batch_tfms=aug_transforms(), bs=int(batch_size),
        num_workers=int(workers),
    )
    clock = Clock()
    network = build_model(load_config(None, settings).model)
    learner = Learner(loaders, network, loss_func=CrossEntropyLossFlat(), cbs=clock)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(int(epochs), 3e-3)
    print(json.dumps({"first_epoch": clock.epochs[0], "images_per_second": clock.trainings}))
"""

# bearcnn's own network, loss, optimizer and number format, and one of its batches.
CEILING = """
import json, sys, time
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.training.learner import build_learner
from bearcnn.training.precision import BFloat16Blocks
seconds, *settings = sys.argv[1:]
config = load_config(None, settings)
learner = build_learner(config, Dataset.from_config(config.data))
for callback in learner.cbs:
    if isinstance(callback, BFloat16Blocks):
        callback.before_fit()
network, loss_of, optimizer = learner.model.train(), learner.loss_func, learner.opt
photos, *targets = next(iter(learner.dls.train))

def train(steps):
    start = time.perf_counter()
    for _ in range(steps):
        loss = loss_of(network(photos), *targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loss.item()
    return time.perf_counter() - start

train(5)
steps = max(5, int(float(seconds) / 4 * 5 / train(5)))
print(json.dumps({"images_per_second": [steps * len(photos) / train(steps) for _ in range(4)]}))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--sizes", help="sides in px, with commas (default: 32,64,128,224; with --camera: 128)")
    parser.add_argument("--camera", action="store_true", help="photos of 8 megapixels and more")
    parser.add_argument("--photos", type=int, help="to train on (default: 1024; with --camera: 128)")
    parser.add_argument("--epochs", type=int, default=3, help="of each side, the first of which is told apart")
    parser.add_argument("--batch-size", type=int, help="default: 64; with --camera: 32")
    parser.add_argument("--workers", type=int, default=cores(), help="processes of plain fastai (default: the cores)")
    parser.add_argument("--seconds", type=float, default=8, help="that the ceiling is measured for")
    add_busy(parser)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for bearcnn; can be repeated")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs: the first is told apart, so there must be another")
    options.photos = options.photos or (128 if options.camera else 1024)
    options.batch_size = options.batch_size or (32 if options.camera else 64)
    sizes = [int(size) for size in (options.sizes or ("128" if options.camera else "32,64,128,224")).split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = in_own_process(camera_photos if options.camera else small_photos, folder, options.data)
        data = class_folders(photos, folder / "photos", options.photos, max(16, options.photos // 8))
        for size in sizes:
            _measure(size, data, folder, options)


def _measure(size: int, data: Path, folder: Path, options: Namespace) -> None:
    found = measure_sides(size, data, folder, options)
    for load, samples in found.items():
        _compare(size, load, samples, options)
    print_slowdowns(found)


def measure_sides(size: int, data: Path, folder: Path, options: Namespace) -> Beside:
    """Measure plain fastai, bearcnn and the ceiling in turn, in this order, beside each load."""
    # One size throughout: this compares the speed, not the recipe.
    sizes = (
        f"data.image_size={size}",
        "train.sizes=[]",
        f"train.epochs={options.epochs}",
        f"train.batch_size={options.batch_size}",
    )
    settings = [*NETWORK, *sizes, *options.set]
    plain = (data, size, options.batch_size, options.epochs, options.workers, *NETWORK)
    ceiling = (options.seconds, f"data.path={data}", *settings)
    return alternate_beside(
        {
            "plain fastai": lambda: time_script(PLAIN_FASTAI, *plain),
            "bearcnn": lambda: _train_bearcnn(data, folder, settings),
            "ceiling": lambda: time_script(CEILING, *ceiling, BEARCNN_CACHE=str(folder / "cache")),
        },
        options.rounds,
        options.busy,
        warm_up=False,  # the first epoch is the warm-up
    )


def speeds_of(samples: dict[str, list[Sample]]) -> dict[str, list[float]]:
    """Compute each side's images per second, without its first epoch."""
    return {
        side: [_later(sample.values["images_per_second"], side) for sample in found] for side, found in samples.items()
    }


def _compare(size: int, load: int, samples: dict[str, list[Sample]], options: Namespace) -> None:
    speeds = speeds_of(samples)
    theirs, ours, limit = speeds
    lines = [f"{side:13} {middle(speeds[side], 'images/s', 0)}" for side in speeds]
    lines.append(f"bearcnn trains {ratios(speeds[ours], speeds[theirs])} as fast as plain fastai")
    lines.append(f"bearcnn reaches {share(speeds[ours], speeds[limit])} of the ceiling")
    first = {side: [sample.values["first_epoch"] for sample in samples[side]] for side in (theirs, ours)}
    lines.append(f"first epoch, validation too: plain fastai {middle(first[theirs], 's')}")
    lines.append(f"first epoch with filling the cache: bearcnn {middle(first[ours], 's')}")
    lines.append(f"bearcnn is {ratios(first[theirs], first[ours])} as fast in it")
    kind = "camera photos" if options.camera else "small photos"
    name = name_of(f"training_speed-{'camera' if options.camera else 'small'}-{size}", load)
    given = {key: str(value) for key, value in vars(options).items()}
    finish(
        f"training at {size} px, {options.photos} {kind}, batch size {options.batch_size}{words_of(load)}",
        options.out / f"{name}.json",
        lines,
        samples,
        options=given,
    )


def _later(speeds: list[float], side: str) -> float:
    """Compute the mean speed after the first epoch; the ceiling has no first epoch."""
    later = speeds if side == "ceiling" else speeds[1:]
    return len(later) / sum(1 / speed for speed in later)


def _train_bearcnn(data: Path, folder: Path, settings: list[str]) -> Sample:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        run = Path(name) / "run"
        command = bearcnn_train(data, run, settings)
        start = time.time()
        sample = time_process(command, BEARCNN_CACHE=name)
        records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        # The configuration is written after the photos are decoded and before torch is imported.
        decoding = (run / "config.toml").stat().st_mtime - start
    values = {
        "first_epoch": decoding + records[0]["seconds"],
        "images_per_second": [record["images_per_second"] for record in records],
    }
    return replace(sample, values=values)


if __name__ == "__main__":
    main()
