"""Executors, which run the trials of a sweep: one module each, and their registry.

To add one, write a module with a context manager like the ones here and add a row to `EXECUTORS`: the choices of
`--engine`, their help and the error for an unknown name follow. A module is imported when its executor is used.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bearcnn.errors import SweepError
from bearcnn.registry import Registry, load


@dataclass(frozen=True, slots=True)
class ExecutorRow:
    """One way to run trials.

    A path names a context manager that takes a `base.Job` and gives a `base.Executor`.
    """

    name: str
    help: str
    path: str
    path_for_workers: str = ""  # for several workers, if that is another module


EXECUTORS: Registry[ExecutorRow] = Registry(
    "executor",
    [
        ExecutorRow(
            "local",
            "this computer",
            "bearcnn.sweep.executors.serial:run_serially",
            "bearcnn.sweep.executors.processes:run_in_processes",
        ),
        ExecutorRow("ray", "a Ray cluster", "bearcnn.sweep.executors.ray:run_on_ray"),
    ],
)


def find_executor(name: str, workers: int = 1) -> Callable[..., AbstractContextManager[Any]]:
    """Import an executor's context manager.

    Raises:
        SweepError: there is no executor of this name.
    """
    if name not in EXECUTORS:
        raise SweepError(EXECUTORS.explain(name))
    row = EXECUTORS[name]
    path = row.path_for_workers if workers > 1 and row.path_for_workers else row.path
    found: Callable[..., AbstractContextManager[Any]] = load(path)
    return found
