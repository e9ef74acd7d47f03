"""`bearcnn train`: a folder of photos to a model."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.bodies import NO_BODY
from bearcnn.cli.display import console
from bearcnn.cli.options import (
    AsJson,
    BatchSize,
    BodyName,
    ConfigFile,
    Data,
    Dropout,
    Epochs,
    ImageSize,
    InputDropout,
    KernelSize,
    LearningRate,
    Overrides,
    Pooling,
    Stride,
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
    body: BodyName = None,
    kernel_size: KernelSize = None,
    stride: Stride = None,
    pooling: Pooling = None,
    dropout: Dropout = None,
    input_dropout: InputDropout = None,
    image_size: ImageSize = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
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

        bearcnn train --data photos --body efficientnet_lite0

        bearcnn train --data photos --set 'data.positive=["bear", "cub"]' --lr-find

        bearcnn train --resume runs/20260131-101500-bear
    """
    knobs = {
        "data.path": data, "model.body": body, "model.kernel_size": kernel_size, "model.stride": stride,
        "model.pooling": pooling, "model.dropout": dropout, "model.input_dropout": input_dropout,
        "data.image_size": image_size, "train.epochs": epochs, "train.batch_size": batch_size, "train.lr": lr,
        "train.seed": seed,
    }  # fmt: skip
    from bearcnn.runs import choose_directory, create_run, open_run

    if resume is not None:
        if config or overrides or any(knobs.values()) or out or lr_find:
            raise BearcnnError("--resume continues a run as it was configured; leave out the other options")
        run = open_run(resume)
        epochs_before, resolved = len(run.history()), run.config()
        dataset = reopen_with_progress(run)
    else:
        epochs_before, resolved = 0, load_configuration(config, overrides, knobs)
        directory = choose_directory(resolved, datetime.now(), "lr-find" if lr_find else "", out)
        dataset = open_with_progress(resolved)
        console.show_dataset(dataset)
        if lr_find:
            _find_lr(create_run(directory, resolved), dataset, as_json)
            return
    from bearcnn import pipeline

    with console.training_display(resolved.train.epochs, epochs_before) as display:
        if resume is not None:
            pipeline.resume(run, dataset, reporter=display)
        else:
            run = pipeline.train(resolved, dataset, directory, reporter=display)
    _show(run, dataset.evaluation_split(), as_json)


def _show(run: "Run", split: str, as_json: bool) -> None:
    from bearcnn.evaluation.metrics import Evaluation

    metrics = run.metrics()
    if as_json:
        console.print_json({"run": str(run.directory), "model": str(run.onnx_file), **metrics})
    else:
        console.show_finished(run, Evaluation.from_json(metrics["evaluations"][split]), split, metrics["best_epoch"])
        config = run.config()
        if config.data.path and config.model.body == NO_BODY:  # drawn scenes need no help
            console.note(
                "a pretrained body needs fewer photos and seconds; to try one, add: [bold]--body efficientnet_lite0[/]"
            )
    if not metrics["complete"]:
        console.note(
            f"[yellow]stopped after epoch {metrics['epochs']}; the model is the best so far.[/] "
            f"Continue with: [bold]bearcnn train --resume {run.directory}[/]"
        )
        raise typer.Exit(130)


def _find_lr(run: "Run", dataset: "Dataset", as_json: bool) -> None:
    from bearcnn.files import write_atomically
    from bearcnn.plotting import draw_learning_rates
    from bearcnn.training.learner import find_lr

    with console.tracking() as track:
        found = find_lr(run.config(), dataset, track("trying learning rates"))
    plot = run.directory / "lr-find.png"
    write_atomically(plot, draw_learning_rates(found.lrs, found.losses, found.suggestion))
    if as_json:
        console.print_json({**asdict(found), "plot": str(plot)})
    else:
        console.show_lr(found.suggestion, str(plot))
