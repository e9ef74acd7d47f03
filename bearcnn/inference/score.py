"""Scoring of a model: predictions of a data set's labelled photos, and the pointing game on drawn bears."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bearcnn.data import OnProgress
from bearcnn.data.dataset import Dataset
from bearcnn.data.names import readable
from bearcnn.data.photos import PIXEL_LIMIT
from bearcnn.data.regions import WHOLE_FRAME, WHOLE_FRAMES, Box, Crops, Region
from bearcnn.data.splits import Example, Split
from bearcnn.data.synthetic.boxes import read_boxes
from bearcnn.errors import DataError, ModelFileError, PhotoError
from bearcnn.evaluation.localization import PointingGame, play_pointing_game
from bearcnn.evaluation.predictions import (
    HELD_OUT,
    LabelledPrediction,
    in_split,
    read_folds,
    write_predictions,
)
from bearcnn.geometry import ResizeMode
from bearcnn.inference.engines.base import Pixels
from bearcnn.inference.predictor import Predictor, load_pictures, predict_rows
from bearcnn.inference.windows import find_windows
from bearcnn.machine import usable_cpus
from bearcnn.runs import Run
from bearcnn.workers import map_ahead

Task = TypeVar("Task")
Result = TypeVar("Result")

_COLOURLESS = 6
"""The largest median difference of a grey photo's channels; the JPEG noise of infrared photos is below it."""


class Spread(Protocol):
    """A `map` that works on several cores."""

    def __call__(self, function: Callable[[Task], Result], tasks: Iterable[Task], /) -> Iterator[Result]:
        """Call a function for each task, and give the results in the order of the tasks."""


def in_threads(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Call it in one thread for each core and one more, while a drive keeps one waiting."""
    workers = usable_cpus() + 1
    return map_ahead(function, tasks, workers, 2 * workers)


def predict_split(
    predictor: Predictor,
    dataset: Dataset,
    split: Split,
    on_progress: OnProgress | None = None,
    trained_sites: Collection[str] | None = None,
) -> list[LabelledPrediction]:
    """Predict each photo of a split, in the order of the paths, by the pictures that the data set's regions say.

    `trained_sites` are the sites that the model was trained on, if not those of the data set's training photos.

    Raises:
        DataError: a photo of several pictures can't be read any more.
        ModelFileError: an answer is no probability.
    """
    examples = dataset.select(split)
    if dataset.regions == WHOLE_FRAMES:
        rows, _ = dataset.arrays(split)
        probabilities, _ = predict_rows(predictor, dataset.pixels, rows, on_progress)
        areas = None
    else:
        manifest = predictor.manifest

        def answer(pixels: Pixels) -> NDArray[np.float32]:
            return predictor.predict_pixels(pixels)[0]

        probabilities, areas = answer_best(answer, dataset, examples, manifest.resize, on_progress)
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # of NaN as well
    if wrong.any():
        photo = readable(examples[int(wrong.argmax())].path)
        said = f"{predictor.file} answers {probabilities[wrong][0]} to {photo}"
        raise ModelFileError(f"{said}: the file is damaged; copy or export it again")
    return label_predictions(dataset, examples, split, probabilities.tolist(), areas, trained_sites)


def answer_best(
    answer: Callable[[Pixels], NDArray[np.floating[Any]]],
    dataset: Dataset,
    examples: Sequence[Example],
    resize: ResizeMode,
    on_progress: OnProgress | None = None,
    spread: Spread = in_threads,
) -> tuple[NDArray[Any], list[Box | None]]:
    """Return the highest answer to each photo's pictures, (photos,), as `predict_photos` sees them, and their areas.

    Args:
        answer: takes pictures (n, size, size, 3) and returns their answers, (n,).
        dataset: it says the pictures' regions.
        examples: the photos.
        resize: how an area becomes a square.
        on_progress: counts photos.
        spread: calls the function that reads and answers a photo.

    Raises:
        DataError: a photo can't be read any more.
    """
    size, best, areas = dataset.pixels.shape[1], [], []

    def judge(example: Example) -> tuple[np.floating[Any], Region]:
        try:
            # The data set has kept to its own limit.
            pictures = load_pictures(example.path, dataset.regions, size, resize, PIXEL_LIMIT // 10**6)
        except PhotoError as error:
            raise DataError(f"{readable(example.path)} can't be read any more: {error}") from None
        answers = answer(np.stack([pixels for _, pixels in pictures]))
        place = int(answers.argmax())
        return answers[place], pictures[place][0]

    for highest, region in spread(judge, examples):
        best.append(highest)
        areas.append(None if region == WHOLE_FRAME else region.area)
        if on_progress:
            on_progress(len(best), len(examples))
    return np.array(best), areas


def label_predictions(
    dataset: Dataset,
    examples: Sequence[Example],
    split: str,
    probabilities: Sequence[float],
    areas: Sequence[Box | None] | None = None,
    trained_sites: Collection[str] | None = None,
) -> list[LabelledPrediction]:
    """Put a model's answers, of these areas or else of whole frames, beside the examples that they belong to.

    `trained_sites` is as in `predict_split`.
    """
    if trained_sites is None:
        trained_sites = {example.site for example in dataset.select("train") if example.site}
    return [
        LabelledPrediction(
            path=example.path.relative_to(dataset.root).as_posix(),
            split=split,
            label=example.label,
            subclass=example.subclass,
            digest=example.digest,
            probability=probability,
            grey=is_grey(np.asarray(dataset.pixels[example.row])),
            area=area,
            site=example.site,
            seen=example.site in trained_sites if example.site and trained_sites else None,
            group=example.group,
            taken=example.taken.isoformat() if example.taken else None,
        )
        for example, probability, area in zip(examples, probabilities, areas or [None] * len(examples), strict=True)
    ]


def keep_predictions(
    run: Run, predictor: Predictor, dataset: Dataset, known: Sequence[LabelledPrediction] = ()
) -> list[LabelledPrediction]:
    """Write predictions.jsonl of a run, and return its content; a split of `known` is not predicted again.

    The answers of cross-validation are those of the folds' networks, with the model's temperature.
    """
    predictions = read_folds(run, predictor.manifest.temperature)
    for split in HELD_OUT:
        predictions += in_split(known, split) or predict_split(predictor, dataset, split)
    write_predictions(run, predictions)
    return predictions


def point_at_bears(
    predictor: Predictor, dataset: Dataset, split: Split, on_progress: OnProgress | None = None
) -> dict[str, PointingGame] | None:
    """Play the pointing game with a split's bears: with "all" of them, and with those "found" at the threshold.

    None if the bears' boxes are unknown: only drawn scenes have boxes, and crops are other pictures.
    """
    boxes = {} if isinstance(dataset.regions, Crops) else read_boxes(dataset.root)
    bears = [example for example in dataset.select(split) if example.path in boxes]
    if not bears:
        return None
    rows = np.array([example.row for example in bears])
    probabilities, windows = predict_rows(predictor, dataset.pixels, rows, on_progress)
    found = probabilities >= predictor.manifest.threshold
    places = np.array([boxes[example.path] for example in bears])
    centres = find_windows(predictor.manifest, windows.shape[1]).centres
    return {
        "all": play_pointing_game(windows, places, centres),
        "found": play_pointing_game(windows[found], places[found], centres),
    }


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Check whether a photo (size, size, 3) has no colour, by its median pixel: a coloured date doesn't matter."""
    return bool(np.median(pixels.max(axis=2) - pixels.min(axis=2)) <= _COLOURLESS)
