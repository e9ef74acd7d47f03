"""`bearcnn report`: one page about a run, or about several."""

from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson


def report(
    run_folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUNS", help="One run, or several to compare.", show_default="the newest run"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Page to write.", show_default="report.html in the run, or compare.html"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's report: one page for the browser that needs no network.

    Several runs are compared on one page.

    Examples:
        bearcnn report

        bearcnn report runs/first runs/second --out compare.html
    """
    from bearcnn.report.comparison import write_comparison
    from bearcnn.report.page import write_report
    from bearcnn.runs import open_run

    runs = [open_run(folder) for folder in run_folders] if run_folders else [open_run(None)]
    file = write_report(runs[0], out) if len(runs) == 1 else write_comparison(runs, out or Path("compare.html"))
    if as_json:
        console.print_json({"report": str(file), "bytes": file.stat().st_size})
    else:
        console.say(f"{console.plain(str(file))}: open it in a browser ({file.stat().st_size / 1e6:.1f} MB)")
