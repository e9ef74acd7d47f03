"""The log of the finished trials: one JSON line per trial, on the disk before the trial is reported.

A kill at any moment leaves whole lines and at most a part of one more, which is dropped.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bearcnn.errors import BearcnnError, SweepError
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


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of one trial, as an executor returns it."""

    record: Record
    history: str  # the lines of history.jsonl
    predictions: dict[str, NDArray[np.float32]]  # split -> probability of each of its photos, of the last epoch
    error: str = ""  # the traceback, if it failed


def failed_result(trial: Trial, fingerprint: str, reason: str) -> TrialResult:
    """Make the result of a trial that could not run, or whose process ended."""
    record = Record(
        id=trial.id, settings=trial.settings, seed=trial.seed, status="failed", reason=reason,
        config=digest_config(trial.config), data=fingerprint, seconds=0.0, epochs=0, best_epoch=0, scores={},
        threads=0, host="", finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    return TrialResult(record, "", {}, reason + "\n")


@contextmanager
def lock_sweep(directory: Path) -> Iterator[None]:
    """Lock a sweep's folder for this process; the system releases the lock however the process ends.

    Raises:
        SweepError: another process holds it, or the folder can't be written to.
    """
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SweepError(f"another process is running a sweep in {directory}; wait for it or stop it first") from None
    except OSError as error:
        raise SweepError(f"{directory} can't be written to: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


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
            record = Record(**json.loads(line))
        except (ValueError, TypeError):
            raise SweepError(
                f"line {number} of {file} is damaged; delete that line, and its trial runs again"
            ) from None
        records[record.id] = record
    return records


def append_record(file: Path, record: Record) -> None:
    """Append one line and return when it is on the disk. The caller holds the sweep's lock.

    Raises:
        BearcnnError: it can't be written.
    """
    line = json.dumps(asdict(record)).encode() + b"\n"
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
