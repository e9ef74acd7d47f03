"""Display of an evaluation: seven lines first; then every score, the costs of the threshold, groups, mistakes."""

from collections.abc import Sequence

from bearcnn.cli.display.console import VERDICT_COLORS, make_table, note, out, plain
from bearcnn.evaluation.assessment import Assessment, Exclusion
from bearcnn.evaluation.formats import count, decimal, percent, target_percent
from bearcnn.evaluation.metrics import Evaluation
from bearcnn.evaluation.unsure import UnsureAssessment
from bearcnn.evaluation.wording import interval, metric_words, plural, threshold_origin, unsure_origin

Classes = tuple[str, str]
"""Names of the negative and the positive class."""

MOST_SITES = 12
"""Sites that are shown, the worst first."""


def show_summary(sentences: Sequence[str], style: str, following: str, everything: bool) -> None:
    """Show an assessment in sentences, the first in the color of its verdict, and the command to go on with."""
    first, *others = sentences
    out.print(f"[bold {VERDICT_COLORS[style]}]{plain(first)}[/]", soft_wrap=True)
    for sentence in others:
        out.print(plain(sentence), soft_wrap=True)
    out.print(f"Next: [bold]{plain(following)}[/]" + ("" if everything else "  (more: --all)"), soft_wrap=True)


def show_details(assessment: Assessment, title: str, classes: Classes, everything: bool) -> None:
    """Show what was asked for by options of its own, or everything."""
    if everything or assessment.without is not None:
        out.print()
        show_scores(assessment.evaluation, title, classes, assessment.without)
    if everything:
        _show_costs(assessment, classes[1])
    if assessment.unsure is not None:
        _show_unsure(assessment.unsure, classes[1])
    if everything:
        _show_groups(assessment, classes)
        _show_sites(assessment, classes[1])
        _show_mistakes(assessment, classes[1])
    for remark in assessment.notes:
        note(f"[yellow]{plain(remark)}[/]")


def show_scores(evaluation: Evaluation, title: str, classes: Classes, without: Exclusion | None = None) -> None:
    """Show every score with its interval, those without some of the photos beside it, and the confusion matrix."""
    negative, positive = map(plain, classes)
    out.print(
        f"[bold]{plain(title)}[/]: {evaluation.n:,} photos, {evaluation.positives:,} {positive}; "
        f"threshold {evaluation.threshold:.3f}",
        soft_wrap=True,
    )
    confidence = f"{evaluation.confidence:.0%} interval"
    if without is None:
        table = make_table("score", "value", confidence, numbers=2)
    else:
        table = make_table("score", "value", confidence, "without *", confidence, numbers=4)
    for name, estimate in evaluation.estimates.items():
        row = [metric_words(name), decimal(estimate.value), interval(estimate)]
        if without is not None:
            other = without.evaluation.estimates[name]
            row += [decimal(other.value), interval(other)]
        table.add_row(*row)
    out.print(table)
    if without is not None:
        left = without.evaluation
        out.print(
            f"* without the photos of {plain(', '.join(without.subclasses))}: {left.n:,} photos, {left.positives:,} "
            f"{positive}",
            soft_wrap=True,
        )
    confusion = evaluation.confusion
    matrix = make_table("confusion", f"called {positive}", f"called {negative}", numbers=2)
    matrix.add_row(f"is {positive}", f"{confusion.true_positive:,}", f"{confusion.false_negative:,}")
    matrix.add_row(f"is {negative}", f"{confusion.false_positive:,}", f"{confusion.true_negative:,}")
    out.print()
    out.print(matrix)


