"""ONNX Runtime on the processor: fast, and for all formats of `bearcnn export` that end in .onnx."""

from pathlib import Path
from typing import Final

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from bearcnn.errors import ModelFileError
from bearcnn.inference.engines.base import INPUT, OUTPUTS, Answers, Pixels, explain_failure, explain_mismatch
from bearcnn.manifest import Manifest

_UNUSABLE: Final[tuple[type[Exception], ...]] = (
    *(each for each in vars(onnxruntime_errors).values() if isinstance(each, type) and issubclass(each, Exception)),
    RuntimeError,
    ValueError,  # also UnicodeDecodeError, for a damaged name in the graph
    MemoryError,
)
"""The errors of onnxruntime, each of a class of its own, and those of other packages' C++."""


class OnnxRuntimeEngine:
    """A model file opened by ONNX Runtime.

    Raises:
        ModelFileError: the graph is damaged, or isn't that of the manifest.
    """

    def __init__(self, file: Path, manifest: Manifest, threads: int) -> None:
        self._file = file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Idle threads would spin on the cores that decode the next photos.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors come as exceptions
        try:
            # onnxruntime's fallback would only try again and print.
            self._session = onnxruntime.InferenceSession(
                file, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            size = manifest.image_size
            inputs = {node.name: (node.type, node.shape[1:]) for node in self._session.get_inputs()}
            outputs = {node.name: (node.type, len(node.shape)) for node in self._session.get_outputs()}
        except _UNUSABLE as error:
            reason = (
                "is damaged; copy or export it again"
                if isinstance(error, onnxruntime_errors.InvalidProtobuf)
                else f"is damaged, or needs a newer onnxruntime than {onnxruntime.__version__}; "
                "copy or export it again, or: pip install -U onnxruntime"
            )
            raise ModelFileError(f"{file} {reason}") from None
        wanted = dict(zip(OUTPUTS, [("tensor(float)", 1), ("tensor(float)", 3)], strict=True))
        if inputs != {INPUT: ("tensor(uint8)", [size, size, 3])} or outputs != wanted:
            raise ModelFileError(f"{file} {explain_mismatch(f'inputs {inputs}, outputs {outputs}')}")

    def run(self, pixels: Pixels) -> Answers:
        """Answer a batch of pictures; raises ModelFileError for a graph that can't be computed."""
        try:
            probability, window_probability = self._session.run(OUTPUTS, {INPUT: pixels})
        except _UNUSABLE as error:
            raise ModelFileError(f"{self._file} {explain_failure(error)}") from None
        return probability, window_probability
