"""The lock of a run or sweep folder, and what a killed process leaves in it."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bearcnn.errors import BearcnnError, RunError

LOCK_FILE = ".lock"

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""The names of `files.write_atomically`'s temporary files."""


@contextmanager
def lock_folder(directory: Path, held: str, error: type[BearcnnError] = RunError) -> Iterator[None]:
    """Lock a folder for this process; the system releases the lock however the process ends.

    Files that a killed process was writing are removed: with the lock, nobody is writing them.

    Args:
        directory: the folder, which exists.
        held: what to say if another process holds the lock.
        error: the class of the errors.

    Raises:
        BearcnnError: another process holds it, or the folder can't be written to.
    """
    file = directory / LOCK_FILE
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise error(held) from None
    except OSError as caught:
        raise error(f"{directory} can't be written to: {caught.strerror or caught}") from None
    try:
        for leftover in find_leftovers(directory):
            _remove(leftover)
        yield
    finally:
        with suppress(OSError):
            file.unlink()  # while it is held: who has opened it meanwhile is told that it has lost its name
        lock.release()


def find_leftovers(directory: Path) -> list[Path]:
    """List the files, and folders, below a folder that a killed process has left half-written."""
    return [path for path in directory.rglob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]


def is_empty(directory: Path) -> bool:
    """Check that a folder has nothing in it but what a killed process left half-written, and its lock."""
    return all(path.name == LOCK_FILE or _TEMPORARY.fullmatch(path.name) for path in directory.iterdir())


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
