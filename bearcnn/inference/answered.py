"""Photos that an earlier result answers already, so that a growing folder is predicted photo by photo."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bearcnn.errors import BearcnnError
from bearcnn.files import write_atomically


@dataclass(slots=True)
class Answered:
    """The photos of an earlier result, and the time at which that was written."""

    file: Path
    content: bytes
    places: frozenset[str]
    written: int  # in nanoseconds
    skipped: int = 0
    """The number of photos left out so far."""
    changed: int = 0
    """The number of answered photos that have changed since."""
    bursts: int = 0
    """The highest number of a burst in it."""

    def leave_out(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield the photos that are new, and those that were changed after the result was written."""
        for path in paths:
            if _place(path) not in self.places:
                yield path
            elif _changed_after(path, self.written):
                self.changed += 1
                yield path
            else:
                self.skipped += 1

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check that rows with these columns can be added to the result, csv or jsonl.

        Raises:
            BearcnnError: it has other columns.
        """
        first = self.content.partition(b"\n")[0].decode("utf-8", "replace").strip()
        if not first:
            return
        there = list(json.loads(first)) if first.startswith("{") else next(csv.reader([first]))
        if there != list(columns):
            raise BearcnnError(
                f"{self.file} has the columns {', '.join(there)}, not {', '.join(columns)}: "
                "give the options that it was made with, or another --out"
            )

    def extend(self, added: bytes) -> None:
        """Write the result anew with further rows behind its own, whole or not at all.

        Raises:
            BearcnnError: it was changed in the meantime, or can't be written.
        """
        if _read(self.file) != self.content:
            raise BearcnnError(f"{self.file} was changed in the meantime: run the same command again with `resume`")
        before = self.content if self.content.endswith(b"\n") or not self.content else self.content + b"\n"
        write_atomically(self.file, before + added, overwrite=True)


def read_answered(file: Path, folder: Path | None = None) -> Answered:
    """Read which photos an earlier result answers: a csv, json, jsonl or MegaDetector file.

    Args:
        file: the result.
        folder: where the photos are. A MegaDetector file's paths begin in its own folder, in this one or above it,
            wherever one of the first of them exists.

    Raises:
        BearcnnError: it can't be read, or is no such file.
    """
    content = _read(file)
    folders = [file.parent, *((folder, *folder.parents) if folder else ())]
    try:
        rows = list(_read_rows(content.decode("utf-8", "surrogateescape"), folders))
        places = frozenset(_place(Path(row["path"])) for row in rows)
        bursts = max((int(row.get("burst") or 0) for row in rows), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, OverflowError, RecursionError, csv.Error):
        raise BearcnnError(
            f"{file} is no result of bearcnn predict: expected csv, json or jsonl with a path in each row, "
            "or a MegaDetector file"
        ) from None
    return Answered(file, content, places, file.stat().st_mtime_ns, bursts=bursts)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BearcnnError(f"{file} can't be read: {error.strerror or error}") from None


def _read_rows(content: str, folders: list[Path]) -> Iterable[Mapping[str, Any]]:
    """Return the rows of a result in any format; those of a MegaDetector file have a path alone."""
    start = content.lstrip()[:1]
    if start == "[":
        rows: list[dict[str, Any]] = json.loads(content)
        return rows
    if start != "{":
        return csv.DictReader(io.StringIO(content, newline=""), strict=True)
    document = _whole_json(content)
    if document is None or "images" not in document:
        lines = (json.loads(line) for line in content.splitlines() if line.strip())
        return (row for row in lines if "bearcnn_journal" not in row)
    files = [image["file"] for image in document["images"]]
    begin = next((each for each in folders if any((each / name).exists() for name in files[:20])), folders[0])
    return ({"path": begin / name} for name in files)


def _whole_json(content: str) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except ValueError:  # more than one line: jsonl
        return None
    return document if isinstance(document, dict) else None


def _place(path: Path) -> str:
    r"""Return where a photo lies, in the spelling that results have: bytes that are no text as `\udcf6`."""
    return os.path.abspath(path).encode("utf-8", "backslashreplace").decode()  # noqa: PTH100 - links stay


def _changed_after(path: Path, written: int) -> bool:
    try:
        return path.stat().st_mtime_ns > written
    except (OSError, ValueError):
        return False
