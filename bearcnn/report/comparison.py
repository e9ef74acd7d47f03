"""Comparison of several runs on one page, on photos that none of them was trained on."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bearcnn.errors import BearcnnError
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import METRICS, compare, score
from bearcnn.evaluation.notable import disagreements
from bearcnn.evaluation.predictions import (
    LabelledPrediction,
    as_arrays,
    as_clusters,
    for_threshold,
    in_split,
    read_predictions,
)
from bearcnn.files import write_atomically
from bearcnn.report.charts import precision_recall_curve, roc_curve
from bearcnn.report.page import ReportData, gather, template
from bearcnn.report.svg import STYLES, Axis, Series, draw_lines, nice_range
from bearcnn.report.thumbnails import Picture, make_pictures
from bearcnn.runs import Run

MOST_SHOWN = 12
"""Photos in pictures on which two runs disagree."""


@dataclass(frozen=True, slots=True)
class ShownDisagreement:
    """A photo that two runs call differently, and both answers."""

    picture: Picture
    first: LabelledPrediction
    second: LabelledPrediction


@dataclass(frozen=True, slots=True)
class Disagreements:
    """The photos that a run calls differently from the first one, each at its own threshold."""

    first_right: int
    second_right: int
    shown: list[ShownDisagreement]  # the most different answers first


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side; the others are compared with the first."""

    runs: list[ReportData]
    split: str
    predictions: list[list[LabelledPrediction]]  # of the shared photos, in the same order for each run
    unshared: int  # photos that only some of the runs have in this split
    values: list[dict[str, float]]  # every metric, of each run
    differences: list[dict[str, Estimate]]  # to the first run, of each run but the first
    disagreements: list[Disagreements]  # with the first run, of each run but the first
    changed: dict[str, list[Any]]  # configuration key -> its value in each run, where they differ


def write_comparison(runs: Sequence[Run], out: Path) -> Path:
    """Write the page, and return the file.

    Raises:
        RunError: a run isn't finished.
        BearcnnError: the runs share no photo that they weren't trained on, or the file exists already.
    """
    page = render_comparison(compare_runs(runs))
    write_atomically(out, page.encode("utf-8", "backslashreplace"))
    return out


def compare_runs(runs: Sequence[Run]) -> Comparison:
    """Read the runs and compare them on the test photos that all of them have, or else the validation photos.

    The validation photos of a cross-validated run are those of its folds.
    Photos are the same if their bytes and labels are equal. A photo that any run was trained on is not used.
    """
    gathered = [gather(run, thumbnails=False) for run in runs]
    answers = [read_predictions(run) for run in runs]
    test = [in_split(predictions, "test") for predictions in answers]
    split = "test" if all(test) else "valid"
    judged = test if all(test) else [for_threshold(predictions) for predictions in answers]
    by_photo = [{(each.digest, each.label): each for each in photos} for photos in judged]
    shared = sorted(set.intersection(*(set(photos) for photos in by_photo)))
    if {label for _, label in shared} != {0, 1}:
        names = ", ".join(data.place for data in gathered)
        raise BearcnnError(f"{names} share no {split} photos of both classes: compare runs on the same data")
    predictions = [[photos[photo] for photo in shared] for photos in by_photo]
    labels, first = as_arrays(predictions[0])
    clusters = as_clusters(predictions[0])
    thresholds = [data.manifest.threshold for data in gathered]
    return Comparison(
        runs=gathered,
        split=split,
        predictions=predictions,
        unshared=len(set.union(*(set(photos) for photos in by_photo))) - len(shared),
        values=[
            score(*as_arrays(each), threshold=threshold)
            for each, threshold in zip(predictions, thresholds, strict=True)
        ],
        differences=[
            compare(labels, first, as_arrays(each)[1], thresholds=(thresholds[0], threshold), clusters=clusters)
            for each, threshold in zip(predictions[1:], thresholds[1:], strict=True)
        ],
        disagreements=[
            find_disagreements(predictions[0], each, (thresholds[0], threshold), Path(gathered[0].record["root"]))
            for each, threshold in zip(predictions[1:], thresholds[1:], strict=True)
        ],
        changed=find_changes([data.manifest.config for data in gathered]),
    )


