"""`bearcnn evaluate`, `report`: how far a model can be relied on."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, RunFolder, open_folder, reopen_with_progress
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy
    from bearcnn.runs import Run


class Split(StrEnum):
    """The parts of a data set."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


def evaluate(
    run_folder: RunFolder = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Other labelled photos than the run's own.")] = None,
    split: Annotated[
        Split | None, typer.Option(metavar="PART", help="train, valid or test. Default: test, or valid without one.")
    ] = None,
    target_recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose the threshold that finds this share of the bears.")
    ] = None,
    max_false_alarms_per_day: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Choose the threshold with no more false alarms a day.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(metavar="NUMBER", help="Judge at this threshold.")] = None,
    photos_per_day: Annotated[float | None, typer.Option(metavar="NUMBER", help="Photos taken in a day.")] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of photos with a bear where it is used. Default: as in the data."),
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
    """Judge a run's exported model, with intervals: what is evaluated is the very file that predict uses.

    A threshold is chosen on the validation photos and judged on the test photos.

    Examples:
        bearcnn evaluate

        bearcnn evaluate --target-recall 0.98 --prevalence 0.02 --save-threshold

        bearcnn evaluate --max-false-alarms-per-day 5 --photos-per-day 400

        bearcnn evaluate --data other-photos --at-least recall=0.98
    """
    from bearcnn.evaluation.assessment import ThresholdPolicy
    from bearcnn.inference.stamp import save_threshold as write_threshold
    from bearcnn.runs import open_run

    required = [_parse_requirement(text) for text in at_least or []]
    policy = ThresholdPolicy(target_recall, max_false_alarms_per_day, threshold, photos_per_day, prevalence)
    policy.check(saving=save_threshold)
    run = open_run(run_folder)
    dataset = open_folder(data, run.config()) if data else reopen_with_progress(run)
    assessment = _assess(run, dataset, split.value if split else dataset.evaluation_split(), policy, own=not data)
    if save_threshold:
        write_threshold(run, assessment)
    if not data:
        _write_report(run)
    if as_json:
        console.print_json({"run": str(run.directory), "data": str(dataset.root), **assessment.to_json()})
    else:
        console.show_assessment(assessment, f"{dataset.root}, {assessment.split}", dataset.classes)
    if save_threshold:
        console.note(f"threshold {assessment.choice.threshold:.4g} is now that of {run.onnx_file}; predict uses it")
    for name, value in required:
        reached = assessment.evaluation.estimates[name].value
        if reached is None or reached < value:
            raise BearcnnError(f"{name} is {'undefined' if reached is None else f'{reached:.4f}'}, less than {value:g}")


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


def _assess(run: "Run", dataset: "Dataset", split: Any, policy: "ThresholdPolicy", own: bool) -> "Assessment":
    """Assess the model file on a split, at a threshold chosen on the validation photos of the run."""
    from bearcnn.evaluation.assessment import assess, choose_threshold
    from bearcnn.evaluation.predictions import validation_predictions
    from bearcnn.inference.predictor import Predictor
    from bearcnn.inference.score import keep_predictions, predict_split

    if not dataset.select(split):
        raise BearcnnError(f"{dataset.root} has no {split} photos; leave --split out, or name another one")
    predictor = Predictor(run.onnx_file)
    with console.tracking() as track:
        predictions = predict_split(predictor, dataset, split, track("evaluating"))
        if own and not run.predictions_file.is_file():  # a run of a version that didn't keep them
            keep_predictions(run, predictor, dataset, predictions)
    validation = validation_predictions(run) if policy.chooses else []
    choice = choose_threshold(policy, validation, predictor.manifest.threshold)
    return assess(predictions, split, choice, policy, trained_on=split if own else None)


def _write_report(run: "Run") -> None:
    from bearcnn.report.page import write_report

    try:
        write_report(run)
    except BearcnnError as error:  # a folder that can't be written to, a run of an older version
        console.note(f"[yellow]no report: {console.plain(str(error))}[/]")


def report(
    run_folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUNS...", help="One run, or several to compare. Default: the newest."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Page to write. Default: report.html in the run; compare.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's report: one page for the browser, with no need of a network. Several runs are compared.

    Examples:
        bearcnn report

        bearcnn report runs/first runs/second --out compare.html
    """
    from bearcnn.report.comparison import write_comparison
    from bearcnn.report.page import write_report
    from bearcnn.runs import open_run

    runs = [open_run(folder) for folder in run_folders] if run_folders else [open_run(None)]
    file = write_report(runs[0], out) if len(runs) == 1 else write_comparison(runs, out or Path("compare.html"))
    if as_json:
        console.print_json({"report": str(file), "bytes": file.stat().st_size})
    else:
        console.say(f"{console.plain(str(file))}: open it in a browser ({file.stat().st_size / 1e6:.1f} MB)")
