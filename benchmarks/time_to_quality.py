"""Time until a validation AUC: plain fastai's usual recipe, and `bearcnn train`; beside them `yolo classify`.

    python benchmarks/time_to_quality.py [--data PHOTOS] [--config FILE] [--epochs N] [--seeds 3] [--yolo COMMAND]

Plain fastai is what its users write: four stride-2 `ConvLayer`s, `AdaptiveConcatPool2d`, 128 px, `aug_transforms()` and
`fit_one_cycle(20, 3e-3)`, one worker per core. bearcnn is its command line with a configuration as it is, or with fewer
epochs: a shorter cycle reaches a given AUC sooner. Both see the same photos in the same splits. The clock runs
from the start of the process, with imports and, for bearcnn, an empty cache. What counts is bearcnn's complete command,
which also exports and scores a model, and the AUC of the model that it leaves.

`--yolo` is the command of ultralytics in a virtual environment of its own (`pip install ultralytics` there; it is no
dependency): `yolo classify train` from random weights with plain fastai's size and number of epochs, and its own
choices otherwise. Its time is that of the whole command, its AUC that of the model that it leaves, by our own scorer.
"""

import json
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from measure import (
    Sample,
    arguments,
    bearcnn_train,
    cores,
    finish,
    in_own_process,
    middle,
    ratios,
    say,
    time_script,
    watch_process,
)
from yolo import MODEL, train_yolo

SIDE = 128
"""Side of the pictures of plain fastai and of `yolo classify`, in pixels."""

