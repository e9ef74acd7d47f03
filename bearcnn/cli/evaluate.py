"""`bearcnn evaluate`: how far a model can be relied on."""

import math
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, RunFolder, choice, open_folder, refuse_empty, reopen_with_progress
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.data.splits import Split
    from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy
    from bearcnn.runs import Run

SPLITS = ("train", "valid", "test", "folds")


def evaluate(
    run_folder: RunFolder = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Other labelled photos than the run's own.", callback=refuse_empty),
    ] = None,
    split: Annotated[
        str | None, choice("split", SPLITS, help="Photos to evaluate on. Default: test, else folds or valid.")
    ] = None,
    target_recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose the threshold that finds this share of the bears.")
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
) -> None:
    """Evaluate a run's exported model, the file that predict uses; every score has an interval.

    A threshold is chosen on the validation photos and evaluated on the test photos.
    After `train --folds` both are the cross-validated photos, unless there is a test
    folder: each was judged by a network that never saw it.

    Examples:
        bearcnn evaluate

        bearcnn evaluate --target-recall 0.98 --prevalence 0.02 --save-threshold

        bearcnn evaluate --max-false-alarms-per-day 5 --photos-per-day 400

        bearcnn evaluate --data other-photos --at-least recall=0.98

        bearcnn evaluate --exclude wolf --exclude fox
    """
    from bearcnn.evaluation.assessment import ThresholdPolicy
    from bearcnn.runs import open_run

    required = [_parse_requirement(text) for text in at_least or []]
    policy = ThresholdPolicy(target_recall, max_false_alarms_per_day, threshold, photos_per_day, prevalence)
    policy.check(saving=save_threshold)
    run = open_run(run_folder)
    dataset = open_folder(data, run.config()) if data else reopen_with_progress(run)
    chosen = split or _default_split(run, dataset, own=not data)
    assessment = _assess(run, dataset, chosen, policy, own=not data, exclude=exclude or [])
    _keep(run, assessment, save_threshold, own=not data)
    _show(run, dataset, assessment, as_json)
    if save_threshold:
        kept = console.plain(str(run.onnx_file))
        console.note(f"threshold {assessment.choice.threshold:.4g} is now that of {kept}; predict uses it")
    _require(assessment, required)


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


def _default_split(run: "Run", dataset: "Dataset", own: bool) -> str:
    from bearcnn.data.splits import FOLDS

    split = dataset.evaluation_split()
    return FOLDS if own and split == "train" and run.config().train.folds else split


def _assess(
    run: "Run", dataset: "Dataset", split: str, policy: "ThresholdPolicy", own: bool, exclude: list[str]
) -> "Assessment":
    """Assess the model file on a split, at a threshold chosen on the validation photos of the run."""
    from bearcnn.data.splits import FOLDS
    from bearcnn.evaluation.assessment import assess, choose_threshold
    from bearcnn.evaluation.predictions import in_split, read_predictions, validation_predictions
    from bearcnn.inference.predictor import Predictor
    from bearcnn.inference.score import keep_predictions, predict_split

    cross_validated = split == FOLDS
    if cross_validated and not (own and run.config().train.folds):
        raise BearcnnError(
            f"{dataset.root} has no photos that {run.directory} cross-validated (bearcnn train --folds 5)"
        )
    if not cross_validated and not dataset.select(cast("Split", split)):
        raise BearcnnError(f"{dataset.root} has no {split} photos; omit --split, or name another one")
    predictor = Predictor(run.onnx_file)
    with console.tracking() as track:
        predictions = (
            [] if cross_validated else predict_split(predictor, dataset, cast("Split", split), track("evaluating"))
        )
        if own and not run.predictions_file.is_file():  # a run of a version that didn't keep them
            keep_predictions(run, predictor, dataset, predictions)
    if cross_validated:
        predictions = in_split(read_predictions(run), FOLDS)
    validation = validation_predictions(run) if policy.chooses else []
    choice = choose_threshold(policy, validation, predictor.manifest.threshold)
    return assess(
        predictions, split, choice, policy, trained_on=split if own else None, monitor=run.config().train.monitor,
        body=predictor.manifest.body, exclude=exclude,
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


def _show(run: "Run", dataset: "Dataset", assessment: "Assessment", as_json: bool) -> None:
    from bearcnn.cli.display.evaluation import show_assessment

    if as_json:
        console.print_json({"run": str(run.directory), "data": str(dataset.root), **assessment.to_json()})
    else:
        show_assessment(assessment, f"{dataset.root}, {assessment.split}", dataset.classes)


def _require(assessment: "Assessment", required: list[tuple[str, float]]) -> None:
    from bearcnn.evaluation.formats import decimal

    for name, value in required:
        reached = assessment.evaluation.estimates[name].value
        if reached is None or reached < value:
            raise BearcnnError(f"{name} is {decimal(reached)}, less than {value:g}")
