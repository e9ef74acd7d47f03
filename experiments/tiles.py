"""Small bears: what do tiles, and crops of a detector, find that the whole frame doesn't?

    python experiments/tiles.py

Writes its block of the findings. The networks are trained on scenes with large animals, and judged on wide ones with
small animals; a detector is played by the scenes' exact boxes.
"""

import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import NETWORK, arguments, bearcnn, publish, table

from bearcnn import pipeline
from bearcnn.config import Config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.data.regions import WHOLE_FRAMES, Tiles
from bearcnn.data.splits import SPLITS
from bearcnn.evaluation.formats import decimal, percent
from bearcnn.evaluation.intervals import proportion
from bearcnn.evaluation.metrics import evaluate
from bearcnn.evaluation.predictions import as_arrays
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.score import predict_split
from bearcnn.runs import Run
from bearcnn.sweep.statistics import mean_interval

SIZE = 128
TRAIN_SCALE = "0.25-0.6"
SCALES = ("0.05", "0.1", "0.2", "0.4")  # the animal's share of the picture's side
SCENE = 384  # px
TILES = (0, 2, 4, 8)
FALSE_ALARMS = 0.05
LOST = 0.1  # of the animals that the played detector misses
SETTINGS = [*NETWORK, f"data.image_size={SIZE}", "model.widths=[16,32,64,128]", "data.detection_threshold=0.2"]


