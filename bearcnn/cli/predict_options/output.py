"""Options for the form of the answers, and the place where they go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.options import choice
from bearcnn.errors import BearcnnError
from bearcnn.inference.order import ORDERS
from bearcnn.inference.writers import PREDICTION_FORMATS, PredictionFormat, format_of
from bearcnn.registry import one_of

TABLE = "table"
"""The style for people, which alone is no format for programs."""

STYLES = (TABLE, *PREDICTION_FORMATS.names())
PANEL = "Answers"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The form of the answers, and the place where they go."""

    style: Annotated[
        str | None,
        choice(
            "output format",
            STYLES,
            "--format",
            help="table for people, the others for programs.",
            default="table, or by the name of --out",
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="The same as --format json.")] = False
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="New file for the answers, or for camtrap-dp a new folder."),
    ] = None
    heatmaps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder: each photo with its heat map drawn over it.")
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            metavar="",
            help="Go on with --out from the journal beside it, which keeps each answer.",
            rich_help_panel=PANEL,
        ),
    ] = False
    only_new: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Skip the photos that this result answers. The same file as --out: add to it.",
            rich_help_panel=PANEL,
        ),
    ] = None
    order: Annotated[
        str | None,
        choice(
            "order",
            ORDERS.names(),
            "--sort",
            help="; ".join(f"{row.name}: {row.words}" for row in ORDERS) + ".",
            panel=PANEL,
            default="as listed",
        ),
    ] = None

    @property
    def format(self) -> PredictionFormat | None:
        """The chosen format; None for the table.

        Raises:
            BearcnnError: options contradict each other.
        """
        name = "json" if self.as_json else self.style
        if self.out is not None and name is None:
            row = format_of(self.out.name)
            if row is None:
                names = one_of(PREDICTION_FORMATS.names())
                raise BearcnnError(f"--out {self.out}: the name tells no format; give --format {names}")
            return row
        return None if name in (None, TABLE) else PREDICTION_FORMATS[str(name)]

    @property
    def extends(self) -> bool:
        """Whether the answers are added to the file that says which photos are answered."""
        return self.only_new is not None and self.out is not None and self.only_new.absolute() == self.out.absolute()

    def check(self) -> None:
        """Raise BearcnnError for options that contradict each other."""
        row = self.format
        if row is None and self.out is not None:
            raise BearcnnError("a table is for people: with --out, give --format csv or another one for programs")
        if row is not None and row.is_folder and self.out is None:
            raise BearcnnError(f"--format {row.name} makes a folder: name a new one with --out DIR")
        if self.resume and self.out is None:
            raise BearcnnError("`resume` goes on with a result that --out names: give --out FILE as before")
        if self.extends and not (row is not None and row.extendable):
            able = one_of(each.name for each in PREDICTION_FORMATS if each.extendable)
            raise BearcnnError(f"only {able} can be added to: give another --out than --only-new")
        if self.out is not None and not self.extends and (self.out.exists() or self.out.is_symlink()):
            raise BearcnnError(f"{self.out} exists already; choose another name or move it away")
