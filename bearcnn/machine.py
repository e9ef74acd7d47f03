"""The computer that bearcnn runs on."""

import os
from pathlib import Path


def usable_cpus() -> int:
    """Return the number of processor cores that this process may use, which may be fewer than the computer has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads() -> int:
    """Count the cores that this process may use, or return OMP_NUM_THREADS if that is less."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(usable_cpus(), int(wanted)) if wanted.isdigit() and int(wanted) else usable_cpus()


def seconds_without_core() -> float:
    """Return how long this thread has been ready to run while other programs had the processor's cores.

    That is the scheduler's own count (Linux; `/proc/thread-self/schedstat`); elsewhere it is always 0.
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
