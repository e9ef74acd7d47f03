"""runs/latest: the newest finished run. Predicting needs this and the model file's name, and nothing else of a run."""

import os
import time
from contextlib import suppress
from pathlib import Path

from bearcnn.errors import RunError

RUNS = Path("runs")
LATEST = RUNS / "latest"
MODEL_FILE = "model.onnx"
"""The model that ships, in a run folder."""

_LEFTOVER_SECONDS = 60
"""A link that is so old, and still has its temporary name, was left by a killed process."""


def latest_directory() -> Path:
    """Read the folder of the newest finished run from runs/latest.

    That is a link, or a file with the path where links can't be made.

    Raises:
        RunError: no run is finished here yet.
    """
    if LATEST.is_file():
        return Path(LATEST.read_text(encoding="utf-8", errors="surrogateescape").strip())
    if not LATEST.is_dir():
        raise RunError(f"no finished run here ({LATEST} is missing); train one with `bearcnn train`, or name a run")
    return RUNS / LATEST.readlink() if LATEST.is_symlink() else LATEST


def link_latest(directory: Path) -> None:
    """Point runs/latest at this run folder.

    Raises:
        RunError: a folder stands in the place of the link, or it can't be written.
    """
    temporary = LATEST.with_name(f".latest-{os.urandom(8).hex()}.tmp")
    try:
        RUNS.mkdir(exist_ok=True)
        if LATEST.is_dir() and not LATEST.is_symlink():
            raise RunError(f"{LATEST} is a folder, not a link to the newest run; move it away")
        try:
            temporary.symlink_to(os.path.relpath(directory, RUNS), target_is_directory=True)
        except (OSError, ValueError):  # a file system without links; another drive
            temporary.write_text(str(directory), encoding="utf-8")
        temporary.replace(LATEST)
    except OSError as error:
        raise RunError(f"{LATEST} can't be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    _remove_leftovers()


def _remove_leftovers() -> None:
    """Remove what killed processes have left beside the link."""
    for path in RUNS.glob(".latest-*"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _LEFTOVER_SECONDS:
                path.unlink()
