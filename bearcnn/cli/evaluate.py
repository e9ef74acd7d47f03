"""`bearcnn evaluate`: how far a model can be relied on."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, Column, choice, open_folder, refuse_empty, reopen_with_progress
from bearcnn.cli.regions import DetectionsFile, show_regions, warn_without_detections
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.config import Config
    from bearcnn.data.dataset import Dataset
    from bearcnn.data.splits import Split
    from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy
    from bearcnn.evaluation.predictions import LabelledPrediction
    from bearcnn.inference.predictor import Predictor
    from bearcnn.runs import Run

SPLITS = ("train", "valid", "test", "folds")


def evaluate(
    run_folder: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder, or with --data a .onnx file alone. Default: the newest run."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Other labelled photos than the run's own.", callback=refuse_empty),
    ] = None,
    column: Column = None,
    split: Annotated[
        str | None, choice("split", SPLITS, help="Photos to evaluate on. Default: test, else folds or valid.")
    ] = None,
    target_recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose the threshold that finds this share of the bears.")
    ] = None,
    target_precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="With --target-recall: a second threshold, from which this share are bears."
        ),
    ] = None,
    max_false_alarms_per_day: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Choose the threshold with no more false alarms per day.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(metavar="NUMBER", help="Evaluate at this threshold.")] = None,
    photos_per_day: Annotated[float | None, typer.Option(metavar="NUMBER", help="Photos taken per day.")] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of photos with a bear where it is used. Default: as in the data."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Score once more without this group of photos; can be repeated."),
    ] = None,
    save_threshold: Annotated[
        bool, typer.Option("--save-threshold", metavar="", help="Write the threshold into the run's model file.")
    ] = False,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="SCORE=VALUE", help="Exit with 1 if a score is lower, such as accuracy=0.95."),
    ] = None,
    as_json: AsJson = False,
    detections: DetectionsFile = None,
) -> None:
    """Evaluate a run's exported model, the file that predict uses; every score has an interval.

    A threshold is chosen on the validation photos and evaluated on the test photos.
    After `train --folds` both are the cross-validated photos, unless there is a test
    folder: each was judged by a network that never saw it.

    Examples:
        bearcnn evaluate

        bearcnn evaluate --target-recall 0.98 --prevalence 0.02 --save-threshold

        bearcnn evaluate --target-recall 0.98 --target-precision 0.9 --prevalence 0.02

        bearcnn evaluate --max-false-alarms-per-day 5 --photos-per-day 400

        bearcnn evaluate --data other-photos --at-least recall=0.98

        bearcnn evaluate --data labels.csv --column label=Species

        bearcnn evaluate --exclude wolf --exclude fox

        bearcnn evaluate bear-int8.onnx --data other-photos
    """
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
    chosen = split or _default_split(run, dataset, own=not data)
    assessment = _assess(file, run, dataset, chosen, policy, own=not data, exclude=exclude or [])
    if run is not None:
        _keep(run, assessment, save_threshold, own=not data)
    _show(file, run, dataset, assessment, as_json)
    if save_threshold:
        _show_kept(file, assessment)
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


def _default_split(run: "Run | None", dataset: "Dataset", own: bool) -> str:
    from bearcnn.data.splits import FOLDS

    split = dataset.evaluation_split()
    return FOLDS if run is not None and own and split == "train" and run.config().train.folds else split


def _predict(
    predictor: "Predictor", run: "Run | None", dataset: "Dataset", split: str, own: bool
) -> "list[LabelledPrediction]":
    """Predict the photos of a split; those of cross-validation were predicted in training, by networks without them."""
    from bearcnn.data.splits import FOLDS
    from bearcnn.evaluation.predictions import in_split, read_predictions
    from bearcnn.inference.score import keep_predictions, predict_split

    if split == FOLDS:
        if run is None or not own or not run.config().train.folds:
            raise BearcnnError(f"no photo of {dataset.root} was cross-validated: bearcnn train --folds 5 does that")
        if not run.predictions_file.is_file():  # it was deleted; the folds still have their answers
            keep_predictions(run, predictor, dataset)
        return in_split(read_predictions(run), FOLDS)
    if not dataset.select(cast("Split", split)):
        raise BearcnnError(f"{dataset.root} has no {split} photos; omit --split, or name another one")
    with console.tracking() as track:
        sites = None if own else _trained_sites(run) if run else set()
        predictions = predict_split(predictor, dataset, cast("Split", split), track("evaluating"), sites)
        if own and run is not None and not run.predictions_file.is_file():  # a run of a version that didn't keep them
            keep_predictions(run, predictor, dataset, predictions)
    return predictions


def _trained_sites(run: "Run") -> set[str]:
    """Return the sites that a run has training photos of."""
    trained = [each for each in run.dataset_record()["examples"] if each["split"] == "train"]
    return {each["site"] for each in trained if "site" in each}


def _assess(
    file: Path,
    run: "Run | None",
    dataset: "Dataset",
    split: str,
    policy: "ThresholdPolicy",
    own: bool,
    exclude: list[str],
) -> "Assessment":
    """Assess the model file on a split, at a threshold chosen on the validation photos of the run."""
    from bearcnn.cli.display.predictions import show_engine
    from bearcnn.evaluation.assessment import assess, choose_threshold, choose_unsure
    from bearcnn.evaluation.predictions import validation_predictions
    from bearcnn.inference.predictor import Predictor

    predictor = Predictor(file)
    show_engine(predictor.engine)
    predictions = _predict(predictor, run, dataset, split, own)
    validation = validation_predictions(run) if run is not None and policy.chooses else []
    choice = choose_threshold(policy, validation, predictor.manifest.threshold)
    return assess(
        predictions, split, choice, policy, trained_on=split if own else None,
        monitor=run.config().train.monitor if run is not None else "", body=predictor.manifest.body, exclude=exclude,
        unsure=choose_unsure(policy, validation, choice),
    )  # fmt: skip


def _keep(run: "Run", assessment: "Assessment", save: bool, own: bool) -> None:
    """Write the threshold into the model file if that is asked for, and the report anew for the run's own photos."""
    from bearcnn.inference.stamp import save_threshold
    from bearcnn.report.page import write_report

    if save:
        save_threshold(run, assessment)
    if own:
        try:
            write_report(run)
        except BearcnnError as error:  # a folder that can't be written to, a run of an older version
            console.note(f"[yellow]no report: {console.plain(str(error))}[/]")


