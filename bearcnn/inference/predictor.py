"""A model file's answers to photos.

It runs on a small computer beside the camera, for one photo or for a million: it starts in a fraction of a second and
holds a few photos at a time.

Each photo is read and answered by one thread, and several threads work on photos of their own. Threads that share a
picture wait for each other after every layer, and beside other busy programs mostly for the one that was put aside.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bearcnn.data.photos import lack_of_memory_as_reason, load_pixels, load_regions
from bearcnn.data.regions import WHOLE_FRAME, WHOLE_FRAMES, Region, Regions, Tiles
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.geometry import MAX_MEGAPIXELS, MOST_TILES, ResizeMode
from bearcnn.inference.engines import AUTO, choose_engine
from bearcnn.inference.engines.base import Answers, Pixels, explain_mismatch
from bearcnn.inference.paths import expand_paths, find_model
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.stream import batch_stream
from bearcnn.machine import usable_cpus
from bearcnn.manifest import Manifest, check_model_file, read_manifest
from bearcnn.workers import map_ahead

BATCH_SIZE = 4
"""Pictures that are answered together: what they need stays in the processor's cache."""

OnWindows = Callable[[Path, Pixels, float, NDArray[np.float32], Region], None]
"""Takes a photo's path; its best picture's pixels, probability and window scores (rows, columns); and its region."""

Pictures = list[tuple[Region, Pixels]]
"""The pictures of one photo, each (size, size, 3)."""

Result = TypeVar("Result")


class Predictor:
    """A model file, ready to answer.

    Args:
        model: a .onnx file, a run folder, or None for the newest finished run.
        engine: a name in `engines.ENGINES`, or AUTO for the first that works on this computer.
        threads: the number of cores to compute on; all that this process may use unless given.
        one_by_one: share each picture among these cores, for photos that come alone, such as from a camera. Otherwise
            each computes pictures of its own.
        max_megapixels: the largest photo, in million pixels in memory; as in training (`data.max_megapixels`) unless
            given.

    Attributes:
        engine: the row of `engines.ENGINES` that computes, and the engines that AUTO passed over for it.
        file: the model file.
        manifest: of the model file.
        max_megapixels: of the largest photo.

    Raises:
        RunError: there is no finished run.
        ModelFileError: the file is missing, damaged, not ONNX, not written by bearcnn, or not for this engine.
        MissingPackageError: no engine is installed, or not this one.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        engine: str = AUTO,
        threads: int | None = None,
        *,
        one_by_one: bool = False,
        max_megapixels: int | None = None,
    ) -> None:
        self.file = path = find_model(None if model is None else Path(model))
        if check_model_file(path) != ".onnx":
            raise ModelFileError(f"{path} holds weights alone; predictions need a .onnx file: see `bearcnn export`")
        self.manifest = read_manifest(path)
        self.max_megapixels = max_megapixels or _trained_limit(self.manifest)
        self.engine = choose_engine(engine)
        threads = threads or usable_cpus()
        self._network = self.engine.open(path, self.manifest, threads if one_by_one else 1)
        self._cores = BoundedSemaphore(1 if one_by_one else threads)

    @property
    def regions(self) -> Regions:
        """The pictures of a photo that the threshold was chosen for: its whole frame, or that and tiles."""
        tiles = self.manifest.config.get("data", {}).get("tiles", 0)
        return Tiles(tiles) if isinstance(tiles, int) and 0 < tiles <= MOST_TILES else WHOLE_FRAMES

    def predict(self, photos: Iterable[Path | str] | Path | str, regions: Regions | None = None) -> list[Prediction]:
        """Answer photos, folders (with all below them) and patterns such as "card/**/*.jpg", in their order.

        A photo has the highest answer of its `regions`, those of the predictor unless given. A photo that can't be read
        gets a prediction with the reason. `predict_photos` gives the same one by one.

        Raises:
            DataError: an argument is empty, or a pattern leads too deep.
        """
        arguments = [photos] if isinstance(photos, str | Path) else photos
        paths = expand_paths((str(argument) for argument in arguments), BytesIO())
        return list(predict_photos(self, paths, regions=regions))

    def predict_pixels(self, pixels: Pixels) -> Answers:
        """Answer any number of pictures, (n, size, size, 3), in this thread; several threads may do so at a time.

        Raises:
            ModelFileError: the network can't be computed, or its answers are not one for each picture.
        """
        size = self.manifest.image_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (n, {size}, {size}, 3)")
        with self._cores:
            starts = range(0, max(1, len(pixels)), BATCH_SIZE)
            return _join(self._answer(pixels[start : start + BATCH_SIZE]) for start in starts)

    def _answer(self, batch: Pixels) -> Answers:
        probabilities, windows = self._network.run(batch)
        if probabilities.shape != (len(batch),) or windows.ndim != 3 or len(windows) != len(batch):
            shapes = f"outputs {probabilities.shape}, {windows.shape} for {len(batch)} pictures"
            raise ModelFileError(f"{self.file} {explain_mismatch(shapes)}")
        return probabilities, windows


def predict_rows(
    predictor: Predictor,
    pixels: Pixels,
    rows: NDArray[np.integer[Any]],
    on_progress: Callable[[int, int], None] | None = None,
) -> Answers:
    """Answer some rows of a pixel cache (n, size, size, 3), with a few batches at a time in memory."""

    def answer(start: int) -> Answers:
        return predictor.predict_pixels(np.asarray(pixels[rows[start : start + BATCH_SIZE]]))

    def reported() -> Iterator[Answers]:
        done, cores = 0, usable_cpus()
        for answers in map_ahead(answer, range(0, max(1, len(rows)), BATCH_SIZE), cores, 2 * cores):
            yield answers
            done += len(answers[0])
            if on_progress and done:
                on_progress(done, len(rows))

    return _join(reported())


def predict_photos(
    predictor: Predictor,
    paths: Iterable[Path],
    *,
    regions: Regions | None = None,
    workers: int | None = None,
    on_windows: OnWindows | None = None,
) -> Iterator[Prediction]:
    """Yield one prediction for each path, in order; a photo that can't be read gives one with the reason.

    A photo of several `regions` (those of the predictor unless given) has the highest probability of them; one of none
    has probability 0. `workers` threads (one per core and one more unless given, while a drive keeps one waiting) read
    and answer photos, as `map_stream` describes. `on_windows` is called for each photo with a picture, before its
    prediction is yielded.
    """
    manifest = predictor.manifest
    regions = predictor.regions if regions is None else regions

    def answer(path: Path) -> tuple[Prediction, _Seen | None]:
        try:
            pictures = load_pictures(path, regions, manifest.image_size, manifest.resize, predictor.max_megapixels)
            if not pictures:
                return _to_prediction(path, 0.0, manifest), None
            with lack_of_memory_as_reason():
                probabilities, windows = predictor.predict_pixels(np.stack([pixels for _, pixels in pictures]))
        except PhotoError as error:
            return Prediction(str(path), None, None, str(error)), None
        best = int(probabilities.argmax())  # the first of equal ones; NaN, where there is one
        region, pixels = pictures[best]
        usable = not on_windows or np.isfinite(windows[best]).all()
        prediction = _to_prediction(path, float(probabilities[best]) if usable else math.nan, manifest, region)
        # Not for the prediction alone: what waits for its turn would hold the picture.
        return prediction, _Seen(pixels, windows[best], region) if on_windows else None

    for path, (prediction, seen) in map_stream(answer, paths, workers):
        if on_windows and seen and prediction.probability is not None:
            on_windows(path, seen.pixels, prediction.probability, seen.windows, seen.region)
        yield prediction


class _Seen(NamedTuple):
    """The picture that decided."""

    pixels: Pixels
    windows: NDArray[np.float32]
    region: Region


def load_pictures(path: Path, regions: Regions, size: int, resize: ResizeMode, max_megapixels: int) -> Pictures:
    """Load the pictures of a photo; raises PhotoError if it can't be read."""
    if regions == WHOLE_FRAMES:
        return [(WHOLE_FRAME, load_pixels(path, size, resize, max_megapixels))]
    return load_regions(path, regions.of(path), size, resize, max_megapixels)


