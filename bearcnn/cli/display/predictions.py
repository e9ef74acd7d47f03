"""Display of predictions, each as soon as it is there: a table for people, a format's text for programs."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TextColumn

from bearcnn.cli.display.console import err, make_table, name_options, note, out, plain
from bearcnn.inference.engines import Choice
from bearcnn.inference.labels import UNSURE, Labelling
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.tally import MOST_REASONS, UNREADABLE, Tally

if TYPE_CHECKING:
    from bearcnn.inference.answered import Answered
    from bearcnn.inference.bursts import Bursts
    from bearcnn.inference.camtrap.plan import PackagePlan
    from bearcnn.inference.sort_photos import SortedPhotos

MOST_SITES = 12
"""Rows of the table of camera sites; the others are summed up in one."""


def show_engine(engine: Choice) -> None:
    """Show which engine computes, and why, if it isn't the first choice."""
    if engine.passed_over:
        note(f"[yellow]note:[/] {plain(engine.passed_over)}; {engine.row.title} computes instead")


def show_model(file: Path, predictor: Predictor, labelling: Labelling) -> None:
    """Show which model answers, at which threshold."""
    show_engine(predictor.engine)
    manifest = predictor.manifest
    body = f" (with the body {manifest.body['name']}, {manifest.body['licence']})" if manifest.body else ""
    threshold = f"threshold {labelling.upper:.3g}"
    if labelling.lower != labelling.upper:
        threshold = f"unsure from {labelling.lower:.3g} to {labelling.upper:.3g}"
    note(f"[dim]model {plain(str(file) + body)}, {threshold}[/]")


def print_table(predictions: Iterable[Prediction], labelling: Labelling) -> None:
    """Print a line for each prediction."""
    width = max(map(len, (*labelling.names, UNREADABLE)))
    colors = {labelling.classes[0]: "green", labelling.classes[1]: "bold red", UNSURE: "yellow"}
    for each in predictions:
        path = plain(each.path)
        if each.probability is None or each.label is None:
            out.print(f"[yellow]{UNREADABLE:{width}}[/]         {path}: {plain(each.error or '')}", soft_wrap=True)
            continue
        label = f"[{colors[each.label]}]{plain(f'{each.label:{width}}')}[/]"
        out.print(f"{label}  {each.probability:5.3f}  {path}{_burst(each)}", soft_wrap=True)


def _burst(prediction: Prediction) -> str:
    if prediction.burst is None or prediction.own_probability == prediction.probability:
        return ""
    return f"  [dim]burst {prediction.burst}, alone {prediction.own_probability:.3f}[/]"


def print_pieces(pieces: Iterable[str]) -> None:
    """Print the text of a format on stdout as it comes."""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()


@contextmanager
def counting(predictions: Iterable[Prediction]) -> Iterator[Iterator[Prediction]]:
    """Show how many predictions have passed, while none is printed; on a terminal alone."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} photos"), TextColumn("[dim]{task.fields[speed]}[/]"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None, speed="")

        def counted() -> Iterator[Prediction]:
            for number, prediction in enumerate(predictions, 1):
                speed = bar.tasks[0].speed if bar.tasks else None
                bar.update(task, completed=number, speed=f"{speed:,.0f} photos/s" if speed else "")
                yield prediction

        yield counted()


def summarize_predictions(tally: Tally, folder: Path | None, seconds: float, reused: int = 0) -> None:
    """Show how many photos have each label, how fast that went, and each camera site."""
    total, new = tally.photos, tally.photos - reused
    parts = ", ".join(
        f"{count:,} {plain(label)}" for label, count in tally.counts.items() if count or label != UNREADABLE
    )
    speed = f"; {new / seconds:,.{0 if new >= 10 * seconds else 1}f} photos/s" if new > 1 and seconds > 0 else ""
    known = f" ({reused:,} answered before the stop)" if reused else ""
    note(f"[dim]{total:,} {'photo' if total == 1 else 'photos'}: {parts}{speed}{known}[/]")
    _show_sites(tally, folder)


def show_unreadable(tally: Tally) -> None:
    """Show why the first photos can't be read, and how many more there are."""
    for path, reason in tally.reasons:
        note(f"[yellow]{UNREADABLE}[/] {plain(path)}: {plain(reason)}")
    if tally.unreadable > MOST_REASONS:
        note(f"[yellow]{UNREADABLE}[/] and {tally.unreadable - MOST_REASONS:,} more")


