"""The table of contents: every command of `bearcnn`. Nothing heavy is imported at the top.

`main` alone turns errors into one line and an exit code.
"""

import os
import re
import sys
from typing import Annotated, Any

import typer

import bearcnn
from bearcnn.cli.config import check, show
from bearcnn.cli.data import cache, fetch, synth
from bearcnn.cli.data_check import check_data
from bearcnn.cli.data_look import look_at_data
from bearcnn.cli.display import console
from bearcnn.cli.evaluate import evaluate
from bearcnn.cli.explain import explain
from bearcnn.cli.export import export
from bearcnn.cli.help import HelpedCommand, HelpedGroup
from bearcnn.cli.learning_curve import learning_curve
from bearcnn.cli.options import KnobCommand
from bearcnn.cli.packages import explain_missing, missing_package
from bearcnn.cli.predict import PredictCommand, predict
from bearcnn.cli.report import report
from bearcnn.cli.sweep import sweep, sweep_dropout
from bearcnn.cli.train import train
from bearcnn.cli.troubles import explain_trouble
from bearcnn.errors import BearcnnError
from bearcnn.workers import ignore_local_style, sigterm_as_ctrl_c


class _Commands(HelpedGroup):
    """The commands; Ctrl-C where none of them says more ends with a word, and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.note("[yellow]stopped[/]")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="bearcnn",
    cls=_Commands,
    help="Train a small image classifier you understand, and use it for real: bear, or not a bear?",
    epilog="Start here: bearcnn train (it needs no photos). Then: bearcnn predict PHOTO",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # our bugs keep their plain traceback
)
data_app = typer.Typer(
    cls=HelpedGroup,
    no_args_is_help=True,
    help="Check, look at, draw, fetch and keep data sets.",
    rich_markup_mode="rich",
)
config_app = typer.Typer(
    cls=HelpedGroup, no_args_is_help=True, help="Show and check a configuration.", rich_markup_mode="rich"
)
MAIN, EXPERIMENTS, OTHERS = "Main commands", "Experiments", "Photos and configuration"


def _add(
    to: typer.Typer, panel: str | None, words: str, command: Any, name: str | None = None, cls: Any = None
) -> None:
    """Add a command with its line in the list of commands."""
    to.command(name, cls=cls or HelpedCommand, rich_help_panel=panel, short_help=words)(command)


_add(app, MAIN, "Train a network on labelled photos, and write it as one file.", train, cls=KnobCommand)
_add(app, MAIN, "Say for each photo whether there is a bear in it.", predict, cls=PredictCommand)
_add(app, MAIN, "Measure how far a model can be relied on.", evaluate)
_add(app, MAIN, "Write one page about a run, or compare several.", report)
_add(app, MAIN, "Write a model in another format, and measure the change.", export)
_add(app, MAIN, "Show what the network sees in one photo.", explain)
_add(app, EXPERIMENTS, "Measure whether more photos would help.", learning_curve, "learning-curve", KnobCommand)
_add(app, EXPERIMENTS, "Measure what dropout does, with error bars.", sweep_dropout, "sweep-dropout", KnobCommand)
_add(app, EXPERIMENTS, "Compare values of any key, with several seeds each.", sweep, cls=KnobCommand)
app.add_typer(data_app, name="data", rich_help_panel=OTHERS)
app.add_typer(config_app, name="config", rich_help_panel=OTHERS)
_add(data_app, None, "Find what is wrong with a collection of photos.", check_data, "check")
_add(data_app, None, "See a sample of each split, class and group.", look_at_data, "look")
_add(data_app, None, "Draw scenes with bears, with other animals and with none.", synth)
_add(data_app, None, "Fetch real photos: CIFAR-100's bears and other classes.", fetch)
_add(data_app, None, "Show the decoded pixels that are kept, or delete them.", cache)
_add(config_app, None, "Print every key with its value and its explanation.", show)
_add(config_app, None, "Find every mistake in a file at once.", check)


_UsageError: Any = typer.BadParameter.__base__  # not public, and another class in older versions of typer


def main() -> None:
    """Run the command line; what the user can fix becomes one line and exit code 1."""
    try:
        if sys.stdout is None:
            raise BearcnnError("there is no standard output to write to")
        _refuse_empty(sys.argv[1:])
        ignore_local_style()
        with sigterm_as_ctrl_c():
            code = app(standalone_mode=False)
            _flush()
            sys.exit(code)
    except BearcnnError as error:
        if not error.told:
            console.show_error(console.name_options(str(error)))
        sys.exit(1)
    except _UsageError as error:
        if error.format_message():  # else the help was shown, for a command without arguments
            console.show_error(_explain_usage(error))
        sys.exit(1)
    except ModuleNotFoundError as error:
        package = missing_package(error)
        if package is None:
            raise
        console.show_error(explain_missing(package))
        sys.exit(1)
    except (OSError, MemoryError, RuntimeError) as error:
        explained = explain_trouble(error)
        if not explained:
            raise
        console.show_error(explained)
        if isinstance(error, OSError) and error.filename is None:
            os._exit(1)  # Python would try to write the rest of the output once more, and fail with a traceback
        sys.exit(1)


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an empty argument, which in place of a path would mean the current folder."""
    before = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if argument == "" or (option.startswith("--") and equals and not value):
            name = option or before
            what = name if name.startswith("--") and name != "--" else "an argument"
            raise BearcnnError(f"{what} is empty (an unset variable in the shell?): name something, or omit it")
        before = argument


def _flush() -> None:
    """Write what is left of the output, while its errors can still be shown."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads it any more, as with `head`
        os._exit(1)


_USAGE = (
    (r"Invalid value for (?:'.* / )?'(.+?)': ", r"\1: "),
    (r"Input should be greater than or equal to (\S+)", r"expected \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"expected \1 or less"),
    (r"Input should be a valid integer.*", "expected a whole number"),
    (r"Input should be a valid number.*", "expected a number"),
    (r"No such option: (\S+)", r"there is no option \1"),
    (r" \(Possible options: ([^,)]+).*\)", r"; did you mean \1?"),
    (r"No such command '(\S+?)'", r"there is no command \1"),
    (r"[.] Did you mean '?(.+?)'?\?", r"; did you mean \1?"),
)
"""Wordings of typer, and ours."""


def _explain_usage(error: Any) -> str:
    """Say in one line what typer found: an unknown option or command, a missing or impossible value."""
    message = " ".join(error.format_message().split()).rstrip(".")
    for theirs, ours in _USAGE:
        message = re.sub(theirs, ours, message)
    message = message if message.startswith("-") else message[:1].lower() + message[1:]
    return message if message.endswith("?") or not error.ctx else f"{message}; see `{error.ctx.command_path} --help`"


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
