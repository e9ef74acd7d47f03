"""`bearcnn evaluate`: how far a model can be relied on."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.help import MORE
from bearcnn.cli.options import AsJson, Column, choice, open_folder, refuse_empty, reopen_with_progress
from bearcnn.cli.regions import DetectionsFile, show_regions, warn_without_detections
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.config import Config
    from bearcnn.data.dataset import Dataset
    from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy

SPLITS = ("train", "valid", "test", "folds")


def evaluate(
    run_folder: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder, or a .onnx file.", show_default="the newest run"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Other labelled photos.", show_default="the run's own", callback=refuse_empty
        ),
    ] = None,
    target_recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose the threshold that finds this share of bears.")
    ] = None,
    max_false_alarms_per_day: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Choose the threshold with at most so many.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Evaluate at this threshold.", show_default="the model file's"),
    ] = None,
    save_threshold: Annotated[
        bool, typer.Option("--save-threshold", metavar="", help="Write the threshold into the run's model file.")
    ] = False,
    prevalence: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of photos with a bear.", show_default="as in the data"),
    ] = None,
    photos_per_day: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Photos taken per day in use.", show_default="1000")
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", metavar="", help="Every score, kind and site; the worst mistakes.")
    ] = False,
    as_json: AsJson = False,
    split: Annotated[
        str | None,
        choice("split", SPLITS, help="Photos to evaluate on.", panel=MORE, default="test, else folds or valid"),
    ] = None,
    target_precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --target-recall: a second threshold, from which this share are bears.",
            rich_help_panel=MORE,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="Score once more without this group of photos; can be repeated.",
            rich_help_panel=MORE,
        ),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCORE=VALUE",
            help="Exit code 1 if a score is lower, such as accuracy=0.95; can be repeated.",
            rich_help_panel=MORE,
        ),
    ] = None,
    column: Column = None,
    detections: DetectionsFile = None,
) -> None:
    """Evaluate a run's exported model, the file that predict uses.

    The answer comes in seven lines; --all shows every score with its interval.
    A threshold is chosen on the validation photos and evaluated on the test photos. After `train --folds` both are the
    cross-validated photos, unless there is a test folder: each was judged by a network that never saw it.

    Examples:
        bearcnn evaluate

        bearcnn evaluate --target-recall 0.98 --prevalence 0.02 --save-threshold

        bearcnn evaluate --target-recall 0.98 --target-precision 0.9

        bearcnn evaluate --max-false-alarms-per-day 5 --photos-per-day 400

        bearcnn evaluate --data other-photos --at-least recall=0.98

        bearcnn evaluate --data labels.csv --column label=Species

        bearcnn evaluate --exclude wolf --exclude fox

        bearcnn evaluate bear-int8.onnx --data other-photos
    """
    from bearcnn.cli.evaluate_steps import (
        assess_file,
        default_split,
        keep,
        next_command,
        print_assessment,
        show,
        show_kept,
    )
    from bearcnn.evaluation.assessment import ThresholdPolicy
    from bearcnn.inference.stamp import check_config
    from bearcnn.manifest import read_manifest
    from bearcnn.runs import open_run

    if column and not data:
        raise BearcnnError("--column names the columns of a CSV file: name that file with `data`")
    required = [_parse_requirement(text) for text in at_least or []]
    policy = ThresholdPolicy(
        target_recall, target_precision, max_false_alarms_per_day, threshold, photos_per_day, prevalence
    )
    policy.check(saving=save_threshold)
    if detections is not None and data is None:
        raise BearcnnError("`detections` are of other photos: add `data`; of its own photos a run keeps the boxes")
    if run_folder is not None and run_folder.is_file():
        file, run = run_folder, None
        dataset = _open_for_file(file, data, column, policy, save_threshold, detections)
    else:
        run = open_run(run_folder)
        file = run.onnx_file
        check_config(run, read_manifest(file))
        dataset = _open_other(file, data, run.config(), column, detections) if data else reopen_with_progress(run)
    chosen = split or default_split(run, dataset, own=not data)
    assessment, calibration_error = assess_file(file, run, dataset, chosen, policy, own=not data, exclude=exclude or [])
    if run is not None:
        keep(run, assessment, save_threshold, own=not data)
    if as_json:
        print_assessment(file, run, dataset, assessment)
    else:
        following = next_command(run_folder, run, assessment, save_threshold, prevalence is not None)
        show(dataset, assessment, calibration_error, following, show_all)
    if save_threshold:
        show_kept(file, assessment)
    _require(assessment, required)


def _open_for_file(
    file: Path,
    data: str | None,
    column: list[str] | None,
    policy: "ThresholdPolicy",
    save_threshold: bool,
    detections: Path | None,
) -> "Dataset":
    """Open labelled photos for a model file alone, which knows none; its manifest says how they are prepared."""
    from bearcnn.config import make_config
    from bearcnn.manifest import read_manifest

    manifest = read_manifest(file)
    if data is None:
        raise BearcnnError(f"{file} is a model file alone: add `data` with labelled photos, or name its run folder")
    if policy.chooses or save_threshold:
        raise BearcnnError(
            f"{file} is a model file alone: a threshold is chosen on a run's validation photos, and kept in the run; "
            "name the run folder, or only give `threshold`"
        )
    return _open_other(file, data, make_config(manifest.config), column, detections)


def _open_other(
    file: Path, data: str, config: "Config", column: list[str] | None, detections: Path | None
) -> "Dataset":
    """Open photos that the run knows nothing of, as the crops or tiles that the model is made for."""
    from bearcnn.manifest import read_manifest

    if detections is None:
        warn_without_detections(read_manifest(file))
    dataset = open_folder(data, config, column, detections)
    show_regions(dataset, str(detections))
    return dataset


def _parse_requirement(text: str) -> tuple[str, float]:
    from bearcnn.evaluation.metrics import METRICS

    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name not in METRICS or not METRICS[name].higher_is_better or math.isnan(number):
        known = ", ".join(known for known, metric in METRICS.items() if metric.higher_is_better)
        raise BearcnnError(f"--at-least {text}: expected SCORE=VALUE, such as accuracy=0.95; the scores are {known}")
    return name, number


def _require(assessment: "Assessment", required: list[tuple[str, float]]) -> None:
    from bearcnn.evaluation.formats import decimal

    for name, value in required:
        reached = assessment.evaluation.estimates[name].value
        if reached is None or reached < value:
            raise BearcnnError(f"{name} is {decimal(reached)}, less than {value:g}")
