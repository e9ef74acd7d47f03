"""Shared parts of the experiments on heads: settings on a pretrained body, compared draw by draw of the photos."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from draws import maps_for_draws
from draws import with_settings as with_settings
from measure import machine

from bearcnn.config import Config
from bearcnn.data.splits import SPLITS
from bearcnn.sweep.analysis import Analysis, analyse
from bearcnn.sweep.plan import Trial, digest_config, list_points, make_trials, plan_grid
from bearcnn.sweep.trial import run_trial
from bearcnn.sweep.trial_log import Record, append_record, read_trial_log

BODY = ("model.body=efficientnet_lite0",)


def train_draws(
    directory: Path, config: Config, trials: Sequence[Trial], count: int | None
) -> tuple[dict[str, Record], dict[str, int]]:
    """Train each trial on the draw of `count` photos of its seed (None: on all); return records and photo counts.

    The trials differ from `config` in other things than photos and body. Finished ones are in the folder and not
    repeated; their answers to the validation photos are beside the log.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "trials.jsonl"
    records = read_trial_log(log)
    counts = {}
    with maps_for_draws(config) as maps:
        for number, trial in enumerate(trials, 1):
            known = records.get(trial.id)
            if known is not None and known.config != digest_config(trial.config):
                raise SystemExit(f"{log} has {trial.id} with another configuration: give another --work")
            photos = maps.draw(count, trial.seed)
            counts = {str(split): len(photos.select(split)) for split in SPLITS}
            if known is not None:
                continue
            start = time.perf_counter()
            result = run_trial(trial, photos, directory / "trials" / trial.id)
            if result.error:
                raise SystemExit(result.error)
            # With what happens before and between the epochs.
            record = replace(result.record, seconds=time.perf_counter() - start)
            np.save(directory / f"{trial.id}.npy", result.predictions["valid"])
            append_record(log, record)
            records[trial.id] = record
            print(
                f"  {number} of {len(trials)}, {trial.id}: {record.seconds:.1f} s, "
                f"AUC {record.scores['valid']['roc_auc']:.4f}",
                file=sys.stderr,
                flush=True,
            )
    return {trial.id: records[trial.id] for trial in trials}, counts


def answers(directory: Path, trials: Sequence[Trial]) -> list[np.ndarray]:
    """Read what the trials' networks answered to the validation photos."""
    return [np.load(directory / f"{trial.id}.npy") for trial in trials]


def sweep_draws(
    directory: Path, config: Config, values: Mapping[str, Sequence[Any]], draws: int, count: int | None
) -> tuple[Analysis, list[Record]]:
    """Compare the values of some keys, as `bearcnn sweep` does; but each seed has photos of its own."""
    plan = plan_grid(config, values, draws)
    trials = make_trials(plan, list_points(plan))
    records, counts = train_draws(directory, config, trials, count)
    return analyse(plan, records, trials, counts), list(records.values())


def describe_machine() -> str:
    """Describe hardware and versions in one line."""
    return ", ".join(f"{key} {value}" for key, value in machine().items())