def _show_costs(assessment: Assessment, positive: str) -> None:
    """Show where the threshold comes from, and what it costs per day."""
    choice, point = assessment.choice, assessment.point
    origin = threshold_origin(choice, positive)
    out.print(f"\nThe threshold is [bold]{choice.threshold:.3g}[/]. {plain(origin)}")
    prevalence = target_percent(point.prevalence)
    out.print(f"Of {point.photos_per_day:,.0f} photos per day, if {prevalence} have a {plain(positive)}:")
    table = make_table("in use", "value", f"{assessment.evaluation.confidence:.0%} interval", numbers=2)
    for name, estimate, text in (
        (f"{plural(positive)} found", point.recall, percent),
        ("false alarms, of other photos", point.false_positive_rate, percent),
        ("photos left to look at", point.photos_to_look_at, percent),
        ("alerts per day", point.alerts_per_day, count),
        ("false alarms per day", point.false_alarms_per_day, count),
        (f"alerts that are {plural(positive)}", point.precision, percent),
    ):
        table.add_row(plain(name), text(estimate.value), interval(estimate, text))
    out.print(table)


def _show_unsure(assessment: UnsureAssessment, positive: str) -> None:
    """Show the two thresholds, where the upper one comes from, and how many photos are left to a person."""
    name, names, chosen = plain(positive), plain(plural(positive)), assessment.range
    out.print(f"\n{plain(unsure_origin(chosen, positive))}")
    if chosen.empty:
        return
    table = make_table("with unsure photos", "value", "95% interval", numbers=2)
    for row, estimate in (
        (f"photos that are unsure, from {chosen.lower:.3g} on", assessment.unsure),
        (f"photos called {name}, from {chosen.upper:.3g} on", assessment.called),
        (f"photos called {name} that are {names}", assessment.precision),
        (f"{names} called {name}", assessment.found_alone),
        (f"{names} among the unsure", assessment.bears_unsure),
    ):
        table.add_row(row, percent(estimate.value), interval(estimate, percent))
    out.print(table)


def _show_groups(assessment: Assessment, classes: Classes) -> None:
    confidence = f"{assessment.evaluation.confidence:.0%} interval"
    table = make_table("errors by group of photos", "photos", "errors", "share", confidence, numbers=4)
    for row in assessment.groups:
        name = f"{classes[row.label]}: {row.name}" if row.name != classes[row.label] else row.name
        table.add_row(
            plain(name), f"{row.photos:,}", f"{row.wrong:,}", percent(row.rate.value), interval(row.rate, percent)
        )
    out.print()
    out.print(table)


def _show_sites(assessment: Assessment, positive: str) -> None:
    """Show the errors by site, those of the worst ones."""
    if not assessment.sites:
        return
    table = make_table(
        "errors by site",
        "trained on",
        "photos",
        f"{plain(plural(positive))} missed",
        "false alarms",
        "wrong",
        numbers=4,
    )
    worst = [row for row in assessment.sites if row.missed or row.false_alarms]
    shown = assessment.sites if len(assessment.sites) <= MOST_SITES else worst[:MOST_SITES] or assessment.sites[:1]
    for row in shown:
        seen = "" if row.seen is None else "yes" if row.seen else "no"
        table.add_row(
            plain(row.site),
            seen,
            f"{row.photos:,}",
            f"{row.missed:,} of {row.bears:,}",
            f"{row.false_alarms:,} of {row.photos - row.bears:,}",
            percent(row.rate.value),
        )
    out.print()
    out.print(table)
    if more := len(assessment.sites) - len(shown):
        left = len(worst) - len(shown)
        what = f"{left:,} of them with errors; --json has all" if left > 0 else "without an error"
        out.print(f"and {more:,} more sites, {what}")


def _show_mistakes(assessment: Assessment, positive: str) -> None:
    if not assessment.mistakes:
        return
    out.print("\n[bold]worst mistakes[/]")
    width = len(max(f"missed {positive}", "false alarm", key=len))
    for photo in assessment.mistakes:
        mistake = f"missed {positive}" if photo.label else "false alarm"
        out.print(f"{plain(f'{mistake:{width}}')}  {photo.probability:5.3f}  {plain(photo.path)}", soft_wrap=True)
