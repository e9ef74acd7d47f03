"""runs/latest: the newest finished run. Predicting needs this and the model file's name, and nothing else of a run."""

import os
from pathlib import Path

from bearcnn.errors import RunError

RUNS = Path("runs")
LATEST = RUNS / "latest"
MODEL_FILE = "model.onnx"
"""The model that ships, in a run folder."""


def latest_directory() -> Path:
    """Read the folder of the newest finished run from runs/latest.

    That is a link, or a file with the path where links can't be made.

    Raises:
        RunError: no run is finished here yet.
    """
    if LATEST.is_file():
        return Path(LATEST.read_text(encoding="utf-8").strip())
    if not LATEST.is_dir():
        raise RunError(f"no finished run here ({LATEST} is missing); train one with `bearcnn train`, or name a run")
    return RUNS / LATEST.readlink() if LATEST.is_symlink() else LATEST


def link_latest(directory: Path) -> None:
    """Point runs/latest at this run folder.

    Raises:
        RunError: a folder stands in the place of the link.
    """
    RUNS.mkdir(exist_ok=True)
    if LATEST.is_dir() and not LATEST.is_symlink():
        raise RunError(f"{LATEST} is a folder, not a link to the newest run; move it away")
    target = os.path.relpath(directory, RUNS)
    temporary = LATEST.with_name(f".latest-{os.getpid()}")
    try:
        temporary.symlink_to(target, target_is_directory=True)
    except OSError:  # a file system without links
        temporary.write_text(str(directory), encoding="utf-8")
    temporary.replace(LATEST)
