"""`bearcnn data check`: find what is wrong with photos before a model is trained on them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.checks import CHECKS
from bearcnn.cli.collection_options import CollectionOptions, Source, refuse_existing, report_file
from bearcnn.cli.display import console
from bearcnn.cli.help import MORE
from bearcnn.cli.options import AsJson, with_options

_BODY = "efficientnet_lite0"
_LABELS = "suspicious-labels"


def _known_checks(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        CHECKS[name]  # raises, and names the nearest
    return names


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The checks to run, and the use of their findings."""

    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK",
            callback=_known_checks,
            autocompletion=CHECKS.names,
            help=f"Run this check alone; can be repeated: {', '.join(CHECKS.names())}.",
            rich_help_panel=MORE,
        ),
    ] = None
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", metavar="", help="Judge the labels by cross-validation, or don't.")
    ] = True
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with the photos found.")] = None
    per_group: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Photos of each finding on that page.")] = 48
    quarantine: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the photos found to DIR/CHECK/...")] = (
        None
    )
    strict: Annotated[bool, typer.Option("--strict", metavar="", help="Exit code 1 if there is anything to fix.")] = (
        False
    )


@with_options
def check_data(source: Source, reading: CollectionOptions, options: CheckOptions, as_json: AsJson = False) -> None:
    """Check photos before training: files, copies, labels, times, numbers.

    Finds files that can't be read, copies (exact or saved again, also across splits and labels), labels that may be
    wrong, black and tiny pictures, clocks that were wrong, and says what the numbers can prove. Nothing is changed. The
    photos need no labels: then everything else is checked.

    Examples:
        bearcnn data check photos --html check.html

        bearcnn data check photos --only unreadable --quarantine sort-out
    """
    from bearcnn.checks.quarantine import check_quarantine, quarantine
    from bearcnn.checks.run import run_checks
    from bearcnn.checks.summary import summarize
    from bearcnn.cli.display.checks import note_quarantined, show_checks
    from bearcnn.report.contact_sheet import write_check

    refuse_existing(options.html)
    if options.quarantine is not None:
        check_quarantine(options.quarantine, Path(source).expanduser())
    without = set() if options.labels else {_LABELS}
    with console.tracking() as track:
        collection = reading.read(source, track, _BODY if options.labels else None)
        result = run_checks(collection, options.only, without)
        summary = summarize(collection)
        if options.html is not None:
            write_check(result, options.html, options.per_group, track("drawing the page"))
    copied = None if options.quarantine is None else quarantine(result, options.quarantine)
    if as_json:
        console.print_json(result.to_json())
    else:
        show_checks(result, summary)
    if options.html is not None:
        report_file(options.html)
    if copied is not None:
        note_quarantined(copied, str(options.quarantine))
    if options.strict and result.problems:
        raise typer.Exit(1)
