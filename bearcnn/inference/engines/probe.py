"""Whether importing a package kills the process, found out in a process of its own and remembered.

onnxruntime 1.21 dies on a Raspberry Pi 4 with "Illegal instruction", which no program can catch.
"""

import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from bearcnn.data.cache_folder import cache_root
from bearcnn.errors import BearcnnError
from bearcnn.files import write_atomically

_BOARD = Path("/proc/device-tree/model")  # a memory card may move to another one


def find_crash(package: str) -> str:
    """Say that importing a package crashes on this computer, or return "".

    The result is kept in the cache folder until the package or the board changes.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    installed = f"{spec.origin} {Path(spec.origin).stat().st_mtime_ns} {_read(_BOARD)}"
    memory = cache_root() / "engines" / f"{package}-{hashlib.sha256(installed.encode()).hexdigest()[:16]}"
    found = _read(memory)
    if not found:
        found = "works" if _survives(package) else "crashes"
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(memory, found.encode(), overwrite=True)
        except (OSError, BearcnnError):  # it is asked again next time
            pass
    return "importing it crashes" if found == "crashes" else ""


def _survives(package: str) -> bool:
    """Import a package in another process; an exception is no crash."""
    command = [sys.executable, "-P", "-c", f"import {package}"]  # nothing from the current folder
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - our own
    return result.returncode >= 0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
