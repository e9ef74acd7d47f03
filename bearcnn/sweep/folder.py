"""The files of a sweep: its plan, its log, each trial's files, and the analysis.

    <sweep>/  plan.json  config.toml  dataset.json  trial_log.jsonl        the plan, and the finished trials
              trials/<id>/  config.toml  history.jsonl  predictions.npz    the files of each trial
              sweep.csv  sweep.json  sweep.png  sweep.svg  summary.txt     the analysis

A sweep of bearcnn 0.1 has ledger.jsonl in place of trial_log.jsonl; it is read and extended under its old name.
"""

import io
import json
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from bearcnn._version import __version__
from bearcnn.config import dump_config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import SweepError
from bearcnn.files import write_atomically
from bearcnn.runs import make_free_folder
from bearcnn.runs.contents import as_dict
from bearcnn.runs.lock import is_empty
from bearcnn.runs.reading import CHECKSUM, Content, Count, Text, read_object, with_checksum
from bearcnn.sweep.plan import GridPoint, Plan, SweptKey, Trial, digest_config, list_points, settings_key
from bearcnn.sweep.trial_log import Record, TrialResult, append_record, read_trial_log


class AxisContent(Content):
    """One varied quantity."""

    name: Text
    keys: Annotated[list[Text], Field(min_length=1)]
    values: Annotated[list[Any], Field(min_length=1)]