@dataclass(frozen=True)
class Answers:
    """The answers to the photos of a data set, by split."""

    labels: Mapping[str, np.ndarray]
    probabilities: Mapping[str, np.ndarray]

    @property
    def judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and probabilities of the photos that no threshold is chosen on."""
        labels, probabilities = (
            np.concatenate([each[split] for split in ("valid", "test")]) for each in (self.labels, self.probabilities)
        )
        return labels, probabilities

    def at_same_false_alarms(self) -> tuple[float, int, int]:
        """Choose the threshold for `FALSE_ALARMS` on one part; return recall and counts of bears on the other."""
        negatives = self.probabilities["train"][self.labels["train"] == 0]
        threshold = np.quantile(negatives, 1 - FALSE_ALARMS)
        labels, probabilities = self.judged
        found = int((probabilities[labels == 1] > threshold).sum())
        return float((probabilities[labels == 0] > threshold).mean()), found, int((labels == 1).sum())


def main() -> None:
    """Draw, train and judge; write the findings."""
    options = arguments(__doc__.splitlines()[0])
    epochs = options.epochs or 25
    train = draw(options.work / "tiles-train", 2000, TRAIN_SCALE, seed=0)
    small = {scale: draw(options.work / f"tiles-{scale}", 1000, scale, seed=1) for scale in SCALES}
    rows: dict[tuple[str, str], list[Answers]] = {}
    for seed in range(options.seeds):
        whole = fit(options.work / f"tiles-whole-{seed}", train, seed, epochs)
        cropped = fit(options.work / f"tiles-crops-{seed}", train, seed, epochs, detect(train, 0.0))
        realistic = fit(options.work / f"tiles-lost-{seed}", train, seed, epochs, detect(train, LOST))
        for scale, folder in small.items():
            for count in TILES:
                name = f"{count} tiles" if count else "whole frame"
                rows.setdefault((scale, name), []).append(answer(whole, folder, tiles=count))
            for name, run, lost in (
                ("crops, all animals detected", cropped, 0.0),
                (f"crops, {percent(LOST)} of animals undetected", cropped, LOST),
                ("crops, the same, and in training as well", realistic, LOST),
            ):
                rows.setdefault((scale, name), []).append(answer(run, folder, detections=detect(folder, lost)))
    costs = measure_costs(options.work / "tiles-whole-0", small[SCALES[0]])
    publish(
        options, "tiles", [explain(options.seeds), table(HEADINGS, [summarize(*key, rows[key]) for key in rows]), costs]
    )


HEADINGS = [
    "animal's share of the side",
    "seen as",
    "AUC",
    "in one network",
    "recall at the same false alarms",
    "in one network",
    "false alarms then",
    "false alarms at 0.5",
    "recall at 0.5",
]


def explain(seeds: int) -> str:
    """Say what was done."""
    return (
        f"{seeds} networks of {SIZE} px each, trained on 1,200 drawn scenes of {SCENE} px with animals of "
        f"{TRAIN_SCALE} of the side, judged on 400 for each size of the animal, half of them bears. The threshold for "
        f"the same false alarms ({percent(FALSE_ALARMS)}) is chosen on 600 others. Means have the interval over the "
        "networks; numbers of one network have the interval over the photos."
    )


def summarize(scale: str, name: str, answers: Sequence[Answers]) -> list[str]:
    """Return a row of the table."""
    first = answers[0]
    evaluations = [evaluate(*each.judged) for each in answers]
    same = [each.at_same_false_alarms() for each in answers]
    return [
        scale,
        name,
        _mean([each.estimates["roc_auc"].value for each in evaluations]),
        str(evaluate(*first.judged).estimates["roc_auc"]),
        _mean([found / bears for _, found, bears in same]),
        str(proportion(same[0][1], same[0][2])),
        percent(float(np.mean([rate for rate, _, _ in same]))),
        percent(float(np.mean([each.estimates["false_positive_rate"].value for each in evaluations]))),
        percent(float(np.mean([each.estimates["recall"].value for each in evaluations]))),
    ]


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return decimal(values[0])
    mean = mean_interval(values)
    assert mean.mean is not None and mean.high is not None
    return f"{decimal(mean.mean)} ± {mean.high - mean.mean:.3f}"


def draw(folder: Path, count: int, scale: str, seed: int) -> Path:
    """Draw scenes once."""
    if not folder.is_dir():
        bearcnn("data", "synth", folder, "--count", count, "--size", SCENE, "--bear-scale", scale, "--seed", seed)
    return folder


def detect(folder: Path, lost: float) -> Path:
    """Write what a detector that misses some animals would: the scenes' boxes, as MegaDetector's batch results."""
    file = folder.with_name(f"{folder.name}-{lost:g}.json")
    if file.is_file():
        return file
    scenes = [json.loads(line) for line in (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines()]
    dice = random.Random(0)
    images = []
    for scene in scenes:
        found = []
        if scene["box"] and dice.random() >= lost:
            left, top, right, bottom = (side / SCENE for side in scene["box"])
            found = [{"category": "1", "conf": 0.9, "bbox": [left, top, right - left, bottom - top]}]
        images.append({"file": scene["path"], "detections": found})
    content = {"info": {"format_version": "1.5"}, "detection_categories": {"1": "animal"}, "images": images}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def fit(directory: Path, data: Path, seed: int, epochs: int, detections: Path | None = None) -> Path:
    """Train a network once."""
    config, directory = configure(data, detections=detections, seed=seed, epochs=epochs), directory.resolve()
    if not Run(directory).metrics_file.is_file():
        start = time.perf_counter()
        with chdir(directory.parent):  # runs/latest is the user's
            pipeline.train(config, Dataset.from_config(config.data), directory)
        print(f"  {directory.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return directory


def configure(data: Path, detections: Path | None = None, **train: Any) -> Config:
    """Build the configuration of a network."""
    keys = [f"data.path={data.resolve()}", *([f"data.detections={detections.resolve()}"] if detections else [])]
    return load_config(None, [*SETTINGS, *keys, *(f"train.{key}={value}" for key, value in train.items())])


def answer(run: Path, folder: Path, tiles: int = 0, detections: Path | None = None) -> Answers:
    """Answer all photos of a folder, which the network never saw; the answers are kept."""
    seen = detections.stem if detections else f"{tiles}-tiles"
    file = run.with_name(f"{run.name}-{folder.name}-{seen}.npz")
    if not file.is_file():
        dataset = Dataset.for_evaluation(folder, configure(folder, detections=detections).data)
        dataset = replace(dataset, regions=Tiles(tiles)) if tiles else dataset
        predictor, kept = Predictor(Run(run).onnx_file), {}
        for split in SPLITS:
            labels, probabilities = as_arrays(predict_split(predictor, dataset, split))
            kept |= {f"{split}-labels": labels, f"{split}-probabilities": probabilities}
        with file.open("wb") as out:
            np.savez(out, **kept)
        print(f"  {file.name}", file=sys.stderr, flush=True)
    with np.load(file) as kept:
        labels, probabilities = (
            {split: kept[f"{split}-{name}"] for split in SPLITS} for name in ("labels", "probabilities")
        )
    return Answers(labels, probabilities)


def measure_costs(run: Path, folder: Path) -> str:
    """Measure milliseconds per photo, decoding included, with one thread."""
    paths = sorted((folder / "test").rglob("*.jpg"))[:100]
    predictor, costs = Predictor(Run(run).onnx_file), []
    for count in TILES:
        regions = Tiles(count) if count else WHOLE_FRAMES
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            list(predict_photos(predictor, paths, regions=regions))
            seconds.append(time.perf_counter() - start)
        pictures = len(regions.of(paths[0])(SCENE, SCENE))
        costs.append(f"{count or 'no'} tiles {1000 * min(seconds) / len(paths):.1f} ms ({pictures} pictures)")
    return f"A photo of {SCENE} px takes, in the fastest of three passes over 100: {', '.join(costs)}."


if __name__ == "__main__":
    main()
