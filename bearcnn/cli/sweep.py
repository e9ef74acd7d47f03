"""`bearcnn sweep-dropout`, `bearcnn sweep`: what a setting does, measured with several seeds."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

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
    load_configuration,
    open_with_progress,
)
from bearcnn.errors import BearcnnError
from bearcnn.sweep.executors import EXECUTORS, find_executor

SWEEP = "Sweep"
RUNNING = "Where the trials run"


def _running(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=RUNNING, **settings)


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """The options that both commands have, in the order of the help."""

    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trials of each setting. Default: 5.", rich_help_panel=SWEEP)
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write. Default: sweeps/<time>-<name>.", rich_help_panel=SWEEP),
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run what is missing, failed or new in a sweep.", rich_help_panel=SWEEP),
    ] = None
    data: Data = None
    config: ConfigFile = None
    overrides: Overrides = None
    as_json: AsJson = False
    body: BodyName = None
    kernel_size: KernelSize = None
    stride: Stride = None
    pooling: Pooling = None
    dropout: Dropout = None
    input_dropout: InputDropout = None
    image_size: ImageSize = None
    epochs: Epochs = None
    batch_size: BatchSize = None
    lr: LearningRate = None
    engine: Annotated[
        str,
        _running(
            metavar="|".join(row.name for row in EXECUTORS),
            help=f"{'; '.join(f'{row.name}: {row.help}' for row in EXECUTORS)}.",
        ),
    ] = "local"
    workers: Annotated[int, _running(min=1, help="Trials at a time on this computer.")] = 1
    ray_address: Annotated[str, _running(metavar="ADDRESS", help="Ray cluster. Default: one started here.")] = ""
    cpus: Annotated[int, _running("--cpus", min=1, help="CPUs of a trial on Ray.")] = 1
    gpus: Annotated[float, _running("--gpus", min=0, help="GPUs of a trial on Ray; 0.25: four trials on one.")] = 0.0

    @property
    def knobs(self) -> dict[str, str | None]:
        """The options that are spellings of --set, by config key."""
        return {
            "data.path": self.data, "model.body": self.body, "model.kernel_size": self.kernel_size,
            "model.stride": self.stride, "model.pooling": self.pooling, "model.dropout": self.dropout,
            "model.input_dropout": self.input_dropout, "data.image_size": self.image_size,
            "train.epochs": self.epochs, "train.batch_size": self.batch_size, "train.lr": self.lr,
        }  # fmt: skip

    @property
    def set_keys(self) -> list[str]:
        """The config keys that the user has set, one way or the other."""
        overridden = [override.partition("=")[0].strip() for override in self.overrides or []]
        return [*overridden, *(key for key, value in self.knobs.items() if value)]


def with_sweep_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options after its own; it gets them as its argument `options`."""
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "options"]
    shared = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
        for each in fields(SweepOptions)
    ]

    @wraps(command)
    def with_options(**values: Any) -> None:
        options = SweepOptions(**{each.name: values.pop(each.name) for each in shared})
        command(**values, options=options)

    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *shared]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


class Where(StrEnum):
    """Places of dropout."""

    HEAD = "head"
    CONV = "conv"
    INPUT = "input"
    ALL = "all"


@with_sweep_options
def sweep_dropout(
    options: SweepOptions,
    rates: Annotated[
        str | None,
        typer.Option(metavar="RATES", help="Default: 0,0.1,0.2,0.3,0.4,0.5,0.6,0.7.", rich_help_panel=SWEEP),
    ] = None,
    where: Annotated[
        Where | None,
        typer.Option(help="The features before the head (default), channels, pixels.", rich_help_panel=SWEEP),
    ] = None,
) -> None:
    """Measure what dropout does for your photos and your network, with error bars and a summary in words.

    Trains the network anew for each rate and seed. Every rate runs with the same
    seeds (first weights, order of the photos, augmentation), so rates are
    compared pair by pair. The other dropouts are 0 unless you set them. Exit
    code 1 if a trial failed.

    Examples:
        bearcnn sweep-dropout --data photos --epochs 15

        bearcnn sweep-dropout --where conv --rates 0,0.1,0.2 --workers 2

        bearcnn sweep-dropout --resume sweeps/20260131-101500-dropout --seeds 9
    """
    from bearcnn.sweep.plan import DEFAULT_RATES, DROPOUTS, plan_dropout

    asked = _parse_rates(rates)

    def make(config: Any, before: Any, seeds: int) -> Any:
        place, values = "head", list(DEFAULT_RATES)
        if before:
            place = next((place for place, keys in DROPOUTS.items() if keys == before.swept[0].keys), place)
            values = list(before.swept[0].values)
        return plan_dropout(config, where.value if where else place, asked or values, seeds, options.set_keys)

    _run("sweep-dropout", make, options)


