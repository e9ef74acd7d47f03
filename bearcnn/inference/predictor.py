"""A model file's answers to photos, by onnxruntime.

It runs on a small computer beside the camera, for one photo or for a million: it starts in a fraction of a second and
holds a few dozen photos at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bearcnn.data.photos import load_pixels
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.inference.paths import expand_paths, find_model
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.stream import batch_stream
from bearcnn.machine import usable_cpus
from bearcnn.manifest import Manifest, open_onnx

# What a few pictures need stays in the processor's cache. With EfficientNet-Lite0 at 224 px on two cores a picture
# takes 2.6 ms in batches of 4, and 3.6 ms in batches of 16; without a body 0.33 and 0.34 ms. The bits are the same.
BATCH_SIZE = 4

Pixels = NDArray[np.uint8]
"""Pictures as `photos.load_pixels` gives them, (n, size, size, 3)."""

Answers = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Probabilities of the positive class, for each picture (n,) and for each window of it (n, rows, columns)."""

OnWindows = Callable[[Path, Pixels, float, NDArray[np.float32]], None]
"""Takes a photo's path, pixels, probability and window scores (rows, columns)."""

Key = TypeVar("Key")
Loaded = TypeVar("Loaded")


class Predictor:
    """A model file, ready to answer.

    Args:
        model: a .onnx file, a run folder, or None for the newest finished run.
        threads: the number of cores to compute on; all that this process may use unless given.

    Raises:
        RunError: there is no finished run.
        ModelFileError: the file is missing, damaged, not ONNX or not written by bearcnn.
    """

    def __init__(self, model: Path | str | None = None, threads: int | None = None) -> None:
        self.file = path = find_model(None if model is None else Path(model))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cpus()
        # Idle threads would spin on the cores that decode the next photos.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session, self.manifest = open_onnx(path, options)
        self._check_graph(path)

    def predict(self, photos: Iterable[Path | str] | Path | str) -> list[Prediction]:
        """Answer photos, folders (with all below them) and patterns such as "card/**/*.jpg", in their order.

        A photo that can't be read gets a prediction with the reason. `predict_photos` gives the same one by one.

        Raises:
            DataError: an argument is empty, or a pattern leads too deep.
        """
        arguments = [photos] if isinstance(photos, str | Path) else photos
        paths = expand_paths((str(argument) for argument in arguments), BytesIO())
        return list(predict_photos(self, paths))

    def predict_batches(self, batches: Iterable[tuple[Key, Pixels]]) -> Iterator[tuple[Key, Answers]]:
        """Answer batches of pictures one by one, each before the next is read.

        A batch comes with a key of the caller, such as the photos' paths, and its answers come with the same key. The
        caller keeps batches at BATCH_SIZE or below.
        """
        size = self.manifest.image_size
        for key, pixels in batches:
            if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
                raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (n, {size}, {size}, 3)")
            probability, window_probability = self._session.run(
                ["probability", "window_probability"], {"pixels": pixels}
            )
            yield key, (probability, window_probability)

    def predict_pixels(self, pixels: Pixels) -> Answers:
        """Answer any number of pictures, (n, size, size, 3)."""
        starts = range(0, max(1, len(pixels)), BATCH_SIZE)
        return _join(self.predict_batches((start, pixels[start : start + BATCH_SIZE]) for start in starts))

    def _check_graph(self, path: Path) -> None:
        """Check that the graph's inputs and outputs match the manifest."""
        size = self.manifest.image_size
        inputs = {node.name: (node.type, node.shape[1:]) for node in self._session.get_inputs()}
        outputs = {node.name: (node.type, len(node.shape)) for node in self._session.get_outputs()}
        wanted_outputs = {"probability": ("tensor(float)", 1), "window_probability": ("tensor(float)", 3)}
        if inputs != {"pixels": ("tensor(uint8)", [size, size, 3])} or outputs != wanted_outputs:
            raise ModelFileError(
                f"{path} doesn't take and give what its manifest says (inputs {inputs}, outputs {outputs}); "
                "export it again with `bearcnn export`"
            )


