"""The files of a run folder, and how they are read and written."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from bearcnn.config import Config, load_config
from bearcnn.errors import ResumeError, RunError
from bearcnn.files import write_atomically
from bearcnn.latest import MODEL_FILE
from bearcnn.runs.contents import DatasetContent, MetricsContent, PredictionContent, as_dict
from bearcnn.runs.reading import CHECKSUM, check, hash_bytes, parse_json, read_object, with_checksum
from bearcnn.runs.records import EpochRecord

_MOVABLE = ("root",)
"""Keys of dataset.json that may be edited, where the photos have moved."""

_CHECKSUMS = "checksums"

Row = TypeVar("Row")

_parse_epoch = TypeAdapter(EpochRecord).validate_python


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

    def write_dataset(self, record: Mapping[str, Any]) -> None:
        """Write dataset.json."""
        write_atomically(self.dataset_file, json.dumps(with_checksum(record, _MOVABLE), indent=1).encode())

    def dataset_record(self) -> dict[str, Any]:
        """Read dataset.json, also of earlier versions.

        Raises:
            RunError: it is missing or damaged.
        """
        file = self.dataset_file
        try:
            return as_dict(read_object(self._read(file), DatasetContent, unchecked=_MOVABLE))
        except ValueError as error:
            raise RunError(f"{file} is damaged ({error}); copy it from a backup, or train again") from None

    def metrics(self) -> dict[str, Any]:
        """Read metrics.json, but for its checksums.

        Raises:
            RunError: the run isn't finished, or the file is damaged.
        """
        return {key: value for key, value in self._metrics().items() if key not in (CHECKSUM, _CHECKSUMS)}

    def check_unfinished(self) -> None:
        """Check that the training run hasn't reached its end; without a metrics.json that tells, it can be resumed.

        Raises:
            ResumeError: it has.
        """
        try:
            complete = self._metrics()["complete"]
        except RunError:
            return
        if complete:
            raise ResumeError(
                f"{self.directory} is finished; for more epochs start a new run with a larger train.epochs (a page "
                f"that is missing is written with: bearcnn report {self.directory})"
            )

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json, with the checksums of the other files that the run ends with."""
        files = [self.predictions_file, *([self.history_file] if metrics["complete"] else [])]
        checksums = {file.name: hash_bytes(file.read_bytes()) for file in files if file.is_file()}
        self._write_metrics({**metrics, _CHECKSUMS: checksums})

    def update_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json anew; the checksums of the other files stay as they are."""
        self._write_metrics({**metrics, _CHECKSUMS: self._metrics().get(_CHECKSUMS, {})})

    def write_predictions(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write predictions.jsonl in place of any older one."""
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        write_atomically(self.predictions_file, content, overwrite=True)
        with suppress(RunError):  # there are no metrics yet, or none that can be read
            metrics = self._metrics()
            metrics[_CHECKSUMS] = {**metrics.get(_CHECKSUMS, {}), self.predictions_file.name: hash_bytes(content)}
            self._write_metrics(metrics)

    def prediction_rows(self) -> list[dict[str, Any]]:
        """Read predictions.jsonl.

        Raises:
            RunError: the file is missing or damaged.
        """
        file = self.predictions_file
        again = f"write it with: bearcnn evaluate {self.directory}"
        if not file.is_file():
            raise RunError(f"{self.directory} has no {file.name}; {again}")
        try:
            return [as_dict(row) for row in self._read_rows(file, PredictionContent.model_validate)]
        except ValueError as error:
            raise RunError(f"{file} is damaged ({error}); delete it and {again}") from None

    def history(self) -> list[EpochRecord]:
        """Read the finished epochs; none where there is no history.

        Raises:
            RunError: the file is damaged.
        """
        if not self.history_file.is_file():
            return []
        try:
            records = self._read_rows(self.history_file, _parse_epoch)
            if [record.epoch for record in records] != list(range(1, len(records) + 1)):
                raise ValueError("its epochs don't follow each other")
            return records
        except ValueError as error:
            raise RunError(
                f"{self.history_file} is damaged ({error}); delete it: a finished run has its scores without it, and "
                "`bearcnn train --resume` writes that of an unfinished one again"
            ) from None

    def write_history(self, records: list[EpochRecord]) -> None:
        """Write all epochs so far into history.jsonl."""
        lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
        write_atomically(self.history_file, lines.encode(), overwrite=True)

    def _metrics(self) -> dict[str, Any]:
        file = self.metrics_file
        if not file.is_file():
            raise RunError(
                f"{self.directory} is not finished; continue it with: bearcnn train --resume {self.directory}"
            )
        try:
            return as_dict(read_object(self._read(file), MetricsContent))
        except ValueError as error:
            raise RunError(
                f"{file} is damaged ({error}); write it again, from the checkpoint, with: bearcnn train --resume "
                f"{self.directory}"
            ) from None

    def _write_metrics(self, metrics: Mapping[str, Any]) -> None:
        write_atomically(self.metrics_file, json.dumps(with_checksum(metrics), indent=1).encode(), overwrite=True)

    def _read_rows(self, file: Path, validate: Callable[[Any], Row]) -> list[Row]:
        """Read a file of one JSON object in a line; raises ValueError with a reason."""
        content = self._read(file)
        with suppress(RunError):  # not finished, or not to be read: the rows are checked all the same
            wanted = self._metrics().get(_CHECKSUMS, {}).get(file.name)
            if wanted is not None and wanted != hash_bytes(content):
                raise ValueError("it has changed since it was written: its checksum is another")
        rows = []
        for number, line in enumerate(content.splitlines(), 1):
            try:
                rows.append(check(validate, parse_json(line)))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
        return rows

    def _read(self, file: Path) -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise RunError(f"can't read {file}: {error.strerror or error}; is {self.directory} a whole run?") from None
