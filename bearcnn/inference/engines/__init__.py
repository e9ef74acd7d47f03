"""Engines, which compute a model file's answers: one module each, and their registry.

To add one, write a module with an engine like the ones here and add a row to `ENGINES`: the choices of `--engine` and
the error for an unknown name follow. A package is imported when its engine is used.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bearcnn.errors import MissingPackageError, ModelFileError
from bearcnn.registry import Registry, load, one_of

if TYPE_CHECKING:  # the help of the command line needs the names alone
    from bearcnn.inference.engines.base import Engine
    from bearcnn.manifest import Manifest

# OpenCV reads this when it is loaded. Its errors come as exceptions.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

AUTO = "auto"
"""The choice of the first engine whose package can be loaded."""


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One way to compute."""

    name: str
    title: str
    """The name that its makers give it."""
    package: str
    """The package that is imported."""
    requirement: str
    """The name of that package for pip."""
    opener: "str | Callable[[Path, Manifest, int], Engine]"
    """Opens a model file, or the name of such a function as "package.module:name"; it raises ModelFileError."""
    crashes_on: tuple[str, ...] = ()
    """The beginnings of the names of processors on which importing the package has been seen to kill the process."""


ENGINES: Registry[EngineRow] = Registry(
    "engine",
    [
        EngineRow(
            "onnxruntime",
            "ONNX Runtime",
            "onnxruntime",
            "onnxruntime",
            "bearcnn.inference.engines.onnxruntime:OnnxRuntimeEngine",
            crashes_on=("arm", "aarch"),
        ),
        EngineRow("opencv", "OpenCV", "cv2", "opencv-python-headless", "bearcnn.inference.engines.opencv:OpenCvEngine"),
    ],
)
"""In the order in which AUTO tries them."""


class Choice(NamedTuple):
    """An engine that can be used here."""

    row: EngineRow
    passed_over: str
    """For AUTO, the engines before it and the reason against each; empty if it is the first."""

    def open(self, file: Path, manifest: "Manifest", threads: int) -> "Engine":
        """Open a model file with this engine, to compute each batch with so many threads.

        Raises:
            ModelFileError: the engine can't compute this file, or the file is damaged.
        """
        opener: Callable[[Path, Manifest, int], Engine] = load(self.row.opener)
        try:
            return opener(file, manifest, threads)
        except ModelFileError as error:
            if not self.passed_over:
                raise
            raise ModelFileError(f"{error} ({self.passed_over})") from None


def choose_engine(name: str = AUTO) -> Choice:
    """Choose an engine by its name, or for AUTO the first that works on this computer.

    Raises:
        BearcnnError: there is no engine of this name.
        MissingPackageError: its package, or for AUTO every package, can't be loaded.
    """
    rows = list(ENGINES) if name == AUTO else [ENGINES[name]]
    against: list[str] = []
    for row in rows:
        # Who names an engine gets it: a wrong suspicion of a crash must not be final.
        reason = (name == AUTO and _find_crash(row)) or _find_failure(row)
        if not reason:
            return Choice(row, "; ".join(against))
        against.append(f"{row.title} can't be loaded here ({reason})")
    wanted = one_of(row.requirement for row in rows)
    raise MissingPackageError(f"{'; '.join(against)}: predictions need it; install with pip: {wanted}")


def _find_crash(row: EngineRow) -> str:
    """Say that importing the package would kill this process, or return ""."""
    if sys.platform != "linux" or not os.uname().machine.startswith(row.crashes_on):
        return ""
    find_crash: Callable[[str], str] = load("bearcnn.inference.engines.probe:find_crash")
    return find_crash(row.package)


def _find_failure(row: EngineRow) -> str:
    """Import the package; return why that fails, or ""."""
    try:
        import_module(row.package)
    except Exception as error:  # native packages fail in many ways, and each of them means the same
        return next(iter(str(error).splitlines()), type(error).__name__)
    return ""
