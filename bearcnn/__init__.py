"""Train a small image classifier you understand, and use it for real: bear, or not a bear?

    config  = bearcnn.load_config("configs/small.toml", ["train.epochs=5"])
    dataset = bearcnn.Dataset.from_folder("photos", image_size=128)  # from_csv, from_coco, from_camtrap_dp
    learn   = bearcnn.build_learner(config, dataset)                 # a fastai Learner
    run     = bearcnn.train(config, dataset, out="runs/x")           # the whole pipeline
    bearcnn.export(run, "int8", "bear.onnx")
    bearcnn.explain(run, "photo.jpg")
    bearcnn.Predictor("bear.onnx").predict(["a.jpg"])
    bearcnn.evaluate(labels, probabilities)
    bearcnn.sweep(config, dataset, {"model.dropout": [0, 0.2, 0.5]}, seeds=5)
    bearcnn.learning_curve(config, dataset, [16, 32, 64, 128], seeds=5)

Each name is loaded when it is first used (PEP 562): importing bearcnn loads nothing heavy. The packages are the steps
of the flow: `data`, `model`, `training`, `export`, `inference`, `evaluation`, `report`, `explain`, `sweep`, `cli`.
`export`, `explain` and `sweep` are packages that can be called: the call is their main function.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bearcnn._version import __version__

# From version 1.29 on, onnxruntime sends its maker the names of models and more unless this is set before its import.
# Every process of bearcnn, whichever module it begins with, passes this line first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:  # for type checkers and editors; `_API` is what happens
    from bearcnn.config import Config, load_config
    from bearcnn.data.dataset import Dataset
    from bearcnn.errors import BearcnnError
    from bearcnn.evaluation.metrics import evaluate
    from bearcnn.explain.explain import explain
    from bearcnn.export.run import export
    from bearcnn.inference.predictor import Predictor
    from bearcnn.pipeline import resume, train
    from bearcnn.reporter import Reporter
    from bearcnn.runs import Run, open_run
    from bearcnn.sweep.learning_curve import learning_curve
    from bearcnn.sweep.run import sweep
    from bearcnn.training.notebook import build_learner

__all__ = [
    "BearcnnError",
    "Config",
    "Dataset",
    "Predictor",
    "Reporter",
    "Run",
    "__version__",
    "build_learner",
    "evaluate",
    "explain",
    "export",
    "learning_curve",
    "load_config",
    "open_run",
    "resume",
    "sweep",
    "train",
]

_API = {
    "BearcnnError": "bearcnn.errors",
    "Config": "bearcnn.config",
    "Dataset": "bearcnn.data.dataset",
    "Predictor": "bearcnn.inference.predictor",
    "Reporter": "bearcnn.reporter",
    "Run": "bearcnn.runs",
    "build_learner": "bearcnn.training.notebook",
    "evaluate": "bearcnn.evaluation.metrics",
    "learning_curve": "bearcnn.sweep.learning_curve",
    "load_config": "bearcnn.config",
    "open_run": "bearcnn.runs",
    "resume": "bearcnn.pipeline",
    "train": "bearcnn.pipeline",
}
_CALLABLE_PACKAGES = ("explain", "export", "sweep")


def __getattr__(name: str) -> Any:
    if name in _CALLABLE_PACKAGES:
        return import_module(f"bearcnn.{name}")
    if name not in _API:
        raise AttributeError(f"module 'bearcnn' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_API[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
