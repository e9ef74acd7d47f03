"""The folder of a sweep: what was asked for, what is finished; and the loop that runs what is missing.

    <sweep>/  plan.json  config.toml  dataset.json  ledger.jsonl         what is asked for, and what is finished
              trials/<id>/  config.toml  history.jsonl  predictions.npz  what each trial leaves
              sweep.csv  sweep.json  sweep.png  sweep.svg  verdict.txt   what it all says

This module must not import torch, fastai, matplotlib or pandas.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import bearcnn
from bearcnn.config import dump_config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import SPLITS
from bearcnn.errors import SweepError
from bearcnn.files import write_atomically
from bearcnn.runs import free_name
from bearcnn.sweep.analysis import SCORE, Findings, analyse, judge_choice, to_csv, to_json
from bearcnn.sweep.plan import Axis, Cell, Plan, Trial, digest_config, list_cells, make_trials, settings_key
from bearcnn.sweep.summary import wrap_verdict, write_verdict
from bearcnn.sweep.trial_log import Record, append_record, read_ledger


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What an engine gives back for a trial."""

    record: Record
    history: str  # the lines of history.jsonl
    predictions: dict[str, NDArray[np.float32]]  # split -> probability of each of its photos, of the last epoch
    error: str = ""  # the traceback, where it failed


class SweepWatcher(Protocol):
    """Who is told how a sweep goes; the console is one. Calls come from one thread."""

    def trial_started(self, trial: str, epochs: int) -> None:
        """A trial of so many epochs is under way."""

    def epoch_done(self, trial: str, epoch: int) -> None:
        """So many of its epochs are finished."""

    def trial_finished(self, record: Record) -> None:
        """A trial is in the ledger, done or failed."""


