"""The command line, as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path


def bearcnn_command(*arguments: object, cwd: Path | None = None, stdin: str = "", code: int = 0, **environment: str):
    """The real command line in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", "bearcnn", *map(str, arguments)],
        cwd=cwd, input=stdin, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )  # fmt: skip
    assert process.returncode == code, f"{process.returncode}\n{process.stdout}\n{process.stderr}"
    return process


def some_photos(photos: Path, count: int = 4) -> list[Path]:
    return sorted((photos / "test").rglob("*.jpg"))[:count]
