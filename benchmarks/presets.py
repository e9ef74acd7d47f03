"""A preset: the AUC and the false alarms of the model that `bearcnn train` leaves, over seeds, and what it costs.

    python benchmarks/presets.py --data PHOTOS --config configs/pixel.toml [--seeds 3] [--threads 1]

Each seed is a complete `bearcnn train` with an empty cache. The score is that of the exported model on the test photos,
or on the validation photos where the folder has no others. These have chosen nothing if `train.monitor` is last; else
they have chosen the epoch, and the score is slightly optimistic. Seconds of the processor are those of all threads: on
a busy machine they tell more than the clock. False alarms are counted at the threshold that finds 98% of the scored
bears. Milliseconds a photo are those of one thread of a process that is running already, photo by photo, with reading
and decoding.
"""

import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import Sample, arguments, bearcnn_train, finish, in_own_process, middle, say, time_process

PHOTOS = 200
"""Photos that are predicted for the time of one."""


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
        values |= in_own_process(rate_model, run, values["split"], options.data)
    say(f"seed {seed}: AUC {values['roc_auc']:.4f}, {trained.seconds:.0f} s, {trained.processor_seconds:.0f} s of CPU")
    return replace(trained, values={"seed": seed, **values})


def read_scores(metrics: dict[str, Any]) -> dict[str, Any]:
    """Read the scores of the test photos, or else of the validation photos, from a run's metrics."""
    split = "test" if "test" in metrics["evaluations"] else "valid"
    found = metrics["evaluations"][split]
    scores = {key: found["estimates"][key]["value"] for key in ("roc_auc", "average_precision", "accuracy")}
    auc = found["estimates"]["roc_auc"]
    weights = sum(layer["parameters"] for layer in metrics["layers"])
    return {
        **scores,
        "split": split,
        "photos": found["n"],
        "positives": found["positives"],
        "epochs": metrics["epochs"],
        "monitor": metrics["monitor"],
        "weights": weights,
        "low": auc["low"],
        "high": auc["high"],
    }


def rate_model(run: Path, split: str, data: Path | None) -> dict[str, Any]:
    """Count a run's false alarms where 98% of the split's bears are found, and time its answers to photos."""
    import numpy as np
    from draws import rate_answers

    from bearcnn.evaluation.predictions import as_arrays, read_predictions
    from bearcnn.inference.predictor import Predictor
    from bearcnn.runs import open_run

    found = [prediction for prediction in read_predictions(open_run(run)) if prediction.split == split]
    labels, probabilities = as_arrays(found)
    rated = {"false_alarms": rate_answers(labels, probabilities, np.ones(len(labels), dtype=bool))["false_alarms"]}
    if data is None:
        return rated
    predictor = Predictor(run, threads=1)
    seconds = []
    for prediction in found[:PHOTOS]:
        start = time.perf_counter()
        predictor.predict(data / prediction.path)
        seconds.append(time.perf_counter() - start)
    return {**rated, "milliseconds": 1000 * float(np.median(seconds))}


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
        f"false alarms at 98% recall {middle([100 * sample.values['false_alarms'] for sample in samples], '%', 1)}",
        f"average precision {middle([sample.values['average_precision'] for sample in samples], '', 3)}",
        f"{first['epochs']} epochs: {middle([sample.seconds for sample in samples], 's', 0)} for the whole command, "
        f"{middle([sample.processor_seconds for sample in samples], 's', 0)} of the processor",
        f"{first['weights']:,} weights; " + _time_of_a_photo(samples),
    ]


def _time_of_a_photo(samples: Sequence[Sample]) -> str:
    found = [sample.values["milliseconds"] for sample in samples if "milliseconds" in sample.values]
    return f"{middle(found, 'ms', 1)} a photo, one thread" if found else "the time of a photo needs --data"


def _mean_interval(values: list[float]) -> Any:
    from bearcnn.sweep.statistics import mean_interval

    return mean_interval(values)


if __name__ == "__main__":
    main()
