"""Settings that torch and fastai need before they are imported.

Threads that wait for each other should sleep, not spin: on two cores with one other busy program, spinning made a
training step 9 times slower (88 images/s against 795). A setting of the user's stays.

fastai must be importable beside a CPU-only torch. PyPI's torchvision is compiled for CUDA; beside a CPU-only torch its
operators don't load, and since version 0.17 it then fails on import ("operator torchvision::nms does not exist"),
because it describes two detection operators that were never registered. Declaring these two lets it import. bearcnn
uses no detection operator; with a torch and torchvision that match, nothing changes.
"""

import importlib.util
import os
from pathlib import Path

if "OMP_WAIT_POLICY" not in os.environ:
    # GNU's OpenMP, which torch brings, reads this once, when torch is loaded. A short spin still pays.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch

_UNLOADED_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _torchvision_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # fastai's own import error names what is missing
    folder = Path(spec.submodule_search_locations[0])
    libraries = [library for library in folder.glob("_C*") if library.suffix in {".so", ".pyd", ".dylib"}]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


if not _torchvision_operators_load():
    # At module level: the declarations last as long as this object.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _UNLOADED_OPERATORS:
        operators.define(operator + _SIGNATURE)