PLAIN_FASTAI = """
import bearcnn._torch
import json, sys, time, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
folder, epochs, side, workers, seed, start = sys.argv[1:]

class Clock(Callback):
    order = 60  # after the Recorder
    def before_fit(self): self.reached = []
    def after_epoch(self):
        self.reached.append([time.time() - float(start), self.recorder.values[-1][-1]])

if __name__ == "__main__":
    set_seed(int(seed))
    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="valid", item_tfms=Resize(int(side), ResizeMethod.Squish),
        batch_tfms=aug_transforms(), num_workers=int(workers),
    )
    widths = [3, 32, 64, 128, 256]
    blocks = [ConvLayer(a, b, stride=2) for a, b in zip(widths, widths[1:])]
    network = nn.Sequential(*blocks, AdaptiveConcatPool2d(1), Flatten(), nn.Linear(512, 2))
    clock = Clock()
    learner = Learner(loaders, network, loss_func=CrossEntropyLossFlat(), metrics=RocAucBinary(), cbs=clock)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(int(epochs), 3e-3)
    print(json.dumps({"reached": clock.reached}))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--seeds", type=int, default=3, help="training runs of bearcnn (--rounds: of plain fastai)")
    parser.add_argument("--config", type=Path, help="bearcnn's configuration (default: its defaults)")
    parser.add_argument("--epochs", type=int, help="of bearcnn, as a whole cycle (default: the configuration's)")
    parser.add_argument("--plain-epochs", type=int, default=20, help="of plain fastai")
    parser.add_argument("--workers", type=int, default=cores(), help="processes of plain fastai (default: the cores)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for bearcnn; can be repeated")
    parser.add_argument("--yolo", type=Path, help="ultralytics' command, such as ../yolo/bin/yolo (default: without)")
    options = parser.parse_args()
    samples: dict[str, list[Sample]] = {"plain fastai": [], "bearcnn": [], **({"yolo": []} if options.yolo else {})}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = in_own_process(lay_out, options.data, folder)
        for seed in range(max(options.rounds, options.seeds)):
            if seed < options.rounds:
                samples["plain fastai"].append(_plain(folder / "plain", seed, options))
            if seed < options.seeds:
                epochs = [f"train.epochs={options.epochs}"] if options.epochs else []
                settings = [f"train.seed={seed}", *epochs, *options.set]
                samples["bearcnn"].append(train_bearcnn(folder / "subclasses", settings, options.config))
            if seed < options.rounds and options.yolo:
                samples["yolo"].append(_yolo(folder / "plain", seed, options))
    finish(
        f"time to plain fastai's AUC, {counts['train']} photos to train on, {counts['valid']} to validate on",
        options.out / "time_to_quality.json",
        [
            *_describe(samples),
            *compare(samples["plain fastai"], samples["bearcnn"]),
            *(_compare_yolo(samples["yolo"], samples["bearcnn"]) if options.yolo else ()),
        ],
        samples,
        options={key: str(value) for key, value in vars(options).items()},
    )


def _describe(samples: dict[str, list[Sample]]) -> list[str]:
    lines = []
    for side in ("plain fastai", "bearcnn"):
        found = samples[side]
        final = middle([sample.values["reached"][-1][1] for sample in found], "AUC", 4)
        best = middle([max(auc for _, auc in sample.values["reached"]) for sample in found], "AUC", 4)
        epochs = len(found[0].values["reached"])
        lines.append(f"{side:12} {epochs} epochs, {middle([sample.seconds for sample in found], 's', 0)}")
        lines.append(f"{'':12} at the end {final}; best {best}")
    return lines


def compare(theirs: Sequence[Sample], ours: Sequence[Sample]) -> list[str]:
    """Compare the complete commands of plain fastai and bearcnn, where bearcnn's model is at least as good.

    Plain fastai's AUC is that of its last epoch. A command that leaves a worse model counts as not reached.
    """
    pairs = list(zip(islice(cycle(theirs), len(ours)), ours, strict=True))
    targets = [plain.values["reached"][-1][1] for plain, _ in pairs]
    reached = [
        (plain.seconds, own.seconds)
        for (plain, own), target in zip(pairs, targets, strict=True)
        if own.values["roc_auc"] >= target
    ]
    aucs = ", ".join(f"{plain.values['reached'][-1][1]:.4f} after {plain.seconds:.0f} s" for plain in theirs)
    lines = [f"plain fastai's AUC: {aucs}; reached by the models of {len(reached)} of {len(ours)} commands of bearcnn"]
    if reached:
        plain, whole = zip(*reached, strict=True)
        lines.append(f"  in {middle(whole, 's', 0)}, start-up, export and scores included")
        lines.append(f"  plain fastai's script takes {ratios(plain, whole)} the time")
    times = [first_reached(own.values["reached"], target) for (_, own), target in zip(pairs, targets, strict=True)]
    if found := [seconds for seconds in times if seconds is not None]:
        lines.append(f"  (the first epoch as good ended after {middle(found, 's', 0)}, in {len(found)} of {len(ours)})")
    return lines


def _compare_yolo(yolo: Sequence[Sample], ours: Sequence[Sample]) -> list[str]:
    """Compare the complete commands of `yolo classify train` and bearcnn."""
    own = list(islice(cycle(ours), len(yolo)))
    scores = [middle([sample.values["roc_auc"] for sample in found], "AUC", 4) for found in (yolo, own)]
    seconds = [[sample.seconds for sample in found] for found in (yolo, own)]
    name = f"yolo classify ({MODEL}, ultralytics {yolo[0].values['version']})"
    return [
        f"{name}: {middle(seconds[0], 's', 0)}; its model {scores[0]}, bearcnn's {scores[1]}",
        f"  it takes {ratios(*seconds)} the time of bearcnn's complete command",
    ]


def first_reached(reached: list[list[float]], auc: float) -> float | None:
    """Return the seconds until that AUC, from the [seconds, AUC] of each epoch; None if never."""
    return next((seconds for seconds, value in reached if value >= auc), None)


def _yolo(photos: Path, seed: int, options: Namespace) -> Sample:
    workers = f"workers={options.workers}"
    sample = train_yolo(options.yolo, photos, workers, epochs=options.plain_epochs, size=SIDE, seed=seed)
    say(f"seed {seed}, yolo classify: {sample.seconds:.0f} s, AUC {sample.values['roc_auc']:.4f}")
    return sample


def _plain(photos: Path, seed: int, options: Namespace) -> Sample:
    sample = time_script(PLAIN_FASTAI, photos, options.plain_epochs, SIDE, options.workers, seed, time.time())
    say(f"seed {seed}, plain fastai: {sample.seconds:.0f} s, AUC {sample.values['reached'][-1][1]:.4f}")
    return sample


def train_bearcnn(
    photos: Path, settings: Sequence[str], config: Path | None = None, cache: Path | None = None
) -> Sample:
    """Run `bearcnn train`, and note the time and AUC of each epoch and the model's AUC.

    The cache is empty unless one is given.
    """
    with tempfile.TemporaryDirectory(dir=photos.parent) as name:
        run = Path(name) / "run"
        command = [*bearcnn_train(photos, run, settings), *(["--config", str(config)] if config else [])]
        start = time.perf_counter()
        reached: list[list[float]] = []

        def look(_: int) -> None:
            for record in _read(run / "history.jsonl")[len(reached) :]:
                reached.append([time.perf_counter() - start, record["roc_auc"]])

        seconds = watch_process(command, look, BEARCNN_CACHE=str(cache or name))
        scores = json.loads((run / "metrics.json").read_text())["evaluations"]["valid"]["estimates"]
    values = {"reached": reached, "roc_auc": scores["roc_auc"]["value"]}  # of the exported model
    say(f"{' '.join(settings)}, bearcnn: {seconds:.0f} s, AUC {values['roc_auc']:.4f}")
    return Sample(seconds, values=values)


def _read(history: Path) -> list[dict[str, Any]]:
    """Read the complete lines so far."""
    if not history.exists():
        return []
    return [json.loads(line) for line in history.read_text().splitlines(keepends=True) if line.endswith("\n")]


def lay_out(data: Path | None, folder: Path) -> dict[str, int]:
    """Copy the photos as bearcnn cleans and splits them into folders for both sides, and count them by split.

    fastai takes plain/{train,valid}/{bear,not_bear}/; subclasses/ has a folder for each subclass in these.
    """
    from bearcnn.data.cache_folder import cache_root
    from bearcnn.data.dataset import Dataset
    from bearcnn.data.synthetic.scenes import builtin_scenes

    dataset = Dataset.from_folder(
        data or builtin_scenes(cache_root()), image_size=8, resize="squish", cache_root=folder / "cache"
    )
    counts = {"train": 0, "valid": 0}
    for number, example in enumerate(dataset.examples):
        if example.split not in counts:
            continue
        counts[example.split] += 1
        place = Path(example.split) / dataset.classes[example.label]
        name = f"{number:06}{example.path.suffix.lower()}"
        for file in (folder / "plain" / place / name, folder / "subclasses" / place / example.subclass / name):
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(example.path, file)
    return counts


if __name__ == "__main__":
    main()
