"""Options for the form of the answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.options import choice
from bearcnn.inference.writers import PREDICTION_FORMATS

TABLE = "table"
"""The style for people, which alone is no format for programs."""

STYLES = (TABLE, *PREDICTION_FORMATS.names())
PANEL = "Answers"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The form of the answers."""

    style: Annotated[
        str,
        choice("output format", STYLES, "--format", help="table for people, the others for programs.", panel=PANEL),
    ] = TABLE
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="The same as --format json.", rich_help_panel=PANEL)
    ] = False
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="New folder: each photo with its windows' scores drawn over it.",
            rich_help_panel=PANEL,
        ),
    ] = None

    @property
    def format(self) -> str:
        """The chosen style."""
        return "json" if self.as_json else self.style
