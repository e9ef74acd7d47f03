"""The table of contents: every command of `bearcnn`. Only `main` exits; nothing heavy is imported at the top."""

import errno
import os
import sys
from typing import Annotated

import typer

import bearcnn
from bearcnn.cli.config import check, show
from bearcnn.cli.data import cache, fetch, synth
from bearcnn.cli.display import console
from bearcnn.cli.evaluate import evaluate, report
from bearcnn.cli.predict import explain, export, predict
from bearcnn.cli.sweep import sweep, sweep_dropout
from bearcnn.cli.train import train
from bearcnn.errors import BearcnnError

app = typer.Typer(
    name="bearcnn",
    help="Train a small image classifier you understand, and use it for real: bear, or not a bear?",
    epilog="Start here: [bold]bearcnn train[/] needs nothing but itself. Then: [bold]bearcnn predict PHOTO[/].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # our bugs keep their plain traceback
)
data_app = typer.Typer(no_args_is_help=True, help="Make, fetch and keep data sets.", rich_markup_mode="rich")
config_app = typer.Typer(no_args_is_help=True, help="Look at a configuration.", rich_markup_mode="rich")
app.add_typer(data_app, name="data", rich_help_panel="Photos and configuration")
app.add_typer(config_app, name="config", rich_help_panel="Photos and configuration")

app.command(rich_help_panel="Main")(train)
app.command(rich_help_panel="Main")(predict)
app.command(rich_help_panel="Main")(evaluate)
app.command(rich_help_panel="Main")(report)
app.command(rich_help_panel="Main")(export)
app.command(rich_help_panel="Main")(explain)
app.command("sweep-dropout", rich_help_panel="Experiments")(sweep_dropout)
app.command(rich_help_panel="Experiments")(sweep)
data_app.command()(synth)
data_app.command()(fetch)
data_app.command()(cache)
config_app.command()(show)
config_app.command()(check)


def main() -> None:
    """Run the command line; what the user can fix becomes one line and exit code 1."""
    try:
        if sys.stdout is None:
            raise BearcnnError("there is no standard output to write to")
        app()
    except BearcnnError as error:
        console.show_error(error)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        console.show_error(BearcnnError("can't write the output: the disk is full"))
        os._exit(1)  # Python would try to write the rest once more, and fail with a traceback


def _show_version(asked: bool) -> None:
    if asked:
        console.print_text(f"bearcnn {bearcnn.__version__}\n")
        raise typer.Exit


@app.callback()
def _bearcnn(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
