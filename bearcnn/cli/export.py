"""`bearcnn export`: a model in another format."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, RunFolder, choice, reopen_with_progress
from bearcnn.errors import DataError
from bearcnn.formats import EXPORT_FORMATS

_WORDS = "; ".join(f"{row.name}: {row.words}" for row in EXPORT_FORMATS)


def export(
    run_folder: RunFolder = None,
    target: Annotated[
        str, choice(EXPORT_FORMATS.what, EXPORT_FORMATS.names(), "--format", metavar="FORMAT", help=f"{_WORDS}.")
    ] = EXPORT_FORMATS.names()[0],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write.", show_default="the model's name and the format's suffix"),
    ] = None,
    allow_loss: Annotated[
        bool,
        typer.Option("--allow-loss", metavar="", help="Write an 8-bit file even if it loses over 0.003 of ROC AUC."),
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="onnxruntime-web for html.", show_default="the cache, or once by npm, 33 MB"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's model in another format, and measure on validation photos what that changed.

    No file is ever overwritten, and none is written that ranks the photos
    clearly worse than the network that was trained.

    Examples:
        bearcnn export --format int8 --out bear-int8.onnx

        bearcnn export --format html --out bear.html

        bearcnn export runs/20260131-101500-bear --format fastai
    """
    from bearcnn.runs import open_run

    run = open_run(run_folder)
    dataset = None
    try:
        dataset = reopen_with_progress(run)
    except DataError as error:
        if EXPORT_FORMATS[target].needs_photos:
            raise
        console.note(f"[yellow]compared on noise, not on the run's photos: {console.plain(str(error))}[/]")
    from bearcnn.cli.display.export import show_export
    from bearcnn.export.run import export_run
    from bearcnn.export.web_runtime import PACKAGE, is_kept

    if EXPORT_FORMATS[target].needs_runtime and runtime is None and not is_kept():
        console.note(f"npm gets {PACKAGE} (33 MB), once; later pages take it from the cache")

    file = out or Path(run.config().train.name + EXPORT_FORMATS[target].suffix)
    report = export_run(run, dataset, target, file, allow_loss=allow_loss, runtime=runtime)
    if as_json:
        console.print_json(asdict(report))
    else:
        show_export(report)
