"""The photos and the model that a user's arguments mean."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from bearcnn.data.photos import find_photos
from bearcnn.errors import DataError, RunError
from bearcnn.inference.folders import common_folder
from bearcnn.latest import MODEL_FILE, latest_directory


def expand_paths(arguments: Iterable[str], stdin: BinaryIO) -> Iterator[Path]:
    """Yield the photos of a user's arguments, in the order of the arguments.

    An argument is a photo, a folder (with all below it), a pattern with `*`, `?`, `[...]` or `**` if no file has that
    name, or `-` for such arguments on `stdin`. Those are one per line, or separated by zero bytes as `find -print0`
    writes them. A pattern's photos are sorted, as a folder's are. An argument that matches nothing, and a folder that
    can't be listed, are yielded as they are: reading them gives the reason.

    Raises:
        DataError: an argument is empty, or a pattern leads too deep.
    """
    for argument in arguments:
        if argument == "-":
            for line in _read_lines(stdin):
                yield from _expand(line)
        elif argument:
            yield from _expand(argument)
        else:
            raise DataError("an empty argument is no photo; the current folder is .")


def argument_folder(arguments: Iterable[str]) -> Path | None:
    """Return the deepest folder that all photos of a user's arguments lie in, absolute; None if that isn't known."""
    folders = []
    for argument in arguments:
        if argument == "-":
            return None
        path = Path(argument)
        if _is_pattern(argument) and not _exists(path):
            path = Path(*takewhile(lambda part: not _is_pattern(part), path.parts))
        elif not _is_folder(path):
            path = path.parent
        folders.append(path)
    return common_folder(folders)


def find_model(model: Path | None) -> Path:
    """Find a model file: a file itself, a run folder's, or for None the newest finished run's.

    Raises:
        RunError: there is no finished run, or the run has no model yet.
    """
    place = latest_directory() if model is None else model
    if not _is_folder(place):
        return place
    file = place / MODEL_FILE
    if not file.is_file():
        raise RunError(f"{place} has no {file.name}; finish the run with: bearcnn train --resume {place}")
    return file


def model_fingerprint(model: Path) -> str:
    """Return the start of a model file's SHA-256, by which its answers are told from those of others."""
    return hashlib.sha256(model.read_bytes()).hexdigest()[:16]


def _expand(argument: str) -> Iterator[Path]:
    path = Path(argument)
    nothing = True
    for photo in _match(path) if _is_pattern(argument) and not _exists(path) else _open(path):
        yield photo
        nothing = False
    if nothing:
        yield path


def _match(pattern: Path) -> Iterator[Path]:
    """Yield the photos of a pattern, each once: `**/*` matches both a folder and its photos."""
    given: set[str] = set()  # the photos of folders, which are sorted before their photos
    matches = _glob(pattern)
    matches.reverse()
    while matches:  # what was taken is no longer in memory
        place = matches.pop()
        is_folder = _is_folder(place)
        for photo in find_photos(place) if is_folder else (place,):
            if str(photo) not in given:
                if is_folder:
                    given.add(str(photo))
                yield photo


def _glob(pattern: Path) -> list[Path]:
    """Return the sorted matches; hidden ones only if the pattern names them.

    pathlib's `**` stays out of linked folders; `glob.iglob` follows them, even in circles.
    """
    parts = pattern.parts
    if parts[-1] == "**":  # the folder before it, with all below
        return _glob(Path(*parts[:-1])) if _is_pattern(str(Path(*parts[:-1]))) else [Path(*parts[:-1])]
    named = [part for part in parts if part.startswith(".")]
    try:
        return sorted(
            match
            for match in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
            if all(any(fnmatch(part, name) for name in named) for part in match.parts if part.startswith("."))
        )
    except RecursionError:
        raise DataError(f"{pattern} leads too deep; name the folder instead of a pattern") from None
    except (OSError, ValueError):  # a folder without permission, or no pattern to pathlib
        return []


def _open(path: Path) -> Iterator[Path]:
    return find_photos(path) if _is_folder(path) else iter((path,))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):  # a long name, no permission, a zero byte: reading gives the reason
        return False
    return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _read_lines(stdin: BinaryIO) -> Iterator[str]:
    """Yield the arguments on stdin that aren't empty, each as soon as it arrives, in the encoding of file names."""
    # The raw stream: a reading thread would hold the lock of a buffered one, and then Python can't exit.
    source: Any = getattr(stdin, "raw", stdin)
    separator, rest = b"\n", b""
    while chunk := source.read(1 << 16):
        if b"\0" in chunk:
            separator = b"\0"
        *lines, rest = (rest + chunk).split(separator)
        yield from _decode(lines, separator)
    yield from _decode([rest], separator)


def _decode(lines: list[bytes], separator: bytes) -> Iterator[str]:
    for line in lines:
        if separator == b"\n":
            line = line.rstrip(b"\r") if line.strip() else b""
        if line:
            yield os.fsdecode(line)
