"""Makes fastai importable beside a CPU-only torch; every module that needs fastai imports this one first.

PyPI's torchvision is compiled for CUDA. Beside a CPU-only torch its operators don't load, and since version 0.17
torchvision then fails on import ("operator torchvision::nms does not exist"), because it describes two detection
operators that were never registered. Declaring these two lets it import. bearcnn uses no detection operator; with a
torch and torchvision that match, nothing changes.
"""

import importlib.util
from pathlib import Path

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
    # Kept at module level: the declarations end with the object.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _UNLOADED_OPERATORS:
        operators.define(operator + _SIGNATURE)
