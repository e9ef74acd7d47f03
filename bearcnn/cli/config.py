"""`bearcnn config show`, `check`: look at a configuration."""

from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, Overrides


def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="TOML file.", show_default="the defaults of every key")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the resolved configuration with each key's explanation; it is a valid configuration file itself."""
    from bearcnn.config import dump_config, load_config

    resolved = load_config(file, overrides or [])
    if as_json:
        console.print_json(resolved.model_dump(mode="json"))
    else:
        console.print_text(dump_config(resolved, explained=True))


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file.")],
    overrides: Overrides = None,
) -> None:
    """Check a configuration: every problem at once, before anything is trained."""
    from bearcnn.config import load_config

    load_config(file, overrides or [])
    console.say(f"{console.plain(str(file))} is fine")
