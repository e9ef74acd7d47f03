"""`bearcnn train`: a folder of photos to a model."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import (
    AsJson,
    ConfigFile,
    Data,
    Overrides,
    knob,
    load_configuration,
    open_with_progress,
    reopen_with_progress,
)
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.runs import Run


def train(
    data: Data = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    kernel_size: Annotated[str | None, knob("Convolution window: 1, 3, 5, 7 ... or one a block: 5,3,3,3.")] = None,
    stride: Annotated[str | None, knob("2 halves the map in the convolution, 1 in a pooling window.")] = None,
    pooling: Annotated[str | None, knob("max, avg or concat (both side by side).")] = None,
    dropout: Annotated[str | None, knob("Share of the features dropped before the last layer.")] = None,
    input_dropout: Annotated[str | None, knob("Share of the picture's pixels dropped.")] = None,
    image_size: Annotated[str | None, knob("Side of the picture that the network sees, in pixels.")] = None,
    epochs: Annotated[str | None, knob("Times that every photo is seen.")] = None,
    batch_size: Annotated[str | None, knob("Photos in one step.")] = None,
    lr: Annotated[str | None, knob("Highest learning rate.")] = None,
    seed: Annotated[str | None, knob("Seed of everything random in the training.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder to write. Default: runs/<time>-<name>.")
    ] = None,
    lr_find: Annotated[
        bool, typer.Option("--lr-find", metavar="", help="Suggest a learning rate and plot why; no training.")
    ] = False,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Continue an interrupted run, to the bit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a network on a folder of photos (or the built-in scenes), evaluate it, and write it as one file.

    The folder has one folder a class; those named "bear" are bears, all others are not:

        photos/bear/a.jpg   photos/wolf/b.jpg   photos/empty/c.jpg

    Examples:
        bearcnn train

        bearcnn train --data photos --epochs 20 --pooling max

        bearcnn train --data photos --set 'data.positive=["bear", "cub"]' --lr-find

        bearcnn train --resume runs/20260131-101500-bear
    """
    knobs = {
        "data.path": data, "model.kernel_size": kernel_size, "model.stride": stride, "model.pooling": pooling,
        "model.dropout": dropout, "model.input_dropout": input_dropout, "data.image_size": image_size,
        "train.epochs": epochs, "train.batch_size": batch_size, "train.lr": lr, "train.seed": seed,
    }  # fmt: skip
    from bearcnn.runs import choose_directory, create_run, open_run

    if resume is not None:
        if config or overrides or any(knobs.values()) or out or lr_find:
            raise BearcnnError("--resume continues a run as it was configured; leave out the other options")
        run = open_run(resume)
        dataset = reopen_with_progress(run)
    else:
        resolved = load_configuration(config, overrides, knobs)
        directory = choose_directory(resolved, datetime.now(), "lr-find" if lr_find else "", out)
        dataset = open_with_progress(resolved)
        console.show_dataset(dataset)
        run = create_run(directory, resolved)
        if lr_find:
            _find_lr(run, dataset, as_json)
            return
    _train(run, dataset, resume is not None, as_json)


def _train(run: "Run", dataset: "Dataset", resume: bool, as_json: bool) -> None:
    from bearcnn.training.fit import train

    with console.training_display(run.config().train.epochs, len(run.history()) if resume else 0) as display:
        outcome = train(run, dataset, display, resume=resume)
    split = dataset.evaluation_split()
    if as_json:
        console.print_json({"run": str(run.directory), "model": str(run.onnx_file), **run.metrics()})
    else:
        console.show_finished(run, outcome.evaluations[split], split, outcome.progress.best_epoch)
    if outcome.interrupted:
        console.note(
            f"[yellow]stopped after epoch {outcome.progress.epochs}; the model is the best so far.[/] "
            f"Continue with: [bold]bearcnn train --resume {run.directory}[/]"
        )
        raise typer.Exit(130)


def _find_lr(run: "Run", dataset: "Dataset", as_json: bool) -> None:
    from bearcnn.files import write_atomically
    from bearcnn.plotting import draw_learning_rates
    from bearcnn.training.fit import find_lr

    with console.tracking() as track:
        found = find_lr(run.config(), dataset, track("trying learning rates"))
    plot = run.directory / "lr-find.png"
    write_atomically(plot, draw_learning_rates(found.lrs, found.losses, found.suggestion))
    if as_json:
        console.print_json({**asdict(found), "plot": str(plot)})
    else:
        console.show_lr(found.suggestion, str(plot))
