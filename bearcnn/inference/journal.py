"""The journal of a long prediction: each answer is safe on the disk, and an interrupted prediction goes on from there.

One line of JSON for each photo, after a first one that names the model. The answers are the network's own: thresholds,
bursts and the order are applied to them afterwards, so that the result equals that of an uninterrupted prediction.
"""

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from bearcnn.errors import BearcnnError
from bearcnn.inference.prediction import Prediction

SUFFIX = ".partial.jsonl"
"""The end of a journal's name, after that of the file to be written."""

VERSION = 1
SYNC_EVERY = 16
"""Answers between two waits for the disk: a batch of the network."""

FileState = tuple[int, int] | None
"""Size in bytes and time of the last change in nanoseconds; None for a file that can't be looked at."""

Answer = Callable[[Iterable[Path]], Iterator[Prediction]]
"""Predicts photos in their order, such as `predictor.predict_photos`."""


def journal_of(out: Path) -> Path:
    """Return the journal's place for a result."""
    return out.with_name(out.name + SUFFIX)


def file_state(path: Path) -> FileState:
    """Return a file's size and time, by which a change of it is noticed."""
    try:
        state = path.stat()
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return None
    return state.st_size, state.st_mtime_ns


@dataclass(slots=True)
class Journal:
    """An open journal: the answers that it had, and a file for the further ones."""

    path: Path
    known: dict[str, tuple[FileState, Prediction]]
    _file: BinaryIO
    _unsynced: int = 0
    reused: int = 0
    """The number of photos whose answer was known."""
    written: int = 0
    """The number of answers that were added."""

    def complete(self, paths: Iterable[Path], predict: Answer) -> Iterator[Prediction]:
        """Yield a prediction for each path, in order: the known ones, and new ones that are written down first.

        A photo whose size or time has changed is answered again.
        """
        order: deque[Prediction | FileState] = deque()

        def unknown() -> Iterator[Path]:
            for path in paths:
                # Before it is read: a change from now on shows in the next comparison.
                state = file_state(path)
                before = self.known.get(str(path))
                if before is not None and before[0] == state:
                    order.append(before[1])
                else:
                    order.append(state)
                    yield path

        for prediction in predict(unknown()):
            yield from self._take_known(order)
            state = order.popleft()
            assert not isinstance(state, Prediction)
            self._write(prediction, state)
            yield prediction
        yield from self._take_known(order)

    @property
    def size(self) -> int:
        """The number of answers that are kept."""
        return len(self.known) + self.written

    def _take_known(self, order: deque[Prediction | FileState]) -> Iterator[Prediction]:
        """Take the known predictions at the head of the queue."""
        while order and isinstance(known := order[0], Prediction):
            order.popleft()
            self.reused += 1
            yield known

    def _write(self, prediction: Prediction, state: FileState) -> None:
        self._file.write(_line({**asdict(prediction), "state": state}))
        self._file.flush()
        self.written += 1
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Wait until every answer is on the disk."""
        os.fsync(self._file.fileno())
        self._unsynced = 0

    def remove(self) -> None:
        """Delete the journal: the result is written."""
        self._file.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def open_journal(path: Path, model: str, settings: Mapping[str, Any], *, resume: bool) -> Iterator[Journal]:
    """Open a journal for this process alone.

    Args:
        path: the file.
        model: the fingerprint of the model.
        settings: all else that the network's answers depend on, such as tiles; as JSON.
        resume: go on with the answers in the file; else there must be none. Without a file it begins.

    Raises:
        BearcnnError: there is a journal and `resume` is false; it is another model's, damaged or in use; the folder
            can't be written to.
    """
    head = {"bearcnn_journal": VERSION, "model": model, "settings": dict(settings)}
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise BearcnnError(f"another process is writing {path}; wait for it or stop it first") from None
    except OSError as error:
        raise BearcnnError(f"{path.parent} can't be written to: {error.strerror or error}") from None
    try:
        known, end = _read_journal(path, head, resume)
        with _open_file(path, end) as file:
            if not end:
                file.write(_line(head))
                file.flush()
            journal = Journal(path, known, file)
            try:
                yield journal
            finally:
                if not file.closed:
                    journal.sync()
    finally:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _open_file(path: Path, end: int) -> BinaryIO:
    """Open a journal for writing behind its first `end` bytes; a line that a crash left incomplete is dropped."""
    try:
        file = path.open("r+b" if end else "wb")
    except OSError as error:
        raise BearcnnError(f"{path} can't be written: {error.strerror or error}") from None
    file.truncate(end)
    file.seek(end)
    return file


def _read_journal(
    path: Path, head: dict[str, Any], resume: bool
) -> tuple[dict[str, tuple[FileState, Prediction]], int]:
    """Return the answers of a journal, and the length in bytes of its whole lines; none and 0 without a file."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # after the last line break comes nothing, or part of a line
    except FileNotFoundError:
        return {}, 0
    except OSError as error:
        raise BearcnnError(f"{path} can't be read: {error.strerror or error}") from None
    if len(lines) < 2:  # no answer yet
        return {}, 0
    first = _parse(lines[0]) or {}
    if first.get("bearcnn_journal") != VERSION:
        raise BearcnnError(f"{path} is no journal of this bearcnn; move it away")
    if not resume:
        raise BearcnnError(
            f"{path} has {len(lines) - 1:,} answers of an interrupted prediction: go on with `resume`, or delete it"
        )
    _check_same(path, first, head)
    known: dict[str, tuple[FileState, Prediction]] = {}
    end = len(lines[0]) + 1
    for line in lines[1:]:
        row = _parse(line)
        if row is None:  # a power cut can leave zeros; this photo and the later ones are answered again
            break
        try:
            state, box = row.pop("state"), row.pop("box", None)
            prediction = Prediction(**row, box=None if box is None else tuple(box))
            known[row["path"]] = None if state is None else (state[0], state[1]), _check_types(prediction)
        except (KeyError, TypeError, IndexError):
            raise BearcnnError(f"{path} is damaged, or of another version of bearcnn: move it away") from None
        end += len(line) + 1
    return known, end


def _check_types(prediction: Prediction) -> Prediction:
    """Return a prediction whose fields are of their types and in their range; raises TypeError for another."""
    shares = [
        each
        for each in (prediction.probability, prediction.own_probability, *(prediction.box or ()))
        if each is not None
    ]
    texts = [each for each in (prediction.label, prediction.error) if each is not None]
    if not (
        all(isinstance(each, int | float) and 0 <= each <= 1 for each in shares)
        and all(isinstance(each, str) for each in (prediction.path, *texts))
        and isinstance(prediction.burst, int | None)
        and (prediction.box is None or len(prediction.box) == 4)
        and (prediction.probability is None) == (prediction.label is None)
    ):
        raise TypeError("a field is of another type")
    return prediction


def _check_same(path: Path, first: dict[str, Any], head: dict[str, Any]) -> None:
    if first.get("model") != head["model"]:
        raise BearcnnError(
            f"{path} is of another model file ({first.get('model')}, not {head['model']}): name that model, "
            "or delete the journal to begin again"
        )
    if first.get("settings") != head["settings"]:
        raise BearcnnError(
            f"{path} was begun with other options ({first.get('settings')}, not {head['settings']}): "
            "give the same ones, or delete the journal to begin again"
        )


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
