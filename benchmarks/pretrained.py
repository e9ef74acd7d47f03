"""A pretrained start: a few photos, all photos, and fastai's `vision_learner` with the same weights beside it.

    python benchmarks/pretrained.py --data PHOTOS [--part few|all|fastai] [--without mixed]

few: a head on 8 to 128 photos, half of them bears, and on all of them, with the body's maps already in the cache. Each
draw takes other photos, other first weights and another order; smaller numbers are the beginning of larger ones. The
network of the last epoch is scored on all validation photos. The seconds are those of building the network, training,
validating after each epoch, checkpoints, and the last scores.

all: the whole command `bearcnn train --body efficientnet_lite0`, from the start of the process to the report, with the
maps in the cache and (`--cold`: only) with an empty cache. It keeps its last epoch, as always with a body.

fastai: `vision_learner` with the same weights and preprocessing in timm's network, photos of the same size without
augmentation, `fine_tune(1, freeze_epochs=3)`: epochs of the head, then one of the whole network. bearcnn is the whole
command with an empty cache. The clock runs from the start of the process, with imports.

`--without` scores a second time without the validation photos of that kind, such as photos that may have been among
those that the body was trained on.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from draws import maps_for_draws, of_other_kinds, rate_answers, with_settings
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
    time_process,
    time_script,
)
from time_to_quality import first_reached, lay_out, train_bearcnn

from bearcnn.config import load_config
from bearcnn.evaluation.formats import decimal, percent
from bearcnn.evaluation.metrics import evaluate_repeats

BODY = "model.body=efficientnet_lite0"
SIZES = (8, 16, 32, 64, 128, None)

VISION_LEARNER = """
import bearcnn._torch
import json, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
import timm
from fastai.vision.all import *
from safetensors.torch import save_file
from bearcnn.model.bodies import efficientnet_lite0
folder, epochs, workers, seed, start = sys.argv[1:]
NAME = "tf_efficientnet_lite0"  # tf: padded as the weights were trained; its mean and standard deviation are 0.5

class Clock(Callback):
    order = 60  # after the Recorder
    reached = []
    def after_epoch(self):
        self.reached.append([time.time() - float(start), self.recorder.values[-1][-1]])

def write_weights(file):
    theirs = [name for name in timm.create_model(NAME).state_dict() if "num_batches" not in name]
    tensors = efficientnet_lite0().state_dict()
    ours = [tensor.contiguous() for name, tensor in tensors.items() if "num_batches" not in name]
    save_file(dict(zip(theirs, ours, strict=True)), file)  # in the order of the layers

if __name__ == "__main__":
    set_seed(int(seed))
    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="valid", item_tfms=Resize(224, ResizeMethod.Squish), num_workers=int(workers)
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/weights.safetensors"
        write_weights(file)
        learner = vision_learner(
            loaders, NAME, metrics=RocAucBinary(), cbs=clock, pretrained_cfg_overlay={"file": file}
        )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(1, freeze_epochs=int(epochs))
    print(json.dumps({"reached": clock.reached}))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--part", choices=("few", "all", "fastai"), action="append", help="default: all three")
    parser.add_argument("--photos", type=int, action="append", help="few: this number alone; can be repeated")
    parser.add_argument("--seeds", type=int, default=3, help="all, fastai: training runs (--rounds: draws of few)")
    parser.add_argument("--cold", action="store_true", help="all: only with an empty cache")
    parser.add_argument("--without", default="mixed", metavar="KIND", help="for the second score (default: mixed)")
    parser.add_argument("--frozen-epochs", type=int, default=3, help="fastai: epochs of the head, before one of all")
    parser.add_argument("--workers", type=int, default=cores(), help="processes of fastai (default: the cores)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for bearcnn; can be repeated")
    options = parser.parse_args()
    parts = {"few": _measure_few, "all": _measure_all, "fastai": _measure_fastai}
    for part in options.part or parts:
        parts[part](options)


