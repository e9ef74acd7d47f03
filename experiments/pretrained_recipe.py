"""The recipe of a pretrained start: the preset with one change at a time, on 32 photos and on all.

    python experiments/pretrained_recipe.py --data PHOTOS

Writes its block of docs/recipe.md. Each seed draws other photos (half of them bears), other first weights and another
order; all settings get the same draws, and differences are taken draw by draw. The network of the last epoch is scored
on all validation photos. Size and milliseconds are those of the ONNX file, the fastest of 60
calls with one decoded photo.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, arguments, publish, table
from heads import BODY, answers, describe_machine, train_draws, with_settings

from bearcnn.config import Config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.evaluation.formats import decimal, percent, signed
from bearcnn.evaluation.metrics import score
from bearcnn.evaluation.thresholds import choose_for_recall
from bearcnn.export.onnx import to_onnx
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import Manifest
from bearcnn.model.network import build_model
from bearcnn.sweep.plan import Trial
from bearcnn.sweep.statistics import Comparison, compare_paired, mean_interval
from bearcnn.sweep.trial_log import Record

# Name and settings; the others are compared with the first.
VARIANTS: dict[str, Mapping[str, Any]] = {
    "the preset": {},
    "160 px": {"data.image_size": 160},
    "128 px": {"data.image_size": 128},
    "stage -2: 14 x 14 places, 112 channels": {"model.body_stage": -2},
    "stage -3: 28 x 28 places, 40 channels": {"model.body_stage": -3},
    "kernel 3": {"model.kernel_size": 3},
    "kernel 5": {"model.kernel_size": 5},
    "max pooling": {"model.pooling": "max"},
    "average pooling": {"model.pooling": "avg"},
    "32 channels": {"model.widths": [32]},
    "128 channels": {"model.widths": [128]},
    "two blocks of 64 channels": {"model.widths": [64, 64]},
    "320 channels": {"model.widths": [320]},
    "no dropout": {"model.dropout": 0.0},
    "dropout 0.5": {"model.dropout": 0.5},
    "two outputs: no subclasses": {"train.subclasses": False},
    "half the epochs": {"train.epochs": 10},
    "twice the epochs": {"train.epochs": 40},
    "five times the epochs": {"train.epochs": 100},
    "learning rate 3e-3": {"train.lr": 3e-3},
}
FEW = 32
DRAWS = {FEW: 5, None: 3}
SLOW = {"five times the epochs"}  # with few photos alone
RECALL = 0.98


def main() -> None:
    """Run what is missing, and write the table."""
    options = arguments(__doc__.splitlines()[0])
    if options.data is None:
        raise SystemExit("--data is missing: the recipe is one for real photos")
    if options.out.name == "findings.md":
        options.out = ROOT / "docs" / "recipe.md"
    base = load_config(None, [*BODY, f"data.path={options.data}"])
    scores = {count: _score(count, base, options.work) for count in DRAWS}
    costs = _read_costs(options.work / "pretrained-costs.json", base)
    comparisons = {count: _compare(found) for count, found in scores.items()}
    rows, kept = [], {}
    for name in VARIANTS:
        row: list[str] = [name]
        for count in DRAWS:
            found = scores[count].get(name)
            if found is None:
                row += ["", "", "", ""]
                continue
            row += [
                _spread(found["auc"]),
                _difference(comparisons[count].get(name)),
                _range(found["alarms"]),
                f"{statistics.median(found['seconds']):.1f}",
            ]
        cost = costs[name]
        rows.append([*row, f"{cost['megabytes']:.1f}", f"{cost['milliseconds']:.1f}"])
        kept[name] = {"settings": VARIANTS[name], "cost": cost, **{str(c or "all"): scores[c].get(name) for c in DRAWS}}
    result = options.work / "pretrained-recipe.json"
    result.write_text(json.dumps({"machine": describe_machine(), "variants": kept}, indent=1))
    few, whole = DRAWS.values()
    headings = [
        "changed",
        f"AUC, {FEW} photos",
        "difference",
        "false alarms",
        "seconds",
        "AUC, all photos",
        "difference",
        "false alarms",
        "seconds",
        "MB",
        "ms",
    ]
    publish(
        options,
        "pretrained_recipe",
        [
            f"{few} draws of {FEW} photos, {whole} seeds with all photos. AUC: mean and 95% t interval. Differences "
            "from the preset, draw by draw, with intervals that all hold at once (Bonferroni); **bold** where they "
            "exclude 0. False alarms: share of the other photos at 98% recall, median and range. Seconds: of a "
            "training run with the maps in the cache. On " + describe_machine() + ".",
            table(headings, rows),
        ],
    )
    print("\n".join(" | ".join(row) for row in rows))


def _score(count: int | None, base: Config, work: Path) -> dict[str, dict[str, list[float]]]:
    """Train and score each variant on draws of `count` photos."""
    labels = Dataset.from_config(base.data).arrays("valid")[1]
    found = {}
    for name, settings in VARIANTS.items():
        if count is None and name in SLOW:
            continue
        config = with_settings(base, dict(settings))
        slug = "".join(letter if letter.isalnum() else "-" for letter in name)
        trials = [
            Trial(f"{slug}_seed-{draw}", dict(settings), draw, with_settings(config, {"train.seed": draw}))
            for draw in range(DRAWS[count])
        ]
        directory = work / f"pretrained-recipe-{count or 'all'}"
        records, _ = train_draws(directory, config, trials, count)
        found[name] = _gather(labels, list(records.values()), answers(directory, trials))
    return found


def _gather(labels: np.ndarray, records: list[Record], probabilities: list[np.ndarray]) -> dict[str, list[float]]:
    alarms = []
    for each in probabilities:
        threshold = choose_for_recall(labels, each, RECALL).threshold
        alarms.append(score(labels, each, threshold)["false_positive_rate"])
    return {
        "auc": [record.scores["valid"]["roc_auc"] for record in records],
        "alarms": alarms,
        "seconds": [record.seconds for record in records],
    }


def _compare(found: dict[str, dict[str, list[float]]]) -> dict[str, Comparison]:
    base, *others = found
    by_draw = {name: dict(enumerate(scores["auc"])) for name, scores in found.items()}
    return dict(zip(others, compare_paired([by_draw[name] for name in others], by_draw[base]), strict=True))


def _spread(values: list[float]) -> str:
    found = mean_interval(values)
    assert found.high is not None and found.mean is not None
    return f"{decimal(found.mean)} ± {found.high - found.mean:.3f}"


def _difference(comparison: Comparison | None) -> str:
    if comparison is None or comparison.low_simultaneous is None or comparison.high_simultaneous is None:
        return ""
    low, high = comparison.low_simultaneous, comparison.high_simultaneous
    mark = "**" if low > 0 or high < 0 else ""
    return f"{mark}{signed(comparison.difference.mean)}{mark} ({signed(low)} to {signed(high)})"


def _range(values: list[float]) -> str:
    return f"{percent(statistics.median(values))} ({percent(min(values))} to {percent(max(values))})"


def _read_costs(file: Path, base: Config) -> dict[str, dict[str, float]]:
    """Measure each variant's file and its time, or read what was measured before."""
    costs: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}
    for name, settings in VARIANTS.items():
        if name in costs:
            continue
        if all(key.startswith("train.") or key == "model.dropout" for key in settings) and settings:
            costs[name] = costs["the preset"]  # the same file
        else:
            costs[name] = _measure_cost(with_settings(base, dict(settings)))
            file.write_text(json.dumps(costs, indent=1))
    return costs


def _measure_cost(config: Config) -> dict[str, float]:
    manifest = Manifest(
        name="fresh", classes=("no", "bear"), image_size=config.data.image_size, resize=config.data.resize
    )
    size = config.data.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "fresh.onnx"
        file.write_bytes(to_onnx(build_model(config.model).eval(), manifest))
        predictor = Predictor(file)
        times = []
        for _ in range(60):
            start = time.perf_counter()
            predictor.predict_pixels(pixels)
            times.append(time.perf_counter() - start)
        return {"megabytes": file.stat().st_size / 1e6, "milliseconds": 1000 * min(times)}


if __name__ == "__main__":
    main()
