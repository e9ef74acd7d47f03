"""Options for photos sorted into folders by their answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.options import choice
from bearcnn.errors import BearcnnError

LINKS = ("symbolic", "hard")
PANEL = "Photos into folders"


@dataclass(frozen=True, slots=True)
class SortingOptions:
    """Photos sorted into folders by their answer."""

    sort_into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Copy each photo into DIR/bear, DIR/not_bear, DIR/unsure or DIR/unreadable.",
        ),
    ] = None
    link: Annotated[
        str | None,
        choice("kind of link", LINKS, "--link", help="Links in place of the copies of --sort-into.", panel=PANEL),
    ] = None

    def check(self) -> None:
        """Raise BearcnnError for links without a folder."""
        if self.link is not None and self.sort_into is None:
            raise BearcnnError("`link` says how photos are placed: give `sort_into` with a folder as well")
