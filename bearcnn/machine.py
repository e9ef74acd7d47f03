"""The computer that bearcnn runs on."""

import os


def usable_cpus() -> int:
    """Return the number of processor cores that this process may use, which may be fewer than the computer has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads() -> int:
    """Count the cores that this process may use, or return OMP_NUM_THREADS if that is less."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(usable_cpus(), int(wanted)) if wanted.isdigit() and int(wanted) else usable_cpus()
