"""Experiments for the recipe: the default configuration with one change at a time, over several seeds.

    python benchmarks/recipe.py --data PHOTOS [--size 64] [--seeds 3] [--jobs 2]

Every line is a complete `bearcnn train`, scored by its best epoch on the validation photos. Changes that make an epoch
slower or faster get as many epochs as fit into about the same time: all are compared at equal cost. Finished training
runs are kept in the results file and not repeated.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

from measure import arguments, bearcnn_train, cores, machine

# Name and settings; the others are compared with the first.
VARIANTS: dict[str, Sequence[str]] = {
    "default": (),
    "two outputs: no subclasses": ("train.subclasses=false",),
    "one size, as long": ("train.sizes=[]", "train.epochs=36"),
    "half the epochs": ("train.epochs=30",),
    "batches of 64": ("train.batch_size=64",),
    "batches of 16": ("train.batch_size=16", "train.epochs=48"),
    "further convolutions in blocks 3 and 4, as long": ("model.residual=[0, 0, 1, 1]", "train.epochs=34"),
    "further convolutions in blocks 3 and 4": ("model.residual=[0, 0, 1, 1]",),
    "a fifth block": ("model.widths=[32, 64, 128, 256, 256]",),
    "max pooling": ("model.pooling=max",),
    "average pooling": ("model.pooling=avg",),
    "no dropout": ("model.dropout=0",),
    "dropout 0.5": ("model.dropout=0.5",),
    "channel dropout 0.1": ("model.conv_dropout=0.1",),
    "no label smoothing": ("train.label_smoothing=0",),
    "weight decay 0.2": ("train.weight_decay=0.2",),
    "learning rate 6e-3": ("train.lr=6e-3",),
    "learning rate 1.5e-3": ("train.lr=1.5e-3",),
    "smaller crops, more rotation": ("augment.crop=0.3", "augment.rotation=20"),
    "larger crops": ("augment.crop=0.7",),
    "classes not weighted": ("train.balance=none",),
}


def main() -> None:
    """Run the missing training runs, and print the table."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--size", type=int, default=64, help="image size: a smaller one tells as much in less time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=cores(), help="training runs at a time, one thread each")
    parser.add_argument("--only", action="append", metavar="NAME", help="run only this variant; can be repeated")
    options = parser.parse_args()
    names = options.only or list(VARIANTS)
    if unknown := set(names) - set(VARIANTS):
        parser.error(f"--only {sorted(unknown)[0]}: expected one of {', '.join(VARIANTS)}")
    results = options.out / f"recipe-{options.data.resolve().name if options.data else 'scenes'}-{options.size}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    wanted = [(name, seed) for seed in range(options.seeds) for name in names]
    done = _read(results)
    with ThreadPoolExecutor(options.jobs) as jobs:
        for record in jobs.map(lambda job: _train(*job, options), [job for job in wanted if job not in done]):
            with results.open("a") as file:
                print(json.dumps(record), file=file)
            print(f"  {record['name']}, seed {record['seed']}: AUC {record['roc_auc']:.4f}", file=sys.stderr)
    print("\n".join(_table(names, _read(results))))
    print("on " + ", ".join(f"{key} {value}" for key, value in machine().items()))


def _train(name: str, seed: int, options: Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        settings = (f"data.image_size={options.size}", f"train.seed={seed}", *VARIANTS[name])
        command = bearcnn_train(options.data, run, settings)
        # One thread each: in parallel they use all cores, and none waits for another.
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        metrics = json.loads((run / "metrics.json").read_text())
        scores = metrics["evaluations"]["valid"]["estimates"]
        seconds = round(metrics["seconds"])
        best = {key: scores[key]["value"] for key in ("roc_auc", "average_precision")}
    return {"name": name, "seed": seed, "settings": list(VARIANTS[name]), "seconds": seconds, **best}


def _read(results: Path) -> dict[tuple[str, int], dict[str, float]]:
    lines = results.read_text().splitlines() if results.exists() else []
    records = [json.loads(line) for line in lines]
    return {(record["name"], record["seed"]): record for record in records}


def _table(names: Sequence[str], done: dict[tuple[str, int], dict[str, float]]) -> list[str]:
    """Build the Markdown table: mean and standard deviation over seeds, and paired differences from the default."""
    lines = [
        "| changed | ROC AUC | difference from the default, by seed | average precision | seconds, one thread | n |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        found = {seed: record for (of, seed), record in done.items() if of == name}
        if not found:
            continue
        pairs = [
            record["roc_auc"] - done["default", seed]["roc_auc"]
            for seed, record in found.items()
            if ("default", seed) in done
        ]
        lines.append(
            f"| {name} | {_spread([record['roc_auc'] for record in found.values()])} "
            f"| {'' if name == 'default' or not pairs else _spread(pairs, '+')} "
            f"| {_spread([record['average_precision'] for record in found.values()])} "
            f"| {mean(record['seconds'] for record in found.values()):.0f} | {len(found)} |"
        )
    return lines


def _spread(values: Sequence[float], sign: str = "") -> str:
    spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.4f}{spread}"


if __name__ == "__main__":
    main()