Engine = Callable[[Sequence[Trial]], Iterator[TrialResult]]
"""Runs trials in any order, and gives each result as soon as it is there."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep's folder; the properties name its files, whether or not they are there yet."""

    directory: Path

    @property
    def plan_file(self) -> Path:
        """What is varied, over which seeds, on which photos."""
        return self.directory / "plan.json"

    @property
    def config_file(self) -> Path:
        """The configuration that all trials share."""
        return self.directory / "config.toml"

    @property
    def ledger_file(self) -> Path:
        """One line a finished trial."""
        return self.directory / "ledger.jsonl"

    def trial_folder(self, trial: str) -> Path:
        """What one trial leaves, and where it works."""
        return self.directory / "trials" / trial

    def records(self) -> dict[str, Record]:
        """Every finished trial by its id."""
        return read_ledger(self.ledger_file)

    def plan(self) -> Plan:
        """What the sweep was asked for.

        Raises:
            SweepError: there is no sweep here, or its configuration was changed after it began.
        """
        content = self._read_plan()
        config = load_config(self.config_file)
        if digest_config(config) != content["config"]:
            raise SweepError(
                f"{self.config_file} (or a default of bearcnn, which was {content['bearcnn']}) has changed since the "
                "sweep began, so its trials would not be comparable; start a new sweep"
            )
        axes = tuple(Axis(axis["name"], tuple(axis["keys"]), tuple(axis["values"])) for axis in content["axes"])
        return Plan(config, axes, tuple(content["seeds"]), content["sample"])

    def results(self) -> dict[str, Any]:
        """The content of sweep.json: what the sweep says, or nothing yet."""
        try:
            content: dict[str, Any] = json.loads((self.directory / "sweep.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content

    def check_photos(self, fingerprint: str) -> None:
        """SweepError unless these are the photos that the sweep began with."""
        if self._read_plan()["data"] != fingerprint:
            raise SweepError(
                f"the photos have changed since the sweep in {self.directory} began, so its trials would not be "
                "comparable; put them back or start a new sweep"
            )

    def _read_plan(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.plan_file.read_text(encoding="utf-8"))
        except OSError:
            raise SweepError(f"{self.directory} is not a sweep (it has no {self.plan_file.name})") from None
        except ValueError:
            raise SweepError(f"{self.plan_file} is damaged; start a new sweep") from None
        return content

    def write_plan(self, plan: Plan, fingerprint: str) -> None:
        """Write down what is asked for, before any trial runs."""
        content = {
            "format": 1,
            "bearcnn": bearcnn.__version__,
            "axes": [asdict(axis) for axis in plan.axes],
            "seeds": plan.seeds,
            "sample": plan.sample,
            "config": digest_config(plan.config),
            "data": fingerprint,
        }
        write_atomically(self.plan_file, json.dumps(content, indent=1).encode(), overwrite=True)


def create_sweep(directory: Path, plan: Plan, dataset: Dataset) -> Sweep:
    """A new sweep's folder, which holds what is asked for.

    Raises:
        SweepError: the folder exists and is not empty, or can't be made.
    """
    check_free(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SweepError(f"can't make the folder {directory}: {error.strerror}; choose another --out") from None
    sweep = Sweep(directory)
    write_atomically(sweep.config_file, dump_config(plan.config, explained=True).encode())
    write_atomically(directory / "dataset.json", json.dumps(dataset.to_json(), indent=1).encode())
    sweep.write_plan(plan, dataset.fingerprint)  # last: a folder with a plan is whole
    return sweep


def choose_folder(now: datetime, name: str) -> Path:
    """The folder that a new sweep will have: sweeps/<time>-<name>. Nothing is made yet."""
    return free_name(Path("sweeps", f"{now:%Y%m%d-%H%M%S}-{name.removeprefix('sweep-')}"))


def check_free(directory: Path) -> None:
    """SweepError if there is something in a folder that is to be written."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SweepError(
            f"{directory} exists and is not empty; nothing is ever overwritten: choose another --out, "
            f"or continue the sweep in it with --resume {directory}"
        )


def run_sweep(sweep: Sweep, plan: Plan, engine: Engine, watcher: SweepWatcher, slots: int) -> None:
    """Run every trial of the plan that isn't done; `slots` is how many the engine runs at a time."""
    if plan.sample is None:
        run_trials(sweep, make_trials(plan, list_cells(plan)), engine, watcher)
        return
    from bearcnn.sweep.search import choose_cells  # needs an optional package

    tried = tried_cells(sweep, plan)
    run_trials(sweep, make_trials(plan, tried), engine, watcher)  # what a kill or new seeds left to do
    while count := min(plan.sample - len(tried), -(-slots // len(plan.seeds))):
        chosen = choose_cells(plan, _mean_scores(sweep, tried), count)
        if not chosen:
            return
        run_trials(sweep, make_trials(plan, chosen), engine, watcher)
        tried += chosen


def tried_cells(sweep: Sweep, plan: Plan) -> list[Cell]:
    """The settings that the ledger knows, in the order in which they came."""
    cells = {cell.key: cell for cell in list_cells(plan)}
    keys = (settings_key(record.settings) for record in sweep.records().values())
    return [cells[key] for key in dict.fromkeys(keys) if key in cells]


def _mean_scores(sweep: Sweep, cells: Sequence[Cell]) -> list[tuple[Cell, float | None]]:
    section, _, name = SCORE.partition(".")
    scored, records = [], sweep.records().values()
    for cell in cells:
        found = [
            record.scores[section][name]
            for record in records
            if record.settings == cell.settings and record.status == "done"
        ]
        scored.append((cell, sum(found) / len(found) if found else None))
    return scored


def run_trials(sweep: Sweep, trials: Sequence[Trial], engine: Engine, watcher: SweepWatcher) -> None:
    """Run those of the trials that aren't done, and put each into the ledger as soon as it is finished.

    A trial that fails is recorded with its reason, and the others go on.
    """
    done = {record.id: record for record in sweep.records().values() if record.status == "done"}
    for trial in trials:
        if trial.id in done and done[trial.id].config != digest_config(trial.config):
            raise SweepError(f"the trial {trial.id} in {sweep.ledger_file} was run with another configuration")
    missing = {trial.id: trial for trial in trials if trial.id not in done}
    for result in engine(list(missing.values())) if missing else ():
        keep_result(sweep, result, missing[result.record.id])
        watcher.trial_finished(result.record)


def keep_result(sweep: Sweep, result: TrialResult, trial: Trial) -> None:
    """A trial's files, then its line in the ledger, then away with what only the training needed."""
    folder = sweep.trial_folder(trial.id)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.toml", dump_config(trial.config).encode(), overwrite=True)
    write_atomically(folder / "history.jsonl", result.history.encode(), overwrite=True)
    if result.error:
        write_atomically(folder / "error.txt", result.error.encode(), overwrite=True)
    if result.record.status == "done":
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **result.predictions)
        write_atomically(folder / "predictions.npz", buffer.getvalue(), overwrite=True)
    append_record(sweep.ledger_file, result.record)
    # Weights are not kept: the seed and config.toml give them again, to the bit.
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    (folder / "dataset.json").unlink(missing_ok=True)
    if result.record.status == "done":
        (folder / "error.txt").unlink(missing_ok=True)


def read_predictions(sweep: Sweep, trial: str) -> dict[str, NDArray[np.float32]]:
    """The probabilities that a finished trial gave: split -> (photos,).

    Raises:
        SweepError: they are gone or damaged.
    """
    file = sweep.trial_folder(trial) / "predictions.npz"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError):
        raise SweepError(
            f"{file} is missing or damaged; delete the trial's line from the ledger and --resume"
        ) from None


def write_findings(sweep: Sweep, plan: Plan, dataset: Dataset) -> Findings:
    """Say what the finished trials say, in sweep.csv, sweep.json, sweep.png, sweep.svg and verdict.txt.

    The test photos are looked at here, for the chosen setting and for no other.

    Raises:
        SweepError: not one trial is done.
    """
    from bearcnn.plotting import draw_sweep  # matplotlib

    records = sweep.records()
    cells = list_cells(plan) if plan.sample is None else tried_cells(sweep, plan)
    trials = make_trials(plan, cells)
    photos = {str(split): len(dataset.select(split)) for split in SPLITS}
    try:
        findings = analyse(plan, records, trials, photos)
    except ValueError:
        reasons = {record.reason for record in records.values() if record.reason}
        why = f": {sorted(reasons)[0]}" if reasons else ""
        raise SweepError(
            f"not one trial of {sweep.directory} is done{why}; fix it and continue with --resume"
        ) from None
    chosen = findings.settings[findings.chosen].cell
    looks = [str(label) for label in sweep.results().get("test_looks", ())]
    if photos["test"]:
        _, labels = dataset.arrays("test")
        ids = [record.id for record in records.values() if record.settings == chosen.settings and not record.reason]
        test = judge_choice(labels, [read_predictions(sweep, name)["test"] for name in sorted(ids)])
        looks += [chosen.label] * (chosen.label not in looks)
        findings = replace(findings, test=test, test_looks=tuple(looks))
    verdict = write_verdict(findings)
    axis = findings.plan.axes[0].name.replace("_", " ") if len(plan.axes) == 1 else ""
    epochs = plan.config.train.epochs
    title = f"{axis or 'sweep'}, {len(plan.seeds)} seeds, {epochs} epochs, {photos['train']:,} training photos"
    pictures = draw_sweep(title, axis, findings.settings)
    content = {**to_json(findings, records), "verdict": verdict.splitlines()}
    for name, data in (
        ("sweep.csv", to_csv(records).encode()),
        ("sweep.json", json.dumps(content, indent=1).encode()),
        ("sweep.png", pictures["png"]),
        ("sweep.svg", pictures["svg"]),
        ("verdict.txt", wrap_verdict(verdict).encode()),
    ):
        write_atomically(sweep.directory / name, data, overwrite=True)
    return findings