def map_stream(
    function: Callable[[Path], Result], paths: Iterable[Path], workers: int | None = None
) -> Iterator[tuple[Path, Result]]:
    """Yield each path with the result of a function, in order, computed in threads while the caller works.

    A thread reads `paths` as well, at most four for each worker in advance: a path that comes alone is done at once. An
    exception of `function` or `paths` is raised here, after what came before it.
    """
    workers = workers or usable_cpus() + 1

    def submit_all() -> Iterator[tuple[Path, Future[Result]]]:
        with ThreadPoolExecutor(workers) as pool:
            for path in paths:
                yield path, pool.submit(function, path)

    batches = batch_stream(submit_all(), lambda: 1, 4 * workers, lambda item: item[1].cancel())
    with closing(batches):
        for ((path, result),) in batches:
            yield path, result.result()


def _trained_limit(manifest: Manifest) -> int:
    limit = manifest.config.get("data", {}).get("max_megapixels")
    return limit if isinstance(limit, int) and limit > 0 else MAX_MEGAPIXELS


def _to_prediction(path: Path, probability: float, manifest: Manifest, region: Region = WHOLE_FRAME) -> Prediction:
    if not 0 <= probability <= 1:  # NaN is below every threshold, as if there were no bear
        return Prediction(str(path), None, None, f"the model answers {probability}: its file is damaged")
    label = manifest.classes[probability >= manifest.threshold]
    return Prediction(str(path), probability, label, None, box=region.box)


def _join(batches: Iterable[Answers]) -> Answers:
    probabilities, windows = zip(*batches, strict=True)
    return np.concatenate(probabilities), np.concatenate(windows)
