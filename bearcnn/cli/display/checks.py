"""Display of the checks of a collection: the verdict, its numbers, and what to look at, problems first."""

import textwrap
from typing import TYPE_CHECKING

from bearcnn.cli.display.console import make_table, note, out, plain

if TYPE_CHECKING:
    from bearcnn.checks.quarantine import Quarantined
    from bearcnn.checks.run import CheckResult, Found
    from bearcnn.checks.summary import Summary

MOST_EXAMPLES, MOST_SENTENCES = 3, 5
"""Findings of a check that are shown, of photos and of the whole collection; --json and --html have more."""

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def show_checks(result: "CheckResult", summary: "Summary") -> None:
    """Show the verdict, the numbers, and the first findings of each check."""
    out.print(f"[bold]{plain(result.verdict())}[/]\n", soft_wrap=True)
    _show_summary(summary, result.collection.classes)
    for found in result.found:
        _show_found(found)
    for reason, names in result.unchecked_by_reason().items():
        note(f"not checked: {', '.join(names)}: {plain(reason)}")


def show_counts(counts: dict[str, dict[str, dict[str, int]]]) -> None:
    """Show the photos of each split, class and subclass or site."""
    table = make_table("split", "class", "group", "photos", numbers=1)
    table.columns[2].overflow = "fold"
    for split, of_split in counts.items():
        for label, groups in of_split.items():
            for group, number in groups.items():
                table.add_row(plain(split), plain(label), plain(group), f"{number:,}")
    out.print(table)


def note_quarantined(copied: "Quarantined", directory: str) -> None:
    """Say how many photos were copied."""
    note(f"copied {copied.copied:,} photos into {plain(directory)}; the originals are where they were")
    if copied.failed:
        note(f"[yellow]not copied, because they can't be read: {plain(_first(list(copied.failed)))}[/]")


def _show_summary(summary: "Summary", classes: tuple[str, str]) -> None:
    if summary.counts:
        table = make_table("photos", plain(classes[1]), plain(classes[0]), "total", numbers=3)
        for split, counts in summary.counts.items():
            table.add_row(split, *(f"{number:,}" for number in (*counts.values(), sum(counts.values()))))
        out.print(table)
    for sentence in summary.sentences():
        _say(sentence)
    out.print()


def _show_found(found: "Found") -> None:
    check, findings = found.check, list(found.distinct())
    count = f": {found.photos:,}" if found.photos else ""
    gap = " " * max(2, out.width - len(f"{check.severity}: {check.words}{count}{check.name}"))
    heading = f"[{_STYLES[check.severity]}]{check.severity}:[/] [bold]{plain(check.words)}{count}[/]"
    out.print(f"{heading}{gap}[dim]{check.name}[/]", soft_wrap=True)
    if check.advice:
        _say(check.advice, "  ")
    whole = [finding.reason for finding in findings if finding.photo is None]
    for reason in whole[:MOST_SENTENCES]:
        _say(reason, "  ")
    of_photos = [finding for finding in findings if finding.photo is not None]
    for finding in of_photos[:MOST_EXAMPLES]:
        for photo in filter(None, (finding.photo, finding.related)):
            out.print(f"  {plain(photo.name)}", soft_wrap=True)
        _say(finding.reason, "    ")
    hidden = max(0, len(whole) - MOST_SENTENCES) + max(0, len(of_photos) - MOST_EXAMPLES)
    if hidden:
        out.print(f"  and {hidden:,} more")
    out.print()


def _say(text: str, indent: str = "") -> None:
    """Write a sentence, wrapped to the terminal; words that are too long for it, such as paths, stay whole."""
    lines = textwrap.wrap(
        text,
        out.width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    out.print("\n".join(map(plain, lines)), soft_wrap=True)


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
