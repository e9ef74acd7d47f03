"""Time until a validation AUC: plain fastai's usual recipe, and `bearcnn train`.

    python benchmarks/time_to_quality.py [--data PHOTOS] [--config FILE] [--epochs N] [--seeds 3]

Plain fastai is what its users write: four stride-2 `ConvLayer`s, `AdaptiveConcatPool2d`, 128 px, `aug_transforms()` and
`fit_one_cycle(20, 3e-3)`, one worker per core. bearcnn is its command line with a configuration as it is, or with fewer
epochs: a shorter cycle reaches a given AUC sooner. Both see the same photos in the same splits. The clock runs
from the start of the process, with imports and, for bearcnn, an empty cache; bearcnn's complete command also exports
and scores a model.
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

PLAIN_FASTAI = """
import bearcnn._torch
import json, sys, time, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
folder, epochs, workers, seed, start = sys.argv[1:]

class Clock(Callback):
    order = 60  # after the Recorder
    def before_fit(self): self.reached = []
    def after_epoch(self):
        self.reached.append([time.time() - float(start), self.recorder.values[-1][-1]])

if __name__ == "__main__":
    set_seed(int(seed))
    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="valid", item_tfms=Resize(128, ResizeMethod.Squish), batch_tfms=aug_transforms(),
        num_workers=int(workers),
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
    options = parser.parse_args()
    samples: dict[str, list[Sample]] = {"plain fastai": [], "bearcnn": []}
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
    plain = [sample.values["reached"] for sample in samples["plain fastai"]]
    finish(
        f"time to plain fastai's AUC, {counts['train']} photos to train on, {counts['valid']} to validate on",
        options.out / "time_to_quality.json",
        [
            *_describe(samples),
            *_compare("final", [reached[-1] for reached in plain], samples["bearcnn"]),
            *_compare("best", [max(reached, key=lambda pair: pair[1]) for reached in plain], samples["bearcnn"]),
        ],
        samples,
        options={key: str(value) for key, value in vars(options).items()},
    )


def _describe(samples: dict[str, list[Sample]]) -> list[str]:
    lines = []
    for side, found in samples.items():
        final = middle([sample.values["reached"][-1][1] for sample in found], "AUC", 4)
        best = middle([max(auc for _, auc in sample.values["reached"]) for sample in found], "AUC", 4)
        epochs = len(found[0].values["reached"])
        lines.append(f"{side:12} {epochs} epochs, {middle([sample.seconds for sample in found], 's', 0)}")
        lines.append(f"{'':12} at the end {final}; best {best}")
    return lines


def _compare(which: str, targets: list[list[float]], ours: list[Sample]) -> list[str]:
    """Compare bearcnn's time to plain fastai's final or best AUC; both are [seconds, AUC]."""
    times = [
        (target[0], needed, sample.seconds)
        for target, sample in zip(islice(cycle(targets), len(ours)), ours, strict=True)
        if (needed := first_reached(sample.values["reached"], target[1])) is not None
    ]
    aucs = ", ".join(f"{auc:.4f} after {seconds:.0f} s" for seconds, auc in targets)
    lines = [f"plain fastai's {which} AUC: {aucs}; reached by {len(times)} of {len(ours)} training runs of bearcnn"]
    if times:
        theirs, needed, whole = zip(*times, strict=True)
        lines.append(f"  after {middle(needed, 's', 0)}: plain fastai takes {ratios(theirs, needed)} the time")
        lines.append(f"  and {ratios(theirs, whole)} that of the complete command, which exports and scores a model")
    return lines


def first_reached(reached: list[list[float]], auc: float) -> float | None:
    """Return the seconds until that AUC, from the [seconds, AUC] of each epoch; None if never."""
    return next((seconds for seconds, value in reached if value >= auc), None)


def _plain(photos: Path, seed: int, options: Namespace) -> Sample:
    sample = time_script(PLAIN_FASTAI, photos, options.plain_epochs, options.workers, seed, time.time())
    say(f"seed {seed}, plain fastai: {sample.seconds:.0f} s, AUC {sample.values['reached'][-1][1]:.4f}")
    return sample


def train_bearcnn(
    photos: Path, settings: Sequence[str], config: Path | None = None, cache: Path | None = None
) -> Sample:
    """Run `bearcnn train` and note the time of each epoch's AUC; with an empty cache unless one is given."""
    with tempfile.TemporaryDirectory(dir=photos.parent) as name:
        run = Path(name) / "run"
        command = [*bearcnn_train(photos, run, settings), *(["--config", str(config)] if config else [])]
        start = time.perf_counter()
        reached: list[list[float]] = []

        def look(_: int) -> None:
            for record in _read(run / "history.jsonl")[len(reached) :]:
                reached.append([time.perf_counter() - start, record["roc_auc"]])

        seconds = watch_process(command, look, BEARCNN_CACHE=str(cache or name))
    say(f"{' '.join(settings)}, bearcnn: {seconds:.0f} s, AUC {reached[-1][1]:.4f}")
    return Sample(seconds, values={"reached": reached})


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
