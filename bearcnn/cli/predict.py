"""`bearcnn predict`: photos to answers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.options import with_options
from bearcnn.cli.predict_options.output import TABLE, OutputOptions
from bearcnn.errors import BearcnnError


@with_options
def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS...", help="Photos, folders, patterns; - for a list on stdin.")
    ],
    output: OutputOptions,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="A run folder or a .onnx file. Default: the newest run.")
    ] = None,
) -> None:
    """Say for each photo whether there is a bear in it, and how sure that is.

    Needs no network connection, no GPU and no torch. A photo that can't be
    read gets a row with the reason, and the exit code is 1.

    Examples:
        bearcnn predict photo.jpg

        bearcnn predict camera1/ camera2/ --format csv > bears.csv

        bearcnn predict camera1/ --heatmaps drawn

        find /mnt/card -name '*.JPG' | bearcnn predict - --model bear.onnx --format jsonl
    """
    from bearcnn.cli.display.predictions import print_pieces, print_table, show_model, summarize_predictions
    from bearcnn.inference.paths import expand_paths, find_model
    from bearcnn.inference.predictor import Predictor, predict_photos
    from bearcnn.inference.tally import Tally
    from bearcnn.inference.writers import PREDICTION_FORMATS
    from bearcnn.inference.writers.base import PredictionContext
    from bearcnn.registry import load

    file = find_model(model)
    predictor = Predictor(file)
    photos, on_windows = expand_paths(paths, sys.stdin.buffer), None
    if output.heatmaps is not None:
        from bearcnn.inference.heatmaps import keep_outside, open_heatmaps

        photos = keep_outside(photos, output.heatmaps)
        on_windows = open_heatmaps(output.heatmaps, predictor.manifest)
    show_model(file, predictor.manifest)
    tally = Tally(predictor.manifest.classes)
    predictions = tally.count(predict_photos(predictor, photos, on_windows=on_windows))
    if output.format == TABLE:
        print_table(predictions, tally.labels, predictor.manifest.classes[1])
    else:
        write = load(PREDICTION_FORMATS[output.format].writer)
        print_pieces(write(predictions, PredictionContext(file, predictor.manifest)))
    summarize_predictions(tally)
    if not tally.photos:
        raise BearcnnError("no photo was given: the list or pattern is empty")
    if tally.unreadable:
        raise typer.Exit(1)