def _show(file: Path, run: "Run | None", dataset: "Dataset", assessment: "Assessment", as_json: bool) -> None:
    from bearcnn.cli.display.evaluation import show_assessment

    if as_json:
        place = {"model": str(file)} if run is None else {"run": str(run.directory)}
        console.print_json({**place, "data": str(dataset.root), **assessment.to_json()})
    else:
        show_assessment(assessment, f"{dataset.root}, {assessment.split}", dataset.classes)


def _show_kept(file: Path, assessment: "Assessment") -> None:
    kept, two = console.plain(str(file)), assessment.unsure
    if two is None:
        console.note(f"threshold {assessment.choice.threshold:.4g} is now that of {kept}; predict uses it")
    else:
        console.note(
            f"thresholds {two.range.lower:.4g} and {two.range.upper:.4g} are now those of {kept}; predict uses the "
            "first, predict --unsure both"
        )
    console.note("files exported before keep the threshold that they have: export them again")


def _require(assessment: "Assessment", required: list[tuple[str, float]]) -> None:
    from bearcnn.evaluation.formats import decimal

    for name, value in required:
        reached = assessment.evaluation.estimates[name].value
        if reached is None or reached < value:
            raise BearcnnError(f"{name} is {decimal(reached)}, less than {value:g}")
