"""The export formats: one row each, which the command line, its help and the exporter read."""

import math
from dataclasses import dataclass
from typing import Any

from bearcnn.registry import Registry


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format that a trained network can be written in."""

    name: str
    suffix: str
    """The end of the file's default name, after the model's name."""
    words: str
    """The format's use, in a few words for the command line's help."""
    exporter: Any
    """A function from `export.base.ExportSource` to `export.base.Exported`, or its name as "package.module:name"."""
    measure_speed: bool = False
    """Whether the speed is compared with that of the float ONNX file."""
    needs_photos: bool = False
    """Whether the run's photos are needed to make the file, and not only to compare it."""
    needs_runtime: bool = False
    """Whether the file holds onnxruntime-web, which is fetched unless a folder with it is named."""
    largest_loss: float = math.inf
    """Loss of ROC AUC on the validation photos above which a file is not written, unless that is allowed."""


EXPORT_FORMATS: Registry[ExportFormat] = Registry(
    "export format",
    [
        ExportFormat("onnx", ".onnx", "runs anywhere", "bearcnn.export.onnx:export_onnx"),
        ExportFormat(
            "int8",
            "-int8.onnx",
            "about a quarter of the size, and faster where the network is large",
            "bearcnn.export.int8:export_int8",
            measure_speed=True,
            needs_photos=True,
            largest_loss=0.003,
        ),
        ExportFormat("pt2", ".pt2", "torch's own program", "bearcnn.export.pt2:export_pt2"),
        ExportFormat(
            "safetensors", ".safetensors", "the weights alone", "bearcnn.export.safetensors:export_safetensors"
        ),
        ExportFormat(
            "fastai",
            ".pkl",
            "a pickled Learner for load_learner (a pickle: load only your own)",
            "bearcnn.export.fastai:export_fastai",
            needs_photos=True,
        ),
        ExportFormat(
            "html",
            ".html",
            "a page that answers photos in any browser, offline",
            "bearcnn.export.html:export_html",
            needs_runtime=True,
        ),
        ExportFormat(
            "html-int8",
            "-int8.html",
            "the same with the 8-bit network",
            "bearcnn.export.html:export_html_int8",
            needs_photos=True,
            needs_runtime=True,
            largest_loss=0.003,
        ),
    ],
)
