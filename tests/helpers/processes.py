"""Processes that a test has started, and those that these have started."""

import os
import time
from pathlib import Path

MARK = "TEST_MARK"
"""The environment variable by which a test finds its processes again, wherever their parents went."""


def find_processes(mark: str) -> list[int]:
    """The processes with this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{MARK}={mark}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # gone, or another user's
            continue
    return found


def wait_until_gone(mark: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while found := find_processes(mark):
        assert time.monotonic() < deadline, f"processes outlive their parent: {found}"
        time.sleep(0.05)


def children(command: str) -> list[int]:
    """The processes of this one whose command line has this text in it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and command in (entry / "cmdline").read_text():
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                found += [int(entry.name)] * (int(parent) == os.getpid())
        except (OSError, UnicodeDecodeError):
            continue
    return found