def predict_rows(
    predictor: Predictor,
    pixels: Pixels,
    rows: NDArray[np.integer[Any]],
    on_progress: Callable[[int, int], None] | None = None,
) -> Answers:
    """Answer some rows of a pixel cache (n, size, size, 3), with one batch at a time in memory."""

    def batches() -> Iterator[tuple[int, Pixels]]:
        for start in range(0, max(1, len(rows)), BATCH_SIZE):
            chosen = rows[start : start + BATCH_SIZE]
            yield start + len(chosen), np.asarray(pixels[chosen])

    def reported() -> Iterator[tuple[int, Answers]]:
        for done, answers in predictor.predict_batches(batches()):
            yield done, answers
            if on_progress and done:
                on_progress(done, len(rows))

    return _join(reported())


def predict_photos(
    predictor: Predictor,
    paths: Iterable[Path],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    on_windows: OnWindows | None = None,
) -> Iterator[Prediction]:
    """Yield one prediction for each path, in order; a photo that can't be read gives one with the reason.

    `workers` threads (one per core unless given) decode photos ahead of the network, as `read_ahead` describes. A
    thread reads `paths` as well: a single path is answered at once, without waiting for a full batch. An exception of
    `paths` is raised here. `on_windows` is called for each photo before its prediction is yielded.
    """
    manifest = predictor.manifest
    empty = np.empty((0, manifest.image_size, manifest.image_size, 3), np.uint8)

    def load(path: Path) -> Pixels | PhotoError:
        try:
            return load_pixels(path, manifest.image_size, manifest.resize)
        except PhotoError as error:
            return error

    def batches() -> Iterator[tuple[list[tuple[Path, Pixels | PhotoError]], Pixels]]:
        for photos in read_ahead(paths, load, batch_size, workers or usable_cpus()):
            pixels = [loaded for _, loaded in photos if not isinstance(loaded, PhotoError)]
            yield photos, np.stack(pixels) if pixels else empty

    for photos, answers in predictor.predict_batches(batches()):
        answered = zip(*answers, strict=True)
        for path, loaded in photos:
            if isinstance(loaded, PhotoError):
                yield Prediction(str(path), None, None, str(loaded))
                continue
            probability, windows = next(answered)
            prediction = _to_prediction(path, float(probability), manifest)
            if on_windows is not None and prediction.probability is not None:
                on_windows(path, loaded, prediction.probability, windows)
            yield prediction


def read_ahead(
    paths: Iterable[Path], load: Callable[[Path], Loaded], batch_size: int, workers: int
) -> Iterator[list[tuple[Path, Loaded]]]:
    """Load photos in threads while the caller works, and yield them in order, in batches.

    Beyond the batch that the caller has, at most two batches are loaded, or two photos for each thread if that is more.
    A batch is full unless the paths come more slowly than the caller takes the photos. An exception of `load` or
    `paths` is raised here.
    """

    def submit_all() -> Iterator[tuple[Path, Future[Loaded]]]:
        with ThreadPoolExecutor(workers) as pool:
            for path in paths:
                yield path, pool.submit(load, path)

    ahead = 2 * max(batch_size, workers)
    batches = batch_stream(submit_all(), lambda: batch_size, ahead, lambda item: item[1].cancel())
    with closing(batches):
        for batch in batches:
            yield [(path, loading.result()) for path, loading in batch]


def _to_prediction(path: Path, probability: float, manifest: Manifest) -> Prediction:
    if not 0 <= probability <= 1:  # NaN is below every threshold, as if there were no bear
        return Prediction(str(path), None, None, f"the model answers {probability}: its file is damaged")
    return Prediction(str(path), probability, manifest.classes[probability >= manifest.threshold], None)


def _join(batches: Iterable[tuple[object, Answers]]) -> Answers:
    probabilities, windows = zip(*(answers for _, answers in batches), strict=True)
    return np.concatenate(probabilities), np.concatenate(windows)
