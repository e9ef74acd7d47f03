"""Display of a learning curve: the answer, the table, and how it was measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from bearcnn.cli.display.console import make_table, out, plain
from bearcnn.evaluation.formats import decimal, target_percent
from bearcnn.evaluation.learning_curve import FALSE_ALARMS, RECALL, LearningCurve, answer
from bearcnn.evaluation.wording import share

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.sweep.plan import Plan


def show_curve(curve: LearningCurve, plan: "Plan", directory: Path, dataset: "Dataset") -> None:
    """Show the answer first, then the table, the rules and the files."""
    out.print(f"\n[bold]{plain(answer(curve))}[/]\n")
    seeds = len(plan.seeds)
    table = make_table(
        "photos",
        "validation AUC\n(95% interval)",
        f"recall at {target_percent(FALSE_ALARMS)}\nfalse alarms",
        f"false alarms at\n{target_percent(RECALL)} recall",
        numbers=4,
    )
    for point in curve.points:
        auc = point.roc_auc
        table.add_row(
            f"{point.photos:,}" + (f" (n={point.runs})" if point.runs < seeds else ""),
            f"{decimal(auc.value)} ({decimal(auc.low)} to {decimal(auc.high)})",
            share(point.recall),
            share(point.false_alarms),
        )
    out.print(table)
    for remark in _remarks(curve, plan, dataset):
        out.print(f"[dim]{plain(remark)}[/]")
    out.print(f"\nin {plain(str(directory))}:", soft_wrap=True)
    for file, what in (
        ("learning_curve.png", "the picture"),
        ("summary.json", "the numbers above, for programs"),
        ("trials.csv, trials/", "each training run; add sizes or seeds with --resume"),
    ):
        out.print(f"  {file:20} [dim]{what}[/]", soft_wrap=True)


def _remarks(curve: LearningCurve, plan: "Plan", dataset: "Dataset") -> list[str]:
    train, others = plan.config.train, curve.validation_photos - curve.validation_positives
    means = "One seed" if len(plan.seeds) == 1 else f"Means over {len(plan.seeds)} seeds"
    same = (
        "; with all photos only the training differs" if curve.points[-1].photos == len(dataset.select("train")) else ""
    )
    remarks = [
        f"{means}, each with its own draw of the photos{same}. Scored on {curve.validation_photos:,} validation photos "
        f"({curve.validation_positives:,} {dataset.classes[1]}, {others:,} others); the intervals cover other such "
        "photos and other seeds.",
        f"Every run had {train.epochs:,} epochs and at least {train.min_steps:,} steps (train.min_steps): few photos "
        "are gone through more often in each epoch.",
    ]
    if others * FALSE_ALARMS < 1:
        remarks.append(
            f"With {others} other photos to validate on, {target_percent(FALSE_ALARMS)} false alarms is none at all."
        )
    if curve.check and curve.check.predicted.value is not None:
        last, predicted = curve.points[-1], curve.check.predicted
        remarks.append(
            f"A check of the guess: continued in the same way, the smaller sizes gave {decimal(predicted.value)} "
            f"({decimal(predicted.low)} to {decimal(predicted.high)}) for {last.photos:,} photos; measured "
            f"{decimal(curve.check.measured)}."
        )
    if curve.extrapolation:
        guess = curve.extrapolation
        remarks.append(
            f"The curve: 1 - AUC = {guess.floor:.3g} + {guess.scale:.3g} x photos^-{guess.exponent:.2g}. Its interval "
            "does not cover that the true curve may bend otherwise, or that new photos may be of another kind."
        )
    return remarks