def _measure_few(options: Namespace) -> None:
    samples = in_own_process(train_few, options)
    lines = [
        "photos  AUC (95% interval over draws)  lowest to highest  seconds  AUC without  false alarms at 98% recall"
    ]
    for size, found in samples.items():
        aucs = _values(found, "roc_auc")
        lines.append(
            f"{size:>6}  {spread(aucs)}  {decimal(min(aucs))} to {decimal(max(aucs))}  "
            f"{middle([sample.seconds for sample in found], 's')}  {spread(_values(found, 'roc_auc_without'))}  "
            f"{rate(_values(found, 'false_alarms'))}"
        )
    counts = next(iter(samples.values()))[0].values
    _finish(f"few photos, {options.rounds} draws, {_scored(counts, options)}", "few", lines, samples, options)


def train_few(options: Namespace) -> dict[str, list[Sample]]:
    """Train on each number of photos, draw by draw, and score on the validation photos."""
    from bearcnn.sweep.plan import Trial
    from bearcnn.sweep.trial import run_trial

    config = load_config(None, [BODY, *options.set, *([f"data.path={options.data}"] if options.data else [])])
    sizes = options.photos or SIZES
    samples: dict[str, list[Sample]] = {str(size or "all"): [] for size in sizes}
    say("opening the maps of all photos")
    with maps_for_draws(config) as maps, tempfile.TemporaryDirectory() as folder:
        labels = maps.dataset.arrays("valid")[1]
        kept = of_other_kinds([each.subclass for each in maps.dataset.select("valid")], options.without)
        for draw in range(-1, options.rounds):  # the first warms up
            for size in sizes if draw >= 0 else sizes[:1]:
                photos = maps.draw(size, max(draw, 0))
                seeded = with_settings(config, {"train.seed": max(draw, 0)})
                trial = Trial(f"draw-{draw}-{size}", {}, draw, seeded)
                start = time.perf_counter()
                result = run_trial(trial, photos, Path(folder) / trial.id)
                seconds = time.perf_counter() - start
                if result.error:
                    raise SystemExit(result.error)
                if draw >= 0:
                    rated = rate_answers(labels, result.predictions["valid"], kept)
                    samples[str(size or "all")].append(Sample(seconds, values={"draw": draw, **rated}))
                    say(f"draw {draw}, {size or 'all'} photos: {seconds:.2f} s, AUC {rated['roc_auc']:.4f}")
    return samples


def _measure_all(options: Namespace) -> None:
    if options.data is None:
        raise SystemExit("--part all needs --data")
    samples: dict[str, list[Sample]] = {} if options.cold else {"cached": []}
    samples["cold"] = []
    answers: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.cold:
            say("once without the clock, to fill the cache")
            time_process(bearcnn_train(options.data, folder / "first", [BODY, *options.set]))
        for seed in range(options.seeds):
            for side in samples:
                run = folder / f"{side}-{seed}"
                command = bearcnn_train(options.data, run, [BODY, f"train.seed={seed}", *options.set])
                cache = {"BEARCNN_CACHE": str(folder / f"cache-{seed}")} if side == "cold" else {}
                sample = time_process(command, **cache)
                labels, probabilities, kept = in_own_process(_read_answers, run, options.without)
                samples[side].append(replace(sample, values=rate_answers(labels, probabilities, kept)))
                say(f"seed {seed}, {side}: {sample.seconds:.1f} s, AUC {samples[side][-1].values['roc_auc']:.4f}")
                if side == "cold":
                    answers.append(probabilities)
    lines = []
    for side, found in samples.items():
        lines.append(f"{side:6} {middle([sample.seconds for sample in found], 's', 1)} for the whole command")
    found = samples["cold"]
    for mark, words, chosen in (
        ("", "all photos", np.ones_like(kept)),
        ("_without", f"without {options.without}", kept),
    ):
        estimate = evaluate_repeats(labels[chosen], np.stack(answers)[:, chosen])["roc_auc"]
        aucs = ", ".join(map(decimal, _values(found, f"roc_auc{mark}")))
        lines.append(f"{words}: AUC {estimate} (over photos and seeds); by seed {aucs}")
        lines.append(f"  false alarms at 98% recall {rate(_values(found, f'false_alarms{mark}'))}")
    _finish(f"all photos, {options.seeds} seeds, {_scored(found[0].values, options)}", "all", lines, samples, options)


