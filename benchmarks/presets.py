"""A preset from random weights: the AUC of the model that `bearcnn train` leaves, over seeds, and what it costs.

    python benchmarks/presets.py --data PHOTOS --config configs/pixel.toml [--seeds 3] [--threads 1]

Each seed is a complete `bearcnn train` with an empty cache. The score is that of the exported model on the test photos,
or on the validation photos where the folder has no others. These have chosen nothing if `train.monitor` is last; else
they have chosen the epoch, and the score is slightly optimistic. Seconds of the processor are those of all threads: on
a busy machine they tell more than the clock.
"""

import json
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import Sample, arguments, bearcnn_train, finish, in_own_process, middle, say, time_process


def main() -> None:
    """Train, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--config", type=Path, required=True, help="the preset")
    parser.add_argument("--seeds", type=int, default=3, help="training runs (--rounds: times each)")
    parser.add_argument("--threads", type=int, help="of torch and OpenMP (default: the machine's choice)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="over the preset; can be repeated"
    )
    options = parser.parse_args()
    samples = [train(seed, options) for seed in range(options.seeds) for _ in range(options.rounds)]
    name = options.config.stem
    finish(
        f"preset {name}, {options.seeds} seeds",
        options.out / f"presets-{name}.json",
        describe(samples),
        {name: samples},
        options={key: str(value) for key, value in vars(options).items()},
    )


def train(seed: int, options: Namespace) -> Sample:
    """Run the complete command with one seed."""
    with tempfile.TemporaryDirectory() as name:
        run, settings = Path(name) / "run", [f"train.seed={seed}", *options.set]
        command = [*bearcnn_train(options.data, run, settings), "--config", str(options.config)]
        threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
        trained = time_process(command, BEARCNN_CACHE=name, **threads)
        values = read_scores(json.loads((run / "metrics.json").read_text()))
    say(f"seed {seed}: AUC {values['roc_auc']:.4f}, {trained.seconds:.0f} s, {trained.processor_seconds:.0f} s of CPU")
    return replace(trained, values={"seed": seed, **values})


def read_scores(metrics: dict[str, Any]) -> dict[str, Any]:
    """Read the scores of the test photos, or else of the validation photos, from a run's metrics."""
    split = "test" if "test" in metrics["evaluations"] else "valid"
    found = metrics["evaluations"][split]
    scores = {key: found["estimates"][key]["value"] for key in ("roc_auc", "average_precision", "accuracy")}
    auc = found["estimates"]["roc_auc"]
    return {
        **scores, "split": split, "photos": found["n"], "positives": found["positives"], "epochs": metrics["epochs"],
        "monitor": metrics["monitor"], "low": auc["low"], "high": auc["high"],
    }  # fmt: skip


def describe(samples: Sequence[Sample]) -> list[str]:
    """Return the lines of the result: the mean AUC over seeds with its t interval, each seed's, and the costs."""
    first = samples[0].values
    chose = "none of which chose the epoch" if first["monitor"] == "last" else "which chose the epoch"
    aucs = [sample.values["roc_auc"] for sample in samples]
    found = in_own_process(_mean_interval, aucs)
    interval = "" if found.low is None else f", 95% interval over seeds {found.low:.4f} to {found.high:.4f}"
    photos = f"({first['low']:.3f} to {first['high']:.3f} over photos, first seed)"
    return [
        f"scored on {first['photos']} {first['split']} photos ({first['positives']} bears), {chose}",
        f"ROC AUC {found.mean:.4f}{interval} {photos}",
        f"  by seed {', '.join(f'{auc:.4f}' for auc in aucs)}",
        f"average precision {middle([sample.values['average_precision'] for sample in samples], '', 3)}",
        f"{first['epochs']} epochs: {middle([sample.seconds for sample in samples], 's', 0)} for the whole command, "
        f"{middle([sample.processor_seconds for sample in samples], 's', 0)} of the processor",
    ]


def _mean_interval(values: list[float]) -> Any:
    from bearcnn.sweep.statistics import mean_interval

    return mean_interval(values)


if __name__ == "__main__":
    main()
