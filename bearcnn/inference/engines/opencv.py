"""OpenCV's network engine: for computers without ONNX Runtime, such as those with 32-bit ARM.

Versions 4.10 to 5.0 give the answers of ONNX Runtime within 0.000003, but only to one picture at a time. Files of 8-bit
integers are refused: versions before 5 fail on them, and 5.0.0 gives other answers without a word.
"""

from pathlib import Path
from queue import Empty, SimpleQueue

import cv2
import numpy as np

from bearcnn.errors import ModelFileError
from bearcnn.inference.engines.base import INPUT, OUTPUTS, Answers, Pixels, explain_failure, explain_mismatch
from bearcnn.manifest import Manifest


class OpenCvEngine:
    """A model file opened by OpenCV; it answers one picture to see whether it can.

    Raises:
        ModelFileError: the file holds 8-bit integers, is damaged, or this version of OpenCV can't compute it.
    """

    def __init__(self, file: Path, manifest: Manifest, threads: int) -> None:
        if manifest.quantized:
            raise ModelFileError(
                f"{file} computes with 8-bit integers, to which OpenCV gives wrong answers; use the float file "
                "(`bearcnn export` writes one), or `engine` onnxruntime"
            )
        cv2.setNumThreads(threads)
        self._file, size = file, manifest.image_size
        self._idle: SimpleQueue[cv2.dnn.Net] = SimpleQueue()
        try:
            # From bytes: OpenCV can't open every name of a file.
            self._content = np.frombuffer(file.read_bytes(), np.uint8)
            probability, windows = self._answer(np.zeros((1, size, size, 3), np.uint8))
        except cv2.error as error:
            raise ModelFileError(
                f"{file} is damaged, or OpenCV {cv2.__version__} can't compute it ({_first_sentence(error)}); copy or "
                "export it again, use another version of opencv-python-headless, or `engine` onnxruntime"
            ) from None
        if probability.size != 1 or windows.ndim != 3 or len(windows) != 1:
            raise ModelFileError(f"{file} {explain_mismatch(f'outputs {probability.shape}, {windows.shape}')}")
        self._map = windows.shape[1:]

    def run(self, pixels: Pixels) -> Answers:
        """Answer a batch of pictures, one by one; raises ModelFileError for a graph that can't be computed."""
        probability, windows = np.empty(len(pixels), np.float32), np.empty((len(pixels), *self._map), np.float32)
        for place in range(len(pixels)):
            try:
                whole, windows[place : place + 1] = self._answer(pixels[place : place + 1])
                probability[place] = whole.item()
            except (cv2.error, ValueError, MemoryError) as error:
                raise ModelFileError(f"{self._file} {explain_failure(error)}") from None
        return probability, windows

    def _answer(self, picture: Pixels) -> Answers:
        # A network can't answer two threads at a time: each takes an idle one, or else opens another.
        try:
            network = self._idle.get_nowait()
        except Empty:
            network = cv2.dnn.readNetFromONNX(self._content)
        network.setInput(picture, INPUT)
        probability, windows = (np.array(output, np.float32) for output in network.forward(OUTPUTS))
        self._idle.put(network)
        return probability, windows


def _first_sentence(error: cv2.error) -> str:
    """Return what OpenCV says without the place in its source."""
    text = getattr(error, "err", "") or str(error)
    return " ".join(text.split())[:120]