def _read_answers(run: Path, without: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from bearcnn.evaluation.predictions import as_arrays, validation_predictions
    from bearcnn.runs import open_run

    found = validation_predictions(open_run(run))
    return *as_arrays(found), of_other_kinds([each.subclass for each in found], without)


def _measure_fastai(options: Namespace) -> None:
    samples: dict[str, list[Sample]] = {"vision_learner": [], "bearcnn": [], "bearcnn, cached": []}
    theirs, ours, again = samples
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = in_own_process(lay_out, options.data, folder)
        for seed in range(options.seeds):
            script = (folder / "plain", options.frozen_epochs, options.workers, seed, time.time())
            samples[theirs].append(time_script(VISION_LEARNER, *script))
            say(f"seed {seed}, vision_learner: {samples[theirs][-1].values['reached']}")
            train = partial(train_bearcnn, folder / "subclasses", [BODY, f"train.seed={seed}", *options.set])
            cache = folder / f"cache-{seed}"
            samples[ours].append(train(cache=cache))
            samples[again].append(train(cache=cache))
    lines = []
    for side, found in samples.items():
        reached = [sample.values["reached"] for sample in found]
        lines.append(f"{side}: {middle([sample.seconds for sample in found], 's', 0)} in all; epoch by epoch")
        shown = range(len(reached[0])) if side == theirs else (0, 1, 4, 9, len(reached[0]) - 1)
        for epoch in (epoch for epoch in shown if epoch < len(reached[0])):
            lines.append(
                f"  epoch {epoch + 1}: AUC {middle([each[epoch][1] for each in reached], '', 4)}"
                f" after {middle([each[epoch][0] for each in reached], 's', 0)}"
            )
    for side in (ours, again):
        lines += compare_times(
            side, *([sample.values["reached"] for sample in samples[which]] for which in (theirs, side))
        )
    _finish(
        f"fastai's vision_learner, {counts['train']} photos to train on, {counts['valid']} to validate on, "
        f"{options.seeds} seeds",
        "fastai",
        lines,
        samples,
        options,
    )


def compare_times(side: str, theirs: list[list[list[float]]], ours: list[list[list[float]]]) -> list[str]:
    """Compare the times to the lower of the two final AUCs, seed by seed, from [seconds, AUC] after each epoch."""
    times = []
    for one, two in zip(theirs, ours, strict=True):
        target = min(one[-1][1], two[-1][1])
        first, second = first_reached(one, target), first_reached(two, target)
        assert first is not None and second is not None, "each reaches its own final AUC"
        times.append((first, second))
    slow, fast = zip(*times, strict=True)
    return [
        f"{side} reaches the lower of the two final AUCs after {middle(fast, 's', 0)}, vision_learner after "
        f"{middle(slow, 's', 0)}: {ratios(slow, fast)} the time"
    ]


def spread(values: Sequence[float]) -> str:
    """Format a mean with its 95% t interval."""
    from bearcnn.sweep.statistics import mean_interval

    found = mean_interval(values)
    return decimal(found.mean) + (f" ({decimal(found.low)} to {decimal(min(found.high, 1.0))})" if found.high else "")


def rate(values: Sequence[float]) -> str:
    """Format the median and the range of shares."""
    return f"{percent(float(np.median(values)))} ({percent(min(values))} to {percent(max(values))})"


def _values(samples: Sequence[Sample], name: str) -> list[float]:
    return [sample.values[name] for sample in samples]


def _scored(values: dict[str, Any], options: Namespace) -> str:
    return f"{values['valid']} validation photos ({values['valid_without']} without {options.without})"


def _finish(title: str, part: str, lines: Sequence[str], samples: dict[str, list[Sample]], options: Namespace) -> None:
    given = {key: str(value) for key, value in vars(options).items()}
    finish(f"pretrained: {title}", options.out / f"pretrained-{part}.json", lines, samples, options=given)


if __name__ == "__main__":
    main()
