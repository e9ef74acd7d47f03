"""The log of the finished trials: one JSON line per trial, on the disk before the trial is reported.

A kill at any moment leaves whole lines and at most a part of one more, which is dropped.
"""

import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from bearcnn.errors import BearcnnError, SweepError
from bearcnn.runs.lock import lock_folder
from bearcnn.runs.reading import Content, Count, Name, Number, Text, read_object, with_checksum
from bearcnn.sweep.plan import Trial, digest_config

Scores = dict[str, float]  # metric -> value; a loss is better when lower


@dataclass(frozen=True, slots=True)
class Record:
    """One finished trial: a line of trial_log.jsonl."""

    id: str
    settings: dict[str, Any]  # dotted key -> value
    seed: int
    status: Literal["done", "failed"]
    reason: str  # why it failed, in one line
    config: str  # digest of the trial's whole configuration
    data: str  # fingerprint of the photos
    seconds: float
    epochs: int
    best_epoch: int  # the one that `bearcnn train` would have kept; 0 for none
    scores: dict[str, Scores]  # train and valid: of the last epoch; best: valid in the best epoch
    threads: int
    host: str
    finished: str  # ISO time, UTC


class RecordContent(Content):
    """A line of trial_log.jsonl."""

    id: Name
    settings: dict[Text, Any]
    seed: int
    status: Literal["done", "failed"]
    reason: Text
    config: Text
    data: Text
    seconds: Number
    epochs: Count
    best_epoch: Count
    scores: dict[Text, dict[Text, Number]]
    threads: Count
    host: Text
    finished: Text

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        train, valid = (self.scores.get(split, {}).keys() for split in ("train", "valid"))
        if self.status == "done" and not {"roc_auc", "accuracy", "log_loss"} <= train <= valid:
            raise ValueError("a finished trial has scores of train and valid")
        return self


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of one trial, as an executor returns it."""

    record: Record
    history: str  # the lines of history.jsonl
    predictions: dict[str, NDArray[np.float32]]  # split -> probability of each photo; of the last epoch, and see BEST
    error: str = ""  # the traceback, if it failed


def failed_result(trial: Trial, fingerprint: str, reason: str) -> TrialResult:
    """Make the result of a trial that could not run, or whose process ended."""
    record = Record(
        id=trial.id,
        settings=trial.settings,
        seed=trial.seed,
        status="failed",
        reason=reason,
        config=digest_config(trial.config),
        data=fingerprint,
        seconds=0.0,
        epochs=0,
        best_epoch=0,
        scores={},
        threads=0,
        host="",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return TrialResult(record, "", {}, reason + "\n")


def lock_sweep(directory: Path) -> AbstractContextManager[None]:
    """Lock a sweep's folder for this process, as `lock_folder` does, with SweepErrors."""
    held = f"another process is running a sweep in {directory}; wait for it or stop it first"
    return lock_folder(directory, held, SweepError)


def read_trial_log(file: Path) -> dict[str, Record]:
    """Read the latest record of each trial, by trial id; an incomplete last line doesn't count.

    Raises:
        SweepError: a whole line is damaged.
    """
    records: dict[str, Record] = {}
    if not file.is_file():
        return records
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # after the last line break comes nothing, or part of a line
        try:
            record = Record(**dict(read_object(line, RecordContent)))
        except ValueError as error:
            raise SweepError(
                f"line {number} of {file} is damaged ({error}); delete that line, and its trial runs again"
            ) from None
        records[record.id] = record
    return records


def append_record(file: Path, record: Record) -> None:
    """Append one line and return when it is on the disk. The caller holds the sweep's lock.

    Raises:
        BearcnnError: it can't be written.
    """
    line = json.dumps(with_checksum(asdict(record))).encode() + b"\n"
    try:
        with file.open("ab") as stream:
            stream.truncate(_whole_length(file))
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise BearcnnError(
            f"{file} can't be written: {error.strerror or error}; fix it, then continue with: "
            f"bearcnn sweep --resume {file.parent}"
        ) from None


def _whole_length(file: Path) -> int:
    """Count the bytes up to the end of the last whole line."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        end = size
        while end:
            start = max(0, end - 65_536)
            stream.seek(start)
            found = stream.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
