"""A model file's answers to photos.

It runs on a small computer beside the camera, for one photo or for a million: it starts in a fraction of a second and
holds a few dozen photos at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bearcnn.data.photos import load_pixels, load_regions
from bearcnn.data.regions import WHOLE_FRAME, WHOLE_FRAMES, Region, Regions, Tiles
from bearcnn.errors import ModelFileError, PhotoError
from bearcnn.geometry import ResizeMode
from bearcnn.inference.engines import AUTO, choose_engine
from bearcnn.inference.engines.base import Answers, Pixels
from bearcnn.inference.paths import expand_paths, find_model
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.stream import batch_stream
from bearcnn.machine import usable_cpus
from bearcnn.manifest import Manifest, check_model_file, read_manifest

# What a few pictures need stays in the processor's cache. With EfficientNet-Lite0 at 224 px on two cores a picture
# takes 2.6 ms in batches of 4, and 3.6 ms in batches of 16; without a body 0.33 and 0.34 ms. The bits are the same.
BATCH_SIZE = 4

OnWindows = Callable[[Path, Pixels, float, NDArray[np.float32], Region], None]
"""Takes a photo's path; its best picture's pixels, probability and window scores (rows, columns); and its region."""

Pictures = list[tuple[Region, Pixels]]
"""The pictures of one photo, each (size, size, 3)."""

Key = TypeVar("Key")
Loaded = TypeVar("Loaded")


class Predictor:
    """A model file, ready to answer.

    Args:
        model: a .onnx file, a run folder, or None for the newest finished run.
        engine: a name in `engines.ENGINES`, or AUTO for the first that works on this computer.
        threads: the number of cores to compute on; all that this process may use unless given.

    Attributes:
        engine: the row of `engines.ENGINES` that computes, and the engines that AUTO passed over for it.
        file: the model file.
        manifest: of the model file.

    Raises:
        RunError: there is no finished run.
        ModelFileError: the file is missing, damaged, not ONNX, not written by bearcnn, or not for this engine.
        MissingPackageError: no engine is installed, or not this one.
    """

    def __init__(self, model: Path | str | None = None, engine: str = AUTO, threads: int | None = None) -> None:
        self.file = path = find_model(None if model is None else Path(model))
        if check_model_file(path) != ".onnx":
            raise ModelFileError(f"{path} holds weights alone; predictions need a .onnx file: see `bearcnn export`")
        self.manifest = read_manifest(path)
        self.engine = choose_engine(engine)
        self._network = self.engine.open(path, self.manifest, threads or usable_cpus())

    @property
    def regions(self) -> Regions:
        """The pictures of a photo that the threshold was chosen for: its whole frame, or that and tiles."""
        tiles = self.manifest.config.get("data", {}).get("tiles", 0)
        return Tiles(tiles) if isinstance(tiles, int) and tiles > 0 else WHOLE_FRAMES

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

    def predict_batches(self, batches: Iterable[tuple[Key, Pixels]]) -> Iterator[tuple[Key, Answers]]:
        """Answer batches of pictures one by one, each before the next is read.

        A batch comes with a key of the caller, such as the photos' paths, and its answers come with the same key. The
        caller keeps batches at BATCH_SIZE or below.
        """
        size = self.manifest.image_size
        for key, pixels in batches:
            if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
                raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (n, {size}, {size}, 3)")
            yield key, self._network.run(pixels)

    def predict_pixels(self, pixels: Pixels) -> Answers:
        """Answer any number of pictures, (n, size, size, 3)."""
        starts = range(0, max(1, len(pixels)), BATCH_SIZE)
        return _join(self.predict_batches((start, pixels[start : start + BATCH_SIZE]) for start in starts))


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
    regions: Regions | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    on_windows: OnWindows | None = None,
) -> Iterator[Prediction]:
    """Yield one prediction for each path, in order; a photo that can't be read gives one with the reason.

    A photo of several `regions` (those of the predictor unless given) has the highest probability of them; one of none
    has probability 0. `workers` threads (one per core unless given) decode photos ahead of the network, as `read_ahead`
    describes. A thread reads `paths` as well: a single path is answered at once, without waiting for a full batch. An
    exception of `paths` is raised here. `on_windows` is called for each photo with a picture, before its prediction is
    yielded.
    """
    manifest = predictor.manifest
    regions = predictor.regions if regions is None else regions
    for photos in load_ahead(paths, regions, manifest.image_size, manifest.resize, batch_size, workers):
        answers = predictor.predict_pixels(stack_pictures(photos, manifest.image_size))
        start = 0
        for path, loaded in photos:
            if isinstance(loaded, PhotoError):
                yield Prediction(str(path), None, None, str(loaded))
                continue
            if not loaded:
                yield _to_prediction(path, 0.0, manifest)
                continue
            probabilities, windows = (each[start : start + len(loaded)] for each in answers)
            start += len(loaded)
            best = int(probabilities.argmax())  # the first of equal ones; NaN, where there is one
            region, pixels = loaded[best]
            prediction = _to_prediction(path, float(probabilities[best]), manifest, region)
            if on_windows is not None and prediction.probability is not None:
                on_windows(path, pixels, prediction.probability, windows[best], region)
            yield prediction


def load_ahead(
    paths: Iterable[Path],
    regions: Regions,
    size: int,
    resize: ResizeMode,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> Iterator[list[tuple[Path, Pictures | PhotoError]]]:
    """Yield the pictures of photos in order, loaded ahead in threads, in batches of about `batch_size` pictures.

    Memory holds three batches, and a photo for each thread. A photo that can't be read has the reason.
    """

    def load(path: Path) -> Pictures | PhotoError:
        try:
            if regions == WHOLE_FRAMES:
                return [(WHOLE_FRAME, load_pixels(path, size, resize))]
            return load_regions(path, regions.of(path), size, resize)
        except PhotoError as error:
            return error

    workers, most = workers or usable_cpus(), regions.most
    if most == 1:
        return read_ahead(paths, load, batch_size, workers)
    photos = max(1, batch_size // most)
    return read_ahead(paths, load, photos, workers, ahead=max(2 * photos, workers))


def stack_pictures(photos: Sequence[tuple[Path, Pictures | PhotoError]], size: int) -> Pixels:
    """Return all pictures of some photos in their order, (n, size, size, 3)."""
    pictures = [pixels for _, loaded in photos if not isinstance(loaded, PhotoError) for _, pixels in loaded]
    return np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8)


def read_ahead(
    paths: Iterable[Path], load: Callable[[Path], Loaded], batch_size: int, workers: int, ahead: int | None = None
) -> Iterator[list[tuple[Path, Loaded]]]:
    """Load photos in threads while the caller works, and yield them in order, in batches.

    Beyond the batch that the caller has, `ahead` photos are loaded; unless given, two batches, or two photos for each
    thread if that is more. A batch is full unless the paths come more slowly than the caller takes the photos. An
    exception of `load` or `paths` is raised here.
    """

    def submit_all() -> Iterator[tuple[Path, Future[Loaded]]]:
        with ThreadPoolExecutor(workers) as pool:
            for path in paths:
                yield path, pool.submit(load, path)

    most = ahead or 2 * max(batch_size, workers)
    batches = batch_stream(submit_all(), lambda: batch_size, most, lambda item: item[1].cancel())
    with closing(batches):
        for batch in batches:
            yield [(path, loading.result()) for path, loading in batch]


def _to_prediction(path: Path, probability: float, manifest: Manifest, region: Region = WHOLE_FRAME) -> Prediction:
    if not 0 <= probability <= 1:  # NaN is below every threshold, as if there were no bear
        return Prediction(str(path), None, None, f"the model answers {probability}: its file is damaged")
    label = manifest.classes[probability >= manifest.threshold]
    return Prediction(str(path), probability, label, None, box=region.box)


def _join(batches: Iterable[tuple[object, Answers]]) -> Answers:
    probabilities, windows = zip(*(answers for _, answers in batches), strict=True)
    return np.concatenate(probabilities), np.concatenate(windows)
