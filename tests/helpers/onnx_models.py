"""Small, real ONNX models whose answers a test can work out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from bearcnn.manifest import MANIFEST_KEY, Manifest, stamp_onnx, stamp_safetensors

WINDOW = 4
"""The side of the windows, in pixels."""


def make_manifest(**fields: Any) -> Manifest:
    defaults: dict[str, Any] = {
        "name": "brightness",
        "classes": ("dark", "bright"),
        "image_size": 16,
        "resize": "squish",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Manifest(**(defaults | fields))


def brightness_model(
    size: int = 16, input_name: str = "pixels", input_type: int = TensorProto.UINT8, constant: float = 0.0
) -> bytes:
    """A model that calls a picture bright: sigmoid(8 (mean / 255 - 0.5)), of the whole and of each window."""

    def floats(name: str, *values: float) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.float32).reshape(() if len(values) == 1 else -1), name)

    nodes = [
        helper.make_node("Cast", [input_name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["planes", "channel_axis"], ["grey"], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["windows"], kernel_shape=[WINDOW] * 2, strides=[WINDOW] * 2),
        helper.make_node("Squeeze", ["windows", "channel_axis"], ["window_means"]),
        helper.make_node("ReduceMean", ["window_means", "map_axes"], ["means"], keepdims=0),
    ]
    for means, output in [("means", "probability"), ("window_means", "window_probability")]:
        nodes += [
            helper.make_node("Mul", [means, "scale"], [f"scaled_{output}"]),
            helper.make_node("Add", [f"scaled_{output}", "shift"], [f"logit_{output}"]),
            helper.make_node("Sigmoid", [f"logit_{output}"], [output]),
        ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info(input_name, input_type, ["batch", size, size, 3])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("window_probability", TensorProto.FLOAT, ["batch", "rows", "columns"]),
        ],
        [
            floats("scale", 8 / 255),
            floats("shift", -4 + constant),
            numpy_helper.from_array(np.array([1], np.int64), "channel_axis"),
            numpy_helper.from_array(np.array([1, 2], np.int64), "map_axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def stamp_as_before(model: bytes, manifest: Manifest) -> bytes:
    """The model with its manifest as a version wrote it before there were digests."""
    proto = onnx.load_model_from_string(model)
    helper.set_model_props(proto, {MANIFEST_KEY: manifest.model_dump_json(exclude={"digest"})})
    data: bytes = proto.SerializeToString()
    return data


def write_weights(path: Path, manifest: Manifest, tensors: dict[str, NDArray[Any]] | None = None) -> Path:
    """A stamped safetensors file, of two numbers unless given."""
    path.write_bytes(stamp_safetensors(save(tensors or {"weights": np.zeros(2, np.float32)}), manifest))
    return path


def without_digest(manifest: Manifest) -> Manifest:
    """A manifest as it was before it was written into a file."""
    return manifest.model_copy(update={"digest": ""})


def write_model(path: Path, **fields: Any) -> Path:
    """A stamped brightness model as a file."""
    manifest = make_manifest(**fields)
    path.write_bytes(stamp_onnx(brightness_model(manifest.image_size), manifest))
    return path


def brightness(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the model's first output must be: (n, size, size, 3) -> (n,)."""
    answer: NDArray[np.float64] = 1 / (1 + np.exp(4 - 8 * pixels.mean(axis=(1, 2, 3)) / 255))
    return answer
