"""What a sweep has finished: one JSON line a trial, on the disk before anything is said about it.

A kill at any moment leaves whole lines and at most the beginning of one more, which is dropped. This module must not
load torch, fastai, matplotlib or pandas.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from bearcnn.errors import BearcnnError, SweepError

Scores = dict[str, float]  # metric -> value; a loss is better when lower


@dataclass(frozen=True, slots=True)
class Record:
    """One finished trial, as its line in ledger.jsonl has it."""

    id: str
    settings: dict[str, Any]  # dotted key -> value
    seed: int
    status: Literal["done", "failed"]
    reason: str  # why it failed, in one line
    config: str  # digest of the trial's whole configuration
    data: str  # fingerprint of the photos
    seconds: float
    epochs: int
    best_epoch: int  # which one `bearcnn train` would have kept; 0 for none
    scores: dict[str, Scores]  # train and valid, of the last epoch; best: valid in the best epoch
    threads: int
    host: str
    finished: str  # ISO time, UTC


@contextmanager
def lock_sweep(directory: Path) -> Iterator[None]:
    """Hold a sweep's folder for this process alone; the system lets go of it however the process ends.

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


def read_ledger(file: Path) -> dict[str, Record]:
    """The latest record of each trial by its id; a torn last line doesn't count.

    Raises:
        SweepError: a whole line is damaged.
    """
    records: dict[str, Record] = {}
    if not file.is_file():
        return records
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # behind the last line's end there is nothing, or half a line
        try:
            record = Record(**json.loads(line))
        except (ValueError, TypeError):
            raise SweepError(
                f"line {number} of {file} is damaged; delete that line, and its trial runs again"
            ) from None
        records[record.id] = record
    return records


def append_record(file: Path, record: Record) -> None:
    """Add one line, and come back when it is on the disk. Only for whoever holds the sweep's lock.

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
        raise BearcnnError(f"{file} can't be written: {error.strerror or error}; then continue with --resume") from None


def _whole_length(file: Path) -> int:
    """Bytes up to the end of the last whole line."""
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
