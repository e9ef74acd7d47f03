"""Commands on bad machines: full disks, few files, little memory, no home."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

LINE = "error: "


def run_limited(
    *arguments: object,
    cwd: Path,
    limits: dict[int, int] | None = None,
    stdout: Path | None = None,
    without: tuple[str, ...] = (),
    **environment: str,
) -> "subprocess.CompletedProcess[str]":
    """Run a command under limits, in an environment without some variables."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environment}

    def limit() -> None:
        for kind, value in (limits or {}).items():
            resource.setrlimit(kind, (value, value))

    target = stdout.open("w") if stdout else subprocess.PIPE
    try:
        return subprocess.run(
            [sys.executable, "-m", "bearcnn", *map(str, arguments)],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
            preexec_fn=limit,
            env={name: value for name, value in variables.items() if name not in without},
        )
    finally:
        if stdout:
            target.close()


def assert_one_line(process: "subprocess.CompletedProcess[str]", *words: str) -> str:
    """The command failed with one line for people, which has these words in it."""
    assert process.returncode == 1, f"{process.returncode}\n{process.stderr}"
    assert "Traceback" not in process.stderr, process.stderr
    said = process.stderr.rpartition(LINE)
    assert said[1], process.stderr
    line = " ".join(said[2].split())
    for word in words:
        assert word in line, line
    return line


@contextmanager
def small_disk(place: Path, size: str, options: str = "") -> Iterator[Path]:
    """A file system in memory of this size; skipped where nothing may be mounted."""
    place.mkdir()
    more = f",{options}" if options else ""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}{more}", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)
