"""The steps of `bearcnn evaluate` after its options: predict, assess, keep the threshold, show."""

import shlex
from pathlib import Path
from typing import cast

from bearcnn.cli.display import console
from bearcnn.cli.display.evaluation import show_details, show_summary
from bearcnn.cli.display.predictions import show_engine
from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import FOLDS, Split
from bearcnn.errors import BearcnnError
from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy, assess, choose_threshold, choose_unsure
from bearcnn.evaluation.calibration import measure_reliability
from bearcnn.evaluation.predictions import (
    LabelledPrediction,
    as_arrays,
    in_split,
    read_predictions,
    validation_predictions,
)
from bearcnn.evaluation.summary import summarize
from bearcnn.evaluation.wording import is_default
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.score import keep_predictions, predict_split
from bearcnn.inference.stamp import save_threshold
from bearcnn.report.page import write_report
from bearcnn.report.verdict import judge
from bearcnn.runs import Run


def default_split(run: Run | None, dataset: Dataset, own: bool) -> str:
    """Return the split that is evaluated unless another one is asked for."""
    split = dataset.evaluation_split()
    return FOLDS if run is not None and own and split == "train" and run.config().train.folds else split


def assess_file(
    file: Path,
    run: Run | None,
    dataset: Dataset,
    split: str,
    policy: ThresholdPolicy,
    own: bool,
    exclude: list[str],
) -> tuple[Assessment, float]:
    """Assess the model file on a split, at a threshold chosen on the run's validation photos; and its calibration."""
    predictor = Predictor(file)
    show_engine(predictor.engine)
    predictions = _predict(predictor, run, dataset, split, own)
    validation = validation_predictions(run) if run is not None and policy.chooses else []
    choice = choose_threshold(policy, validation, predictor.manifest.threshold)
    assessment = assess(
        predictions,
        split,
        choice,
        policy,
        trained_on=split if own else None,
        monitor=run.config().train.monitor if run is not None else "",
        body=predictor.manifest.body,
        exclude=exclude,
        unsure=choose_unsure(policy, validation, choice),
    )
    return assessment, measure_reliability(*as_arrays(predictions)).calibration_error


def keep(run: Run, assessment: Assessment, save: bool, own: bool) -> None:
    """Write the threshold into the model file if that is asked for, and the report anew for the run's own photos."""
    if save:
        save_threshold(run, assessment)
    if own:
        try:
            write_report(run)
        except BearcnnError as error:  # a folder that can't be written to, a run of an older version
            console.note(f"[yellow]no report: {console.plain(str(error))}[/]")


def print_assessment(file: Path, run: Run | None, dataset: Dataset, assessment: Assessment) -> None:
    """Print the whole assessment for programs."""
    place = {"model": str(file)} if run is None else {"run": str(run.directory)}
    console.print_json({**place, "data": str(dataset.root), **assessment.to_json()})


def show(dataset: Dataset, assessment: Assessment, calibration_error: float, following: str, everything: bool) -> None:
    """Show the assessment in seven lines, and the details that were asked for."""
    positive = dataset.classes[1]
    style, words, _ = judge(assessment.evaluation, assessment.point, positive)
    show_summary(summarize(assessment, calibration_error, positive, words), style, following, everything)
    show_details(assessment, f"{dataset.root}, {assessment.split}", dataset.classes, everything)


def next_command(named: Path | None, run: Run | None, assessment: Assessment, saved: bool, has_prevalence: bool) -> str:
    """Return the command that follows: one that improves the model, chooses a threshold, keeps it, or uses it."""
    place = f" {shlex.quote(str(named))}" if named is not None else ""
    rule, auc = assessment.choice.rule, assessment.evaluation.estimates["roc_auc"]
    if run is None or saved or (rule == "model" and not is_default(assessment.choice)):
        return f"bearcnn predict PHOTOS{' --model' if place else ''}{place}"
    if auc.low is not None and auc.low <= 0.5:  # no threshold helps; its answer may be to train longer
        return "bearcnn learning-curve"
    if rule == "model":
        return f"bearcnn evaluate{place} --target-recall 0.98{'' if has_prevalence else ' --prevalence 0.02'}"
    return "the same command and --save-threshold, for predict to use this threshold"


def show_kept(file: Path, assessment: Assessment) -> None:
    """Say where the threshold was written, and who uses it."""
    kept, two = console.plain(str(file)), assessment.unsure
    if two is None:
        console.note(f"threshold {assessment.choice.threshold:.3g} is now that of {kept}; predict uses it")
    else:
        console.note(
            f"thresholds {two.range.lower:.3g} and {two.range.upper:.3g} are now those of {kept}; predict uses the "
            "first, predict --unsure both"
        )
    console.note("files exported before keep the threshold that they have: export them again")


def _predict(
    predictor: Predictor, run: Run | None, dataset: Dataset, split: str, own: bool
) -> list[LabelledPrediction]:
    """Predict the photos of a split; those of cross-validation were predicted in training, by networks without them."""
    if split == FOLDS:
        if run is None or not own or not run.config().train.folds:
            raise BearcnnError(f"no photo of {dataset.root} was cross-validated: bearcnn train --folds 5 does that")
        if not run.predictions_file.is_file():  # it was deleted; the folds still have their answers
            keep_predictions(run, predictor, dataset)
        return in_split(read_predictions(run), FOLDS)
    if not dataset.select(cast(Split, split)):
        raise BearcnnError(f"{dataset.root} has no {split} photos; omit --split, or name another one")
    with console.tracking() as track:
        sites = None if own else _trained_sites(run) if run else set()
        predictions = predict_split(predictor, dataset, cast(Split, split), track("evaluating"), sites)
        if own and run is not None and not run.predictions_file.is_file():  # a run of a version that didn't keep them
            keep_predictions(run, predictor, dataset, predictions)
    return predictions


def _trained_sites(run: Run) -> set[str]:
    """Return the sites that a run has training photos of."""
    trained = [each for each in run.dataset_record()["examples"] if each["split"] == "train"]
    return {each["site"] for each in trained if "site" in each}
