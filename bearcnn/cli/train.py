"""`bearcnn train`: a folder of photos to a model."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.bodies import NO_BODY
from bearcnn.cli.devices import joined_ranks, run_on_devices
from bearcnn.cli.display import console
from bearcnn.cli.help import MORE
from bearcnn.cli.options import KNOBS, AsJson, ConfigOptions, knob, open_with_progress, reopen_record, with_options
from bearcnn.cli.packages import require
from bearcnn.cli.regions import show_regions
from bearcnn.errors import BearcnnError, NoEpochError, RunError
from bearcnn.machine import usable_threads
from bearcnn.replica_start import start_ahead
from bearcnn.workers import started_as_rank

if TYPE_CHECKING:
    from bearcnn.config import Config
    from bearcnn.data.dataset import Dataset
    from bearcnn.reporter import Reporter
    from bearcnn.runs import Run
    from bearcnn.training.world import World


@with_options
def train(
    options: ConfigOptions,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder to write.", show_default="runs/<time>-<name>")
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Continue an interrupted run, to the bit.")] = None,
    seed: Annotated[str | None, knob("NUMBER", "Seed of everything random in the training run.", KNOBS)] = None,
    folds: Annotated[
        str | None, knob("NUMBER", "Cross-validation for few photos, in so many parts; 0 for none.", KNOBS)
    ] = None,
    lr_find: Annotated[
        bool,
        typer.Option(
            "--lr-find", metavar="", help="Suggest a learning rate and plot why; no training run.", rich_help_panel=MORE
        ),
    ] = False,
    devices: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="Train one network on N GPUs of this computer, or without GPUs in N processes.",
            rich_help_panel=MORE,
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a network on labelled photos (or the built-in scenes), evaluate it, and write it as one file.

    The folder has one folder per class; those named "bear" are bears, all others are not:

        photos/bear/a.jpg   photos/wolf/b.jpg   photos/empty/c.jpg

    A CSV file has a row for each photo, with the columns filepath and label. COCO
    Camera Traps files and Camtrap DP packages are read as well.

    --kernel-size and --stride take a list as well, with a number for each block: 5,3,3,3. With a pretrained body, keys
    that are not set have the values of configs/pretrained.toml.

    Examples:
        bearcnn train

        bearcnn train --data photos --epochs 20 --pooling max

        bearcnn train --data photos --body efficientnet_lite0

        bearcnn train --data labels.csv --column label=Species

        bearcnn train --data few-photos --body efficientnet_lite0 --folds 5

        bearcnn train --data photos --set 'data.positive=["bear", "cub"]' --lr-find

        bearcnn train --resume runs/20260131-101500-bear
    """
    require("torch")
    if resume is not None and (options.given or seed is not None or folds is not None or out or lr_find):
        raise BearcnnError("--resume continues a run as it was configured; omit the other options")
    config = options.load(seed=seed, folds=folds)
    if lr_find and (devices > 1 or started_as_rank()):
        raise BearcnnError("--lr-find needs one device: omit the others")
    if devices > 1 and not started_as_rank():
        raise typer.Exit(run_on_devices(devices))
    with joined_ranks() as world:
        if resume is not None:
            _resume(resume, as_json, world)
            return
        directory, dataset = _open(config, "lr-find" if lr_find else "", out, world)
        if lr_find:
            _show_photos(config, dataset)
            _find_lr(directory, config, dataset, as_json)
            return
        _start_replicas(config, dataset, world)
        _show_start(directory, config, world)
        _show_photos(config, dataset)
        from bearcnn import pipeline

        with _naming_the_rest(directory), _showing(config) as reporter:
            run = pipeline.train(config, dataset, directory, reporter=reporter)
        if not world or world.leads:
            _show(run, as_json)


def _open(config: "Config", purpose: str, out: Path | None, world: "World | None") -> "tuple[Path, Dataset]":
    """Make the run folder and open the photos: a folder that is in the way is refused before anything is decoded."""
    from bearcnn.runs import choose_directory, dropped_if_empty

    def choose() -> Path:
        return choose_directory(config, datetime.now(), purpose, out)

    def load() -> "Dataset":
        return open_with_progress(config).for_training(config)

    existed = out is not None and out.exists()
    directory = world.share(choose) if world else choose()
    with dropped_if_empty(directory, unless=existed):
        dataset = world.in_turn(load) if world else load()
    return directory, dataset


