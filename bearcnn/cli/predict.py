"""`bearcnn predict`, `export`, `explain`: what a trained model is used for."""

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, RunFolder, reopen_with_progress
from bearcnn.errors import BearcnnError


class Style(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


class ExportFormat(StrEnum):
    """What a model can be exported to."""

    ONNX = "onnx"
    INT8 = "int8"
    PT2 = "pt2"
    SAFETENSORS = "safetensors"
    FASTAI = "fastai"


class Explained(StrEnum):
    """The parts of a network's explanation."""

    ALL = "all"
    PHOTO = "photo"
    KERNELS = "kernels"
    CONVOLUTION = "convolution"
    POOLING = "pooling"
    WINDOWS = "windows"
    DROPOUT = "dropout"


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS...", help="Photos, folders, patterns; - for a list on stdin.")
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="A run folder or a .onnx file. Default: the newest run.")
    ] = None,
    style: Annotated[Style, typer.Option("--format", help="table for people, the others for programs.")] = Style.TABLE,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="The same as --format json.")] = False,
    heatmaps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder: each photo with its windows' scores drawn over it.")
    ] = None,
) -> None:
    """Say for each photo whether there is a bear in it, and how sure that is.

    Needs no network connection, no GPU and no torch. A photo that can't be read gets a row with the reason; the exit
    code is then 1.

    Examples:
        bearcnn predict photo.jpg

        bearcnn predict camera1/ camera2/ --format csv > bears.csv

        bearcnn predict camera1/ --heatmaps drawn

        find /mnt/card -name '*.JPG' | bearcnn predict - --model bear.onnx --format jsonl
    """
    from bearcnn.inference.paths import expand_paths, find_model
    from bearcnn.inference.predictor import Predictor, predict_photos

    predictor = Predictor(find_model(model))
    photos, on_windows = expand_paths(paths, sys.stdin.buffer), None
    if heatmaps is not None:
        from bearcnn.inference.heatmaps import keep_outside, open_heatmaps

        photos, on_windows = keep_outside(photos, heatmaps), open_heatmaps(heatmaps, predictor.manifest)
    predictions = predict_photos(predictor, photos, on_windows=on_windows)
    counts = console.print_predictions(predictions, "json" if as_json else style.value, predictor.manifest.classes)
    console.summarize_predictions(counts)
    if not any(counts.values()):
        raise BearcnnError("no photo was given: the list or pattern is empty")
    if counts["unreadable"]:
        raise typer.Exit(1)


def export(
    run_folder: RunFolder = None,
    target: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.ONNX,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write. Default: <name> in this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's model in another format, and measure on real photos what that changed.

    onnx runs anywhere; int8 is about a quarter of the size, and faster where the network is large; pt2 is torch's own
    program; safetensors holds the weights alone; fastai is a pickled Learner for load_learner (a pickle: load only your
    own).

    Examples:
        bearcnn export --format int8 --out bear-int8.onnx

        bearcnn export runs/20260131-101500-bear --format fastai
    """
    from bearcnn.export.run import export_run
    from bearcnn.formats import EXPORT_FORMATS
    from bearcnn.runs import open_run

    run = open_run(run_folder)
    file = out or Path(run.config().train.name + EXPORT_FORMATS[target.value].suffix)
    report = export_run(run, reopen_with_progress(run), target.value, file)
    if as_json:
        console.print_json(asdict(report))
    else:
        console.show_export(report)


def explain(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo to look at.")],
    model: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run folder or a .safetensors file. Default: the newest run.")
    ] = None,
    what: Annotated[
        Explained,
        typer.Option(metavar="PART", help="One alone: photo, kernels, convolution, pooling, windows or dropout."),
    ] = Explained.ALL,
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="File to write. Default: explain-<photo>.png in this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what a network sees in a photo: its kernels and maps, a convolution in numbers, pooling, windows, dropout.

    Examples:
        bearcnn explain photo.jpg

        bearcnn explain photo.jpg --what windows --out where.png
    """
    part = "" if what is Explained.ALL else f"-{what.value}"
    file = out or Path(f"explain-{photo.stem}{part}.png")
    if file.exists():
        raise BearcnnError(f"{file} exists already; nothing is ever overwritten: choose another --out")
    from bearcnn.explain.explain import explain_png
    from bearcnn.files import write_atomically

    write_atomically(file, explain_png(model, photo, what.value))
    if as_json:
        console.print_json({"picture": str(file), "what": what.value})
    else:
        console.show_picture(file)
