"""`bearcnn predict`: photos to answers."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.options import choice, with_options
from bearcnn.cli.watch import WatchOptions
from bearcnn.errors import BearcnnError
from bearcnn.inference.engines import AUTO, ENGINES

STYLES = ("table", "csv", "json", "jsonl")
"""How predictions are printed."""


@with_options
def predict(
    watching: WatchOptions,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATHS...", help="Photos, folders, patterns; - for a list on stdin.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="A run folder or a .onnx file. Default: the newest run.")
    ] = None,
    style: Annotated[
        str, choice("output format", STYLES, "--format", help="table for people, the others for programs.")
    ] = STYLES[0],
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="The same as --format json.")] = False,
    heatmaps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder: each photo with its windows' scores drawn over it.")
    ] = None,
    engine: Annotated[
        str, choice("engine", [AUTO, *ENGINES.names()], "--engine", help=f"{AUTO}: the first that works here.")
    ] = AUTO,
) -> None:
    """Say for each photo whether there is a bear in it, and how sure that is.

    Needs no network connection, no GPU and no torch. A photo that can't be
    read gets a row with the reason, and the exit code is 1.

    Examples:
        bearcnn predict photo.jpg

        bearcnn predict camera1/ camera2/ --format csv > bears.csv

        bearcnn predict camera1/ --heatmaps drawn

        find /mnt/card -name '*.JPG' | bearcnn predict - --model bear.onnx --format jsonl

        bearcnn predict --watch /srv/ftp --alarm 2/3 --on-bear 'siren --photo {}'
    """
    from bearcnn.cli.display.predictions import print_predictions, show_model, summarize_predictions
    from bearcnn.inference.paths import common_folder, expand_paths, find_model
    from bearcnn.inference.predictor import Predictor, predict_photos

    watch = watching.open(paths, heatmaps)
    file = find_model(model)
    predictor = Predictor(file, engine)
    photos, on_windows = watch.photos() if watch else expand_paths(paths or [], sys.stdin.buffer), None
    with ExitStack() as opened:
        if heatmaps is not None:
            from bearcnn.inference.heatmaps import HeatmapFolder, keep_outside

            root = common_folder([str(watching.watch)] if watch else paths or [])
            on_windows = opened.enter_context(HeatmapFolder(heatmaps, predictor.manifest, root))
            photos = keep_outside(photos, heatmaps)
        show_model(file, predictor)
        predictions = predict_photos(predictor, photos, on_windows=on_windows)
        if watch:
            opened.enter_context(watch)
            predictions = watch.follow(predictions, predictor.manifest.classes[1])
        counts = print_predictions(predictions, "json" if as_json else style, predictor.manifest.classes)
        summarize_predictions(counts)
    if watch:
        return
    if not any(counts.values()):
        raise BearcnnError("no photo was given: the list or pattern is empty")
    if counts["unreadable"]:
        raise typer.Exit(1)