def _show_photos(config: "Config", dataset: "Dataset") -> None:
    from bearcnn.cli.display.dataset import show_dataset

    show_dataset(dataset, builtin=not config.data.path)
    show_regions(dataset, config.data.detections)


def _show_start(directory: Path, config: "Config", world: "World | None") -> None:
    """Show what trains, and where, once torch is loaded; replicas get ready meanwhile."""
    from bearcnn.cli.display.training import show_start

    with console.err.status("loading torch"):
        from bearcnn.training.learner import describe_device

    device, precision = describe_device(config.train.precision)
    devices = f"{world.size} x {device}" if world and world.size > 1 else device
    show_start(directory, devices, usable_threads(), precision, config.train.seed)


def _resume(folder: Path, as_json: bool, world: "World | None") -> None:
    from bearcnn.runs import open_run

    def read() -> "tuple[Run, dict[str, Any] | None, Config]":
        run = open_run(folder)
        run.check_unfinished()
        # Killed before its first epoch, a run may have no more than its configuration.
        return run, run.dataset_record() if run.dataset_file.exists() else None, run.config()

    def load() -> "Dataset":
        return open_with_progress(config).for_training(config) if record is None else reopen_record(record, config)

    run, record, config = world.share(read) if world else read()
    dataset = world.in_turn(load) if world else load()
    finished = _count_epochs(run)
    _start_replicas(config, dataset, world, finished)
    _show_start(folder, config, world)
    from bearcnn import pipeline

    with _naming_the_rest(folder), _showing(config, finished) as reporter:
        pipeline.resume(run, dataset, reporter=reporter)
    if not world or world.leads:
        _show(run, as_json)


def _count_epochs(run: "Run") -> int:
    """Count the finished epochs, for the display; what is trained follows from the checkpoint."""
    try:
        return len(run.history())
    except RunError:
        return 0


def _start_replicas(config: "Config", dataset: "Dataset", world: "World | None", finished: int = 0) -> None:
    if world is None:
        train = config.train
        start_ahead(config, len(dataset.select("train")), (train.total_epochs - finished) * max(1, train.folds or 0))


def _showing(config: "Config", finished: int = 0) -> "AbstractContextManager[Reporter]":
    from bearcnn.cli.display.training import training_display

    return training_display(config.train.total_epochs, finished, config.train.monitor, config.train.folds)


@contextmanager
def _naming_the_rest(directory: Path) -> Iterator[None]:
    """Name the command that continues a run which Ctrl-C has ended without a model: early, or while it was exported."""
    try:
        yield
    except (KeyboardInterrupt, NoEpochError):
        again = f"[bold]bearcnn train --resume {console.plain(str(directory))}[/]"
        console.note(f"[yellow]stopped.[/] Continue with: {again}")
        raise typer.Exit(130) from None


def _show(run: "Run", as_json: bool) -> None:
    from bearcnn.cli.display.training import show_finished

    metrics = run.metrics()
    if as_json:
        console.print_json({"run": str(run.directory), "model": str(run.onnx_file), **metrics})
    else:
        show_finished(run, metrics)
        config = run.config()
        if config.data.path and config.model.body == NO_BODY:  # drawn scenes need no help
            console.note("fewer photos are enough with a pretrained body: add [bold]--body efficientnet_lite0[/]")
    if not metrics["complete"]:
        console.note(
            f"[yellow]stopped after epoch {metrics['epochs']}; the model is the best so far.[/] "
            f"Continue with: [bold]bearcnn train --resume {console.plain(str(run.directory))}[/]"
        )
        raise typer.Exit(130)


def _find_lr(directory: Path, config: "Config", dataset: "Dataset", as_json: bool) -> None:
    from bearcnn.cli.display.training import show_lr
    from bearcnn.files import write_atomically
    from bearcnn.plotting import draw_learning_rates
    from bearcnn.runs import create_run
    from bearcnn.training.learner import find_lr

    run = create_run(directory, config)
    with console.tracking() as track:
        found = find_lr(config, dataset, track("trying learning rates"))
    plot = run.directory / "lr-find.png"
    write_atomically(plot, draw_learning_rates(found.lrs, found.losses, found.suggestion))
    if as_json:
        console.print_json({**asdict(found), "plot": str(plot)})
    else:
        show_lr(found.suggestion, str(plot))