def _show_sites(tally: Tally, folder: Path | None) -> None:
    """Show the answers at each camera site if there are several, those with the most positive photos first."""
    sites = sorted(tally.sites(folder).items(), key=lambda site: (-site[1][tally.labels[1]], site[0]))
    if len(sites) < 2:
        return
    shown = [label for label, count in tally.counts.items() if count or label in tally.labels]
    table = make_table("site", "photos", *map(plain, shown), numbers=len(shown) + 1)
    for name, counts in sites[:MOST_SITES]:
        table.add_row(plain(name), f"{counts.total():,}", *(f"{counts[label]:,}" for label in shown))
    if rest := sites[MOST_SITES:]:
        sums = [sum(counts[label] for _, counts in rest) for label in shown]
        table.add_row(f"and {len(rest):,} more", f"{sum(sums):,}", *(f"{each:,}" for each in sums))
    err.print(table)


def show_bursts(bursts: "Bursts") -> None:
    """Show how many bursts there are, and which photos could not be part of one."""
    note(f"[dim]{_count(bursts.found, 'burst')} of 2 photos or more, {bursts.photos:,} photos in total[/]")
    if bursts.lowered:
        positive = plain(bursts.labelling.classes[1])
        note(
            f"[yellow]{_count(bursts.lowered, 'photo')} called {positive} alone, but not in the burst: look at them, "
            "or give --burst-answer highest[/]"
        )
    if bursts.without_time:
        note(f"[yellow]{_count(bursts.without_time, 'photo')} without a time, in EXIF or name: each is alone[/]")
    if bursts.backwards:
        note(
            f"[yellow]{_count(bursts.backwards, 'photo')} much older than the one listed before: where names are in "
            "another order than times, bursts are divided[/]"
        )


def show_placed(placing: "SortedPhotos") -> None:
    """Show how many photos were copied or linked, and where to."""
    verb = "copied" if placing.link is None else "linked"
    there = f", {placing.found:,} were there already" if placing.found else ""
    note(f"[dim]{_count(placing.placed, 'photo')} {verb} into {plain(str(placing.directory))}{there}[/]")


def show_answered(answered: "Answered", new: int) -> None:
    """Show how many photos an earlier result answers."""
    text = f"{_count(answered.skipped, 'photo')} answered in {plain(str(answered.file))}"
    if answered.changed:
        text += f"; {answered.changed:,} changed since, and answered again"
    note(f"[dim]{text}[/]")
    if answered.places and not answered.skipped and not answered.changed and new:
        note(
            f"[yellow]no path of the {len(answered.places):,} in {plain(str(answered.file))} is one of these photos; "
            "relative ones begin here[/]"
        )


def show_package(plan: "PackagePlan") -> None:
    """Show what a package's user must know before publishing it."""
    for remark in plan.notes():
        note(f"[dim]{plain(name_options(remark))}[/]")
    for number, (path, reason) in enumerate(plan.left_out.items()):
        if number == MOST_REASONS:
            note(f"[yellow]left out[/] and {len(plan.left_out) - MOST_REASONS:,} more: see left_out.csv")
            break
        note(f"[yellow]left out[/] {plain(path)}: {plain(reason)}")


def show_written(place: Path) -> None:
    """Show where the result is."""
    note(f"written to [bold]{plain(str(place))}[/]")


def show_stopped(kept: int, journal: Path) -> None:
    """Say what Ctrl-C has left, and how to go on."""
    note(
        f"[yellow]stopped.[/] {_count(kept, 'answer')} kept in {plain(str(journal))}. "
        "Go on with the same command and [bold]--resume[/]"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