@with_sweep_options
def sweep(
    options: SweepOptions,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES", help="Such as model.kernel_size=3,5,7; can be repeated.", rich_help_panel=SWEEP
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Try so many settings of the grid, chosen by Optuna.", rich_help_panel=SWEEP),
    ] = None,
) -> None:
    """Compare values of any config key, in every combination, with several seeds each.

    The first value of each key is the baseline. Lists are written as in TOML:
    --vary 'model.widths=[16,32],[32,64]'. Exit code 1 if a trial failed.

    Examples:
        bearcnn sweep --vary model.pooling=max,avg,concat --data photos

        bearcnn sweep --vary train.lr=1e-3,3e-3 --vary model.kernel_size=3,5,7 --workers 2

        bearcnn sweep --vary train.lr=1e-3,3e-3,1e-2 --vary train.batch_size=16,32,64 --sample 5
    """
    from bearcnn.sweep.plan import make_plan, parse_vary, plan_grid

    settings = parse_vary(vary or [])

    def make(config: Any, before: Any, seeds: int) -> Any:
        if before and not settings:
            return make_plan(config, before.swept, seeds, sample)
        return plan_grid(config, settings, seeds, sample)

    _run("sweep", make, options)


def _parse_rates(text: str | None) -> list[float]:
    try:
        return [float(rate) for rate in (text or "").split(",") if rate.strip()]
    except ValueError:
        raise BearcnnError(f"--rates {text}: expected numbers from 0 to below 1, such as 0,0.2,0.5") from None


def _run(command: str, make: Callable[[Any, Any, int], Any], options: SweepOptions) -> None:
    """Start or resume a sweep and show its analysis; `make` makes a plan from (config, the plan so far, seeds)."""
    from bearcnn.cli.display.sweep import SweepDisplay, show_analysis
    from bearcnn.sweep.executors.base import Resources
    from bearcnn.sweep.folder import SweepFolder, check_free, choose_folder, create_sweep
    from bearcnn.sweep.plan import extend_plan
    from bearcnn.sweep.run import run_sweep

    if options.resume and options.out:
        raise BearcnnError("--resume continues a sweep in its own folder; omit --out")
    find_executor(options.engine)
    folder = SweepFolder(options.resume or options.out or choose_folder(datetime.now(), command))
    if options.resume:
        before = folder.plan()
        config = load_configuration(options.config or folder.config_file, options.overrides, options.knobs)
        plan = extend_plan(before, make(config, before, options.seeds or len(before.seeds)))
        dataset = open_with_progress(plan.config)
        folder.check_photos(dataset.fingerprint)
    else:
        plan = make(load_configuration(options.config, options.overrides, options.knobs), None, options.seeds or 5)
        check_free(folder.directory)
        dataset = open_with_progress(plan.config)
        create_sweep(folder.directory, plan, dataset)
    console.show_dataset(dataset)
    resources = Resources(options.engine, options.workers, options.ray_address, options.cpus, options.gpus)
    try:
        analysis = run_sweep(folder, plan, dataset, resources, SweepDisplay())
    except KeyboardInterrupt:
        console.note(f"[yellow]stopped.[/] Continue with: [bold]bearcnn {command} --resume {folder.directory}[/]")
        raise typer.Exit(130) from None
    if options.as_json:
        console.print_json({"sweep": str(folder.directory), **folder.results()})
    else:
        show_analysis(analysis, folder)
    if analysis.failed:
        console.note(
            f"[yellow]failed trials: {len(analysis.failed)} (see trials/*/error.txt).[/] Run them again with: "
            f"[bold]bearcnn {command} --resume {folder.directory}[/]"
        )
        raise typer.Exit(1)