def find_disagreements(
    first: Sequence[LabelledPrediction],
    second: Sequence[LabelledPrediction],
    thresholds: tuple[float, float],
    root: Path,
) -> Disagreements:
    """Find the photos that two runs call differently; the pictures are of the first run's photos, below `root`."""
    places = disagreements(first, second, thresholds)
    first_right = sum((first[place].probability >= thresholds[0]) == (first[place].label == 1) for place in places)
    shown = places[:MOST_SHOWN]
    pictures = make_pictures([first[place] for place in shown], root)
    return Disagreements(
        first_right,
        len(places) - first_right,
        [
            ShownDisagreement(picture, first[place], second[place])
            for place, picture in zip(shown, pictures, strict=True)
        ],
    )


def find_changes(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the dotted keys that differ, with each configuration's value (None where it has none)."""
    flat = [
        {f"{part}.{key}": value for part, keys in config.items() for key, value in keys.items()} for config in configs
    ]
    keys = dict.fromkeys(key for config in flat for key in config)
    found = {key: [config.get(key) for config in flat] for key in keys}
    return {key: values for key, values in found.items() if len({json.dumps(value) for value in values}) > 1}


def render_comparison(comparison: Comparison) -> str:
    """Return the page as HTML."""
    runs = comparison.runs
    page: str = template("compare.html").render(
        comparison=comparison,
        runs=runs,
        names=[Path(data.place).name for data in runs],
        letters=[chr(ord("A") + number % 26) for number in range(len(runs))],
        photos=len(comparison.predictions[0]),
        bears=sum(photo.label for photo in comparison.predictions[0]),
        metrics=METRICS,
        charts=_draw(comparison),
        judge_difference=judge_difference,
        thresholds=[data.manifest.threshold for data in runs],
        positive=runs[0].manifest.classes[1],
    )
    return page


def judge_difference(difference: Estimate, higher_is_better: bool) -> str:
    """Return `better`, `worse`, or `can't tell` where the interval contains 0."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "can't tell"
    return "better" if (difference.low > 0) == higher_is_better else "worse"


def _draw(comparison: Comparison) -> list[Markup]:
    names = [f"{chr(ord('A') + number % 26)}" for number in range(len(comparison.runs))]
    styles = [STYLES[number % len(STYLES)] for number in range(len(names))]

    def series(curve: Callable[[list[LabelledPrediction]], tuple[list[float], list[float]]]) -> list[Series]:
        curves = [curve(predictions) for predictions in comparison.predictions]
        return [Series(name, *points, style) for name, points, style in zip(names, curves, styles, strict=True)]

    histories = [data.history for data in comparison.runs]
    losses = [record.valid_loss for history in histories for record in history]
    longest = max((len(history) for history in histories), default=1)
    return [
        draw_lines(
            "Precision and recall",
            "Every threshold of each run on the shared photos.",
            Axis("recall: share of positives found", 0, 1, True),
            Axis("precision", 0, 1, True),
            series(precision_recall_curve),
        ),
        draw_lines(
            "Found and false alarms (ROC)",
            "Every threshold of each run on the shared photos.",
            Axis("false-positive rate: share of the others mistaken", 0, 1, True),
            Axis("recall", 0, 1, True),
            series(roc_curve),
            diagonal=True,
        ),
        draw_lines(
            "Validation loss",
            "By epoch, of each run.",
            Axis("epoch", 1, max(2, longest)),
            Axis("loss", *nice_range(losses, low=0)),
            [
                Series(
                    name,
                    [float(record.epoch) for record in history],
                    [None if math.isnan(record.valid_loss) else record.valid_loss for record in history],
                    style,
                )
                for name, history, style in zip(names, histories, styles, strict=True)
            ],
        ),
    ]
