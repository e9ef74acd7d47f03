"""Folders for what is half-written; what a killed process leaves, the next one removes."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".lock"


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Give a new folder `.<name>-<random>` in `parent`, deleted at the end; abandoned ones are deleted first.

    Raises:
        OSError: it can't be made.
    """
    remove_abandoned(parent, name)
    folder = parent / f".{name}-{secrets.token_hex(8)}"
    folder.mkdir(0o700)
    try:
        with FileLock(folder / _LOCK):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path, name: str) -> None:
    """Delete the scratch folders of killed processes; a living one holds the lock in its own."""
    ours = re.compile(re.escape(f".{name}-") + "[0-9a-f]{16}")
    with contextlib.suppress(OSError):
        for folder in [entry for entry in parent.iterdir() if ours.fullmatch(entry.name)]:
            if (folder / _LOCK).is_file() and not folder.is_symlink() and _is_own(folder):
                with contextlib.suppress(Timeout, OSError), FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    """Check that this user made the folder; in the system's temporary folder it may be anybody's."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
