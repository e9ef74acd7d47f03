"""The computer that bearcnn runs on."""

import os


def usable_cpus() -> int:
    """Return the number of processor cores that this process may use, which may be fewer than the computer has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