class PlanContent(Content):
    """plan.json."""

    format: Literal[1]
    bearcnn: Text
    axes: Annotated[list[AxisContent], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    sample: Count | None
    config: Text  # digest of the configuration
    data: Text  # fingerprint of the photos
    toml: Text | None = None  # the configuration, until its own file is written


class ResultsContent(Content):
    """sweep.json, of which bearcnn itself reads this."""

    model_config = ConfigDict(extra="allow")

    test_looks: list[Text] = Field(default_factory=list)
    summary: list[Text] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """A sweep's folder; the properties name its files, whether or not they exist yet."""

    directory: Path

    @property
    def plan_file(self) -> Path:
        """The plan: the varied keys, the seeds, the photos."""
        return self.directory / "plan.json"

    @property
    def config_file(self) -> Path:
        """The configuration that all trials share."""
        return self.directory / "config.toml"

    @property
    def log_file(self) -> Path:
        """The trial log: one line per finished trial."""
        old = self.directory / "ledger.jsonl"  # of bearcnn 0.1
        return old if old.is_file() else self.directory / "trial_log.jsonl"

    def trial_folder(self, trial: str) -> Path:
        """Return the folder of a trial, during the training run and after it."""
        return self.directory / "trials" / trial

    def records(self) -> dict[str, Record]:
        """Read every finished trial's record, by trial id."""
        return read_trial_log(self.log_file)

    def plan(self) -> Plan:
        """Read the plan.

        Raises:
            SweepError: there is no sweep here, or its configuration has changed since it began.
        """
        content = self._read_plan()
        if content.toml is not None and not self.config_file.exists():  # killed between its first files
            write_atomically(self.config_file, content.toml.encode(), overwrite=True)
        config = load_config(self.config_file)
        if digest_config(config) != content.config:
            raise SweepError(
                f"{self.config_file} (or a default of bearcnn, which was {content.bearcnn}) has changed since the "
                "sweep began, so its trials would not be comparable; start a new sweep"
            )
        swept = tuple(SweptKey(each.name, tuple(each.keys), tuple(each.values)) for each in content.axes)
        return Plan(config, swept, tuple(content.seeds), content.sample)

    def tried_points(self, plan: Plan) -> list[GridPoint]:
        """List the settings in the trial log, in the order of their first trial."""
        points = {point.key: point for point in list_points(plan)}
        keys = (settings_key(record.settings) for record in self.records().values())
        return [points[key] for key in dict.fromkeys(keys) if key in points]

    def results(self) -> dict[str, Any]:
        """Read sweep.json, the analysis for programs; empty if there is none yet.

        Raises:
            SweepError: it is damaged.
        """
        file = self.directory / "sweep.json"
        if not file.exists():
            return {}
        try:
            content = as_dict(read_object(file.read_bytes(), ResultsContent))
        except (OSError, ValueError) as error:
            raise SweepError(
                f"{file} is damaged ({error}); it says which settings were scored on the test photos. Delete it, and "
                f"bearcnn sweep --resume {self.directory} writes it again, without that"
            ) from None
        return {key: value for key, value in content.items() if key != CHECKSUM}

    def write_results(self, content: dict[str, Any]) -> None:
        """Write sweep.json."""
        write_atomically(
            self.directory / "sweep.json", json.dumps(with_checksum(content), indent=1).encode(), overwrite=True
        )

    def check_photos(self, fingerprint: str) -> None:
        """Check that these are the photos that the sweep began with.

        Raises:
            SweepError: they are different.
        """
        if self._read_plan().data != fingerprint:
            raise SweepError(
                f"the photos have changed since the sweep in {self.directory} began, so its trials would not be "
                "comparable; put them back or start a new sweep"
            )

    def write_plan(self, plan: Plan, dataset: Dataset) -> None:
        """Write the plan, and where it is missing the data set, before any of the plan's trials runs."""
        self._write_plan(plan, dataset)
        file = self.directory / "dataset.json"
        if not file.exists():
            write_atomically(file, json.dumps(dataset.to_json(), indent=1).encode(), overwrite=True)

    def write_first(self, plan: Plan, dataset: Dataset) -> None:
        """Write the plan and the configuration of a new sweep: it can be resumed as soon as the folder isn't empty."""
        text = dump_config(plan.config, explained=True)
        self._write_plan(plan, dataset, toml=text)
        write_atomically(self.config_file, text.encode())

    def _write_plan(self, plan: Plan, dataset: Dataset, **more: str) -> None:
        content = {
            "format": 1,
            "bearcnn": __version__,
            "axes": [asdict(each) for each in plan.swept],
            "seeds": plan.seeds,
            "sample": plan.sample,
            "config": digest_config(plan.config),
            "data": dataset.fingerprint,
            **more,
        }
        write_atomically(self.plan_file, json.dumps(with_checksum(content), indent=1).encode(), overwrite=True)

    def _read_plan(self) -> PlanContent:
        try:
            return read_object(self.plan_file.read_bytes(), PlanContent)
        except OSError:
            raise SweepError(f"{self.directory} is not a sweep (it has no {self.plan_file.name})") from None
        except ValueError as error:
            raise SweepError(
                f"{self.plan_file} is damaged ({error}); copy it from a backup, or start a new sweep"
            ) from None


def create_sweep(directory: Path, plan: Plan, dataset: Dataset) -> SweepFolder:
    """Create a new sweep's folder with its plan, configuration and data set.

    Raises:
        SweepError: the folder exists and is not empty, or can't be created.
    """
    check_free(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SweepError(f"can't make the folder {directory}: {error.strerror}; choose another folder") from None
    folder = SweepFolder(directory)
    folder.write_first(plan, dataset)
    folder.write_plan(plan, dataset)
    return folder


def choose_folder(now: datetime, name: str) -> Path:
    """Make the folder of a new sweep, sweeps/<time>-<name> with a number where that is taken, and return it.

    Raises:
        RunError: it can't be made.
    """
    return make_free_folder(Path("sweeps", f"{now:%Y%m%d-%H%M%S}-{name.removeprefix('sweep-')}"))


def check_free(directory: Path) -> None:
    """Check that a folder is empty or doesn't exist.

    Raises:
        SweepError: the folder has files in it, or is a file.
    """
    try:
        if directory.exists() and not (directory.is_dir() and is_empty(directory)):
            raise SweepError(
                f"{directory} exists and is not empty; nothing is ever overwritten: choose another folder, "
                f"or continue the sweep in it: bearcnn sweep --resume {directory}"
            )
    except OSError as error:
        raise SweepError(f"can't use the folder {directory}: {error.strerror}; choose another folder") from None


def keep_result(folder: SweepFolder, result: TrialResult, trial: Trial) -> None:
    """Write a trial's files, then its line of the trial log; delete the files that only training needed."""
    place = folder.trial_folder(trial.id)
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / "config.toml", dump_config(trial.config).encode(), overwrite=True)
    write_atomically(place / "history.jsonl", result.history.encode(), overwrite=True)
    if result.error:
        write_atomically(place / "error.txt", result.error.encode(), overwrite=True)
    if result.record.status == "done":
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **result.predictions)
        write_atomically(place / "predictions.npz", buffer.getvalue(), overwrite=True)
    append_record(folder.log_file, result.record)
    # Weights are not kept: the seed and config.toml reproduce them bit for bit.
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    (place / "dataset.json").unlink(missing_ok=True)
    if result.record.status == "done":
        (place / "error.txt").unlink(missing_ok=True)


def read_predictions(folder: SweepFolder, trial: str, split: str, photos: int) -> NDArray[np.float32]:
    """Read a finished trial's probabilities for a split, (photos,). The file has a checksum of each array.

    Raises:
        SweepError: the file is missing or damaged, or is of another number of photos.
    """
    file = folder.trial_folder(trial) / "predictions.npz"
    try:
        # numpy doesn't close a file that it opened itself and finds damaged.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            found: NDArray[np.float32] = arrays[split]
        if found.shape != (photos,) or found.dtype != np.float32 or not ((found >= 0) & (found <= 1)).all():
            raise ValueError("these are no probabilities of these photos")
        return found
    except Exception:  # numpy, zipfile and zlib each have their own errors, and the names in a file are anybody's
        raise SweepError(
            f"{file} is missing or damaged; delete the trial's line in {folder.log_file.name}, then continue with: "
            f"bearcnn sweep --resume {folder.directory}"
        ) from None
