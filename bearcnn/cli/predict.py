"""`bearcnn predict`: photos to answers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.options import choice, with_options
from bearcnn.cli.regions import CropCounter, RegionOptions
from bearcnn.errors import BearcnnError

STYLES = ("table", "csv", "json", "jsonl")
"""How predictions are printed."""


@with_options
def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS...", help="Photos, folders, patterns; - for a list on stdin.")
    ],
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
    *,
    regions: RegionOptions,
) -> None:
    """Say for each photo whether there is a bear in it, and how sure that is.

    Needs no network connection, no GPU and no torch. A photo that can't be
    read gets a row with the reason, and the exit code is 1.

    Examples:
        bearcnn predict photo.jpg

        bearcnn predict camera1/ camera2/ --format csv > bears.csv

        bearcnn predict camera1/ --heatmaps drawn

        bearcnn predict camera1/ --detections md.json

        bearcnn predict camera1/ --tiles 2

        find /mnt/card -name '*.JPG' | bearcnn predict - --model bear.onnx --format jsonl
    """
    from bearcnn.cli.display.predictions import print_predictions, show_model, summarize_predictions
    from bearcnn.data.regions import WHOLE_FRAMES, Crops
    from bearcnn.inference.paths import expand_paths, find_model
    from bearcnn.inference.predictor import Predictor, predict_photos

    file = find_model(model)
    predictor = Predictor(file)
    photos, on_windows = expand_paths(paths, sys.stdin.buffer), None
    if heatmaps is not None:
        from bearcnn.inference.heatmaps import keep_outside, open_heatmaps

        photos, on_windows = keep_outside(photos, heatmaps), open_heatmaps(heatmaps, predictor.manifest)
    show_model(file, predictor.manifest)
    seen = regions.open(predictor.manifest, paths)
    counter = CropCounter(seen) if isinstance(seen, Crops) else None
    predictions = predict_photos(
        predictor, counter.count(photos) if counter else photos, regions=seen, on_windows=on_windows
    )
    boxes = (seen or predictor.regions) != WHOLE_FRAMES
    counts = print_predictions(predictions, "json" if as_json else style, predictor.manifest.classes, boxes)
    summarize_predictions(counts)
    if counter:
        counter.show(str(regions.detections))
    if not any(counts.values()):
        raise BearcnnError("no photo was given: the list or pattern is empty")
    if counts["unreadable"]:
        raise typer.Exit(1)
