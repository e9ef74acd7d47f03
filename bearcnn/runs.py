"""Run folders: their files, and how a run is made, found, read and linked."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bearcnn.config import Config, dump_config, load_config
from bearcnn.errors import RunError
from bearcnn.files import write_atomically
from bearcnn.latest import MODEL_FILE, RUNS, latest_directory


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One line of history.jsonl. Scores are of the validation photos; a score without both classes is NaN.

    Without validation photos, as with `train.folds`, the validation loss is NaN, too.
    """

    epoch: int  # 1 for the first
    size: int  # side of the training pictures
    train_loss: float
    valid_loss: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    roc_auc: float
    average_precision: float
    lr: float
    seconds: float  # of training and validation
    images_per_second: float  # training alone
    best: bool  # the best so far by train.monitor
    unfrozen: int = 0  # last stages of a pretrained body that learned too
    busy: float = 0.0  # share of the training time in which other programs had the processor's cores


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of the network: a row of metrics.json and of the tables."""

    name: str
    layer: str  # such as "convolution 3 x 3, stride 2"
    output_shape: tuple[int, ...]  # without the batch
    parameters: int
    multiply_adds: int  # for one picture


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder; the properties name its files, whether or not they exist yet."""

    directory: Path

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.directory / "config.toml"

    @property
    def dataset_file(self) -> Path:
        """The split of each photo, and the skipped photos with their reasons."""
        return self.directory / "dataset.json"

    @property
    def history_file(self) -> Path:
        """One JSON line per epoch."""
        return self.directory / "history.jsonl"

    @property
    def metrics_file(self) -> Path:
        """The scores of the exported model; a run that has this file is finished."""
        return self.directory / "metrics.json"

    @property
    def predictions_file(self) -> Path:
        """The answer to each photo that scores are computed from, one JSON line each.

        It is the exported model's to each validation and test photo, and with `train.folds` that of a fold's network to
        each photo of the fold.
        """
        return self.directory / "predictions.jsonl"

    @property
    def report_file(self) -> Path:
        """The report, an HTML page."""
        return self.directory / "report.html"

    @property
    def onnx_file(self) -> Path:
        """The exported model."""
        return self.directory / MODEL_FILE

    @property
    def weights_file(self) -> Path:
        """The best epoch's weights."""
        return self.directory / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints, which resuming needs."""
        return self.directory / "checkpoints"

    @property
    def plots(self) -> Path:
        """The folder of the pictures."""
        return self.directory / "plots"

    def fold(self, number: int) -> "Run":
        """Return the run of a fold's network, from 1."""
        return Run(self.directory / "folds" / str(number))

    def config(self) -> Config:
        """Read the configuration that the run was started with."""
        return load_config(self.config_file)

    def write_dataset(self, record: dict[str, Any]) -> None:
        """Write dataset.json."""
        write_atomically(self.dataset_file, json.dumps(record, indent=1).encode())

    def dataset_record(self) -> dict[str, Any]:
        """Read dataset.json.

        Raises:
            RunError: it is missing or damaged.
        """
        record = self._read_json(self.dataset_file)
        if "left_out" in record:  # as bearcnn 0.1 called it
            record["skipped"] = record.pop("left_out")
        return record

    def metrics(self) -> dict[str, Any]:
        """Read metrics.json.

        Raises:
            RunError: the run isn't finished.
        """
        if not self.metrics_file.is_file():
            raise RunError(
                f"{self.directory} is not finished; continue it with: bearcnn train --resume {self.directory}"
            )
        return self._read_json(self.metrics_file)

    def _read_json(self, file: Path) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"can't read {file}: {error.strerror or error}; is {self.directory} a whole run?") from None
        except ValueError:
            raise RunError(f"{file} is damaged; train again") from None
        return content

    def history(self) -> list[EpochRecord]:
        """Read the finished epochs."""
        if not self.history_file.is_file():
            return []
        lines = self.history_file.read_text(encoding="utf-8").splitlines()
        return [EpochRecord(**json.loads(line)) for line in lines]

    def write_history(self, records: list[EpochRecord]) -> None:
        """Write all epochs so far into history.jsonl."""
        lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
        write_atomically(self.history_file, lines.encode(), overwrite=True)


def choose_directory(config: Config, now: datetime, purpose: str = "", out: Path | None = None) -> Path:
    """Choose the folder of a new run: `out`, or runs/<time>-<name>; nothing is made yet.

    Raises:
        RunError: `out` exists and is not an empty folder.
    """
    if out is None:
        name = f"{now:%Y%m%d-%H%M%S}-{config.train.name}" + (f"-{purpose}" if purpose else "")
        return free_name(RUNS / name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is not empty; nothing is ever overwritten: choose another folder")
    return out


def create_run(directory: Path, config: Config) -> Run:
    """Make a new run folder with its configuration.

    Raises:
        RunError: the folder can't be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"can't make the run folder {directory}: {error.strerror}; choose another folder") from None
    run = Run(directory)
    write_atomically(run.config_file, dump_config(config, explained=True).encode())
    return run


def open_run(directory: Path | str | None = None) -> Run:
    """Open the run in a folder, or the newest finished run for None.

    Raises:
        RunError: there is no run.
    """
    directory = latest_directory() if directory is None else Path(directory)
    run = Run(directory)
    if not run.config_file.is_file():
        what = (
            "is not a run folder (it has no config.toml)"
            if directory.is_dir()
            else "is a file; name the run folder"
            if directory.is_file()
            else "does not exist"
        )
        raise RunError(f"{directory} {what}; `bearcnn train` makes a run, and prints its folder")
    return run


def free_name(directory: Path) -> Path:
    """Find a folder name that isn't taken: this one, or with -2, -3, ... after it."""
    taken, number = directory, 1
    while taken.exists():
        number += 1
        taken = directory.with_name(f"{directory.name}-{number}")
    return taken
