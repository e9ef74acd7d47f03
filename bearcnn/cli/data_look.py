"""`bearcnn data look`: see what is in a collection of photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.collection_options import CollectionOptions, Source, refuse_existing, report_file
from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, with_options


@dataclass(frozen=True, slots=True)
class LookOptions:
    """The sample to show."""

    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with a sample of the photos.")] = None
    per_group: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Photos of each group on that page.")] = 12
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="The same seed shows the same photos.")] = 0


@with_options
def look_at_data(source: Source, reading: CollectionOptions, options: LookOptions, as_json: AsJson = False) -> None:
    """See a collection of photos: a sample of each split, class and group, with their numbers.

    A group is a site where the source names sites, else a subclass.

    Example:
        bearcnn data look photos --out photos.html
    """
    from bearcnn.checks.groups import count_groups
    from bearcnn.cli.display.checks import show_counts
    from bearcnn.report.contact_sheet import write_look

    refuse_existing(options.out)
    with console.tracking() as track:
        collection = reading.read(source, track)
        counts = count_groups(collection)
        if options.out is not None:
            write_look(collection, options.out, options.per_group, options.seed, track("drawing the page"))
    if as_json:
        console.print_json(counts)
    else:
        show_counts(counts)
    if options.out is not None:
        report_file(options.out)
