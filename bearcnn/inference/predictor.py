"""A model file + photos -> predictions, by onnxruntime.

This is what runs on a small computer beside the camera, for one photo or for a million: it starts in a fraction of a
second, holds a few dozen photos at a time and must never import torch, fastai, pandas or matplotlib.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from bearcnn.data.photos import load_pixels
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.manifest import read_manifest

if TYPE_CHECKING:
    from bearcnn.inference.heatmaps import OnWindows

BATCH_SIZE = 16

_UNUSABLE = (
    onnxruntime_errors.Fail,
    onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf,
    onnxruntime_errors.NotImplemented,
    onnxruntime_errors.RuntimeException,
    UnicodeDecodeError,  # a damaged name in the graph
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one photo, or the reason why there is none."""

    path: str
    probability: float | None
    label: str | None
    error: str | None


class Predictor:
    """A model file, ready to answer.

    Raises:
        ModelFileError: the file is missing, damaged, not ONNX or not written by bearcnn.
    """

    def __init__(self, path: Path) -> None:
        self.manifest = read_manifest(path)
        if path.suffix.lower() != ".onnx":
            raise ModelFileError(f"{path} holds weights alone; predictions need a .onnx file: see `bearcnn export`")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _usable_cpus()
        # A thread that has nothing to do would turn in circles, on cores that the next photos are decoded on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what matters comes as an exception
        try:
            # Its own fallback is to try the same again and print.
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except _UNUSABLE as error:
            raise ModelFileError(
                f"{path} is damaged, or needs a newer onnxruntime than {onnxruntime.__version__}; "
                "copy or export it again, or: pip install -U onnxruntime"
            ) from error
        self._check_graph(path)

    def predict_pixels(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The probability of the positive class, for each picture and for each window of it.

        `pixels` (n, size, size, 3) uint8 as `photos.load_pixels` gives them -> (n,) and (n, rows, columns).
        """
        size = self.manifest.image_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (n, {size}, {size}, 3)")
        answers = [
            self._session.run(["probability", "window_probability"], {"pixels": pixels[start : start + BATCH_SIZE]})
            for start in range(0, max(1, len(pixels)), BATCH_SIZE)
        ]
        probability, window_probability = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return probability, window_probability

    def _check_graph(self, path: Path) -> None:
        """The manifest is one promise, the graph another: a mixture must not run."""
        size = self.manifest.image_size
        inputs = {node.name: (node.type, node.shape[1:]) for node in self._session.get_inputs()}
        outputs = {node.name: (node.type, len(node.shape)) for node in self._session.get_outputs()}
        wanted_outputs = {"probability": ("tensor(float)", 1), "window_probability": ("tensor(float)", 3)}
        if inputs != {"pixels": ("tensor(uint8)", [size, size, 3])} or outputs != wanted_outputs:
            raise ModelFileError(
                f"{path} doesn't take and give what its manifest says (inputs {inputs}, outputs {outputs}); "
                "write it anew with `bearcnn export`"
            )


def predict_photos(
    predictor: Predictor,
    paths: Iterable[Path],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    on_windows: "OnWindows | None" = None,
) -> Iterator[Prediction]:
    """One prediction for each path, in order; a photo that can't be read gives one with its reason.

    Photos are decoded in `workers` threads (one for each core unless told otherwise) ahead of the network, at most
    three batches beyond what was asked for, and `paths` is read from a thread as well: a path that comes alone is
    answered at once, without waiting for a full batch. What iterating over `paths` raises is raised here. `on_windows`
    gets each photo's path, pixels, probability and window scores (rows, columns) before its prediction is given.
    """
    waiting: Queue[tuple[Path, Future[NDArray[np.uint8]]] | Exception | None] = Queue(2 * batch_size)
    stopped = Event()
    manifest = predictor.manifest

    def read_ahead() -> None:
        try:
            with ThreadPoolExecutor(workers or _usable_cpus()) as pool:
                for path in paths:
                    if stopped.is_set():
                        return
                    waiting.put((path, pool.submit(load_pixels, path, manifest.image_size, manifest.resize)))
            waiting.put(None)
        except Exception as error:
            waiting.put(error)

    # A daemon, because a thread that waits for the next line of stdin can't be told to stop.
    Thread(target=read_ahead, name="read-ahead", daemon=True).start()
    try:
        while True:
            batch = []
            while (item := waiting.get()) is not None and not isinstance(item, Exception):
                batch.append(item)
                if len(batch) == batch_size or waiting.empty():
                    break
            if batch:
                yield from _predict_batch(predictor, batch, on_windows)
            if isinstance(item, Exception):
                raise item
            if item is None:
                return
    finally:
        stopped.set()
        while not waiting.empty():
            item = waiting.get_nowait()
            if isinstance(item, tuple):
                item[1].cancel()


def predict_rows(
    predictor: Predictor,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.integer[Any]],
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """The probability for some rows of a pixel cache (n, size, size, 3): (rows,)."""
    probabilities = np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        probabilities[batch] = predictor.predict_pixels(np.asarray(pixels[rows[batch]]))[0]
        if progress:
            progress(min(batch.stop, len(rows)), len(rows))
    return probabilities


def _predict_batch(
    predictor: Predictor, batch: list[tuple[Path, Future[NDArray[np.uint8]]]], on_windows: "OnWindows | None"
) -> Iterator[Prediction]:
    pixels: list[NDArray[np.uint8]] = []
    reasons: list[str | None] = []
    for _, decoding in batch:
        try:
            pixels.append(decoding.result())
            reasons.append(None)
        except PhotoError as error:
            reasons.append(str(error))
    answers = zip(pixels, *predictor.predict_pixels(np.stack(pixels)), strict=True) if pixels else iter(())
    for (path, _), reason in zip(batch, reasons, strict=True):
        if reason is not None:
            yield Prediction(str(path), None, None, reason)
            continue
        seen, answer, windows = next(answers)
        probability = float(answer)
        if 0 <= probability <= 1:
            label = predictor.manifest.classes[probability >= predictor.manifest.threshold]
            if on_windows is not None:
                on_windows(path, seen, probability, windows)
            yield Prediction(str(path), probability, label, None)
        else:  # NaN is under every threshold, and a broken network must not pass for an empty forest
            yield Prediction(str(path), None, None, f"the model answers {probability}: its file is damaged")


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
