"""`bearcnn sweep-dropout`, `bearcnn sweep`: what a setting does, measured with several seeds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, ConfigOptions, choice, open_with_progress, with_options
from bearcnn.errors import BearcnnError
from bearcnn.sweep.executors import EXECUTORS

if TYPE_CHECKING:
    from bearcnn.config import Config
    from bearcnn.data.dataset import Dataset
    from bearcnn.sweep.analysis import Analysis
    from bearcnn.sweep.executors.base import Resources
    from bearcnn.sweep.folder import SweepFolder
    from bearcnn.sweep.plan import Plan

PLACES = ("head", "conv", "input", "all")
"""The names of `sweep.plan.DROPOUTS`, which loads the configuration."""

MakePlan = Callable[["Config", "Plan | None", int], "Plan"]
"""From the configuration, the plan so far and the number of seeds to the plan that is asked for."""

RUNNING = "Where the trials run"


def _running(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=RUNNING, **settings)


@dataclass(frozen=True, slots=True)
class SweepOptions(ConfigOptions):
    """The options that every experiment has, in the order of the help."""

    seeds: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="Trials of each setting.", show_default="5")
    ] = None
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write.", show_default="sweeps/<time>-<name>")
    ] = None
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run what is missing, failed or new in a sweep.")
    ] = None
    as_json: AsJson = False
    engine: Annotated[
        str,
        choice(
            "executor",
            [row.name for row in EXECUTORS],
            help=f"{'; '.join(f'{row.name}: {row.help}' for row in EXECUTORS)}.",
            panel=RUNNING,
        ),
    ] = "local"
    workers: Annotated[int, _running(metavar="NUMBER", min=1, help="Trials at a time on this computer.")] = 1
    ray_address: Annotated[
        str, _running(metavar="ADDRESS", help="Ray cluster.", show_default="one that is started here")
    ] = ""
    cpus: Annotated[int, _running("--cpus", metavar="NUMBER", min=1, help="CPUs of a trial on Ray.")] = 1
    gpus: Annotated[
        float, _running("--gpus", metavar="NUMBER", min=0, help="GPUs of a trial on Ray; 0.25: four trials on one.")
    ] = 0.0

    def resources(self) -> "Resources":
        """Return where the trials run."""
        from bearcnn.sweep.executors.base import Resources

        return Resources(self.engine, self.workers, self.ray_address, self.cpus, self.gpus)


@with_options
def sweep_dropout(
    *,
    rates: Annotated[
        str | None,
        typer.Option(metavar="RATES", help="Dropout rates to compare.", show_default="0,0.1,0.2,...,0.7"),
    ] = None,
    where: Annotated[
        str | None,
        choice("place of dropout", PLACES, help="Features, channels or pixels.", default="head"),
    ] = None,
    options: SweepOptions,
) -> None:
    """Measure what dropout does for your photos and your network, with error bars and a summary in words.

    The network is trained anew for each rate and seed. Every rate runs with the same seeds (first weights, order of the
    photos, augmentation): rates are compared pair by pair. The other dropouts are 0 unless you set them. The exit code
    is 1 if a trial failed.

    Examples:
        bearcnn sweep-dropout --data photos --epochs 15

        bearcnn sweep-dropout --where conv --rates 0,0.1,0.2 --workers 2

        bearcnn sweep-dropout --resume sweeps/20260131-101500-dropout --seeds 9
    """
    from bearcnn.sweep.plan import DEFAULT_RATES, DROPOUTS, plan_dropout

    asked = _parse_rates(rates)

    def make(config: "Config", before: "Plan | None", seeds: int) -> "Plan":
        place, values = "head", list(DEFAULT_RATES)
        if before:
            place = next((place for place, keys in DROPOUTS.items() if keys == before.swept[0].keys), place)
            values = list(before.swept[0].values)
        return plan_dropout(config, where or place, asked or values, seeds, options.set_keys)

    _run("sweep-dropout", make, options)


@with_options
def sweep(
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="Such as model.kernel_size=3,5,7; can be repeated."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=1, help="Try so many settings of the grid, chosen by Optuna."),
    ] = None,
    options: SweepOptions,
) -> None:
    """Compare values of any config key, in every combination, with several seeds each.

    The first value of each key is the baseline. Lists are written as in TOML: --vary 'model.widths=[16,32],[32,64]'.
    The exit code is 1 if a trial failed.

    Examples:
        bearcnn sweep --vary model.pooling=max,avg,concat --data photos

        bearcnn sweep --vary train.lr=1e-3,3e-3 --vary model.kernel_size=3,5,7

        bearcnn sweep --vary train.lr=1e-3,3e-3 --vary model.residual=0,1 --sample 3
    """
    from bearcnn.sweep.plan import make_plan, parse_vary, plan_grid

    settings = parse_vary(vary or [])
    if not settings and not options.resume:
        raise BearcnnError("there is nothing to vary: give keys and values, such as --vary model.pooling=max,avg")

    def make(config: "Config", before: "Plan | None", seeds: int) -> "Plan":
        if before and not settings:
            return make_plan(config, before.swept, seeds, sample)
        return plan_grid(config, settings, seeds, sample)

    _run("sweep", make, options)


def check_folder(options: SweepOptions) -> None:
    """Refuse a new folder for an experiment that continues in its own."""
    if options.resume and options.out:
        raise BearcnnError("--resume continues an experiment in its own folder; omit --out")


@contextmanager
def stoppable(again: str) -> Iterator[None]:
    """Let Ctrl-C end an experiment with the command that continues it."""
    try:
        yield
    except KeyboardInterrupt:
        console.note(f"[yellow]stopped.[/] Continue with: {again}")
        raise typer.Exit(130) from None


@contextmanager
def new_folder(out: Path | None, name: str) -> Iterator[Path]:
    """Give the folder of a new experiment: `out` if it is free, or sweeps/<time>-<name>, which goes after an error."""
    from bearcnn.runs import dropped_if_empty
    from bearcnn.sweep.folder import check_free, choose_folder

    if out is not None:
        check_free(out)
        yield out
        return
    directory = choose_folder(datetime.now(), name)
    with dropped_if_empty(directory):
        yield directory


def report_failed(trials: int, again: str) -> None:
    """Name the failed trials, if there are any, and the command that runs them again; exit code 1."""
    if trials:
        console.note(f"[yellow]failed trials: {trials} (see trials/*/error.txt).[/] Run them again with: {again}")
        raise typer.Exit(1)


def _parse_rates(text: str | None) -> list[float]:
    try:
        return [float(rate) for rate in (text or "").split(",") if rate.strip()]
    except ValueError:
        raise BearcnnError(f"--rates {text}: expected numbers from 0 to below 1, such as 0,0.2,0.5") from None


def _run(command: str, make: MakePlan, options: SweepOptions) -> None:
    """Start or resume a sweep and show its analysis."""
    check_folder(options)
    from bearcnn.cli.display.dataset import show_dataset
    from bearcnn.cli.display.sweep import SweepDisplay
    from bearcnn.sweep.run import run_sweep

    folder, plan, dataset = _resume(options.resume, make, options) if options.resume else _start(command, make, options)
    show_dataset(dataset, builtin=not plan.config.data.path)
    again = f"[bold]bearcnn {command} --resume {console.plain(str(folder.directory))}[/]"
    with stoppable(again):
        analysis = run_sweep(folder, plan, dataset, options.resources(), SweepDisplay())
    _show(analysis, folder, options.as_json)
    report_failed(len(analysis.failed), again)


def _start(command: str, make: MakePlan, options: SweepOptions) -> "tuple[SweepFolder, Plan, Dataset]":
    from bearcnn.sweep.folder import create_sweep

    plan = make(options.load(), None, options.seeds or 5)
    with new_folder(options.out, command) as directory:
        dataset = open_with_progress(plan.config)
        return create_sweep(directory, plan, dataset), plan, dataset


def _resume(directory: Path, make: MakePlan, options: SweepOptions) -> "tuple[SweepFolder, Plan, Dataset]":
    from bearcnn.sweep.folder import SweepFolder
    from bearcnn.sweep.plan import extend_plan

    folder = SweepFolder(directory)
    before = folder.plan()
    plan = extend_plan(before, make(options.load(folder.config_file), before, options.seeds or len(before.seeds)))
    dataset = open_with_progress(plan.config)
    folder.check_photos(dataset.fingerprint)
    return folder, plan, dataset


def _show(analysis: "Analysis", folder: "SweepFolder", as_json: bool) -> None:
    from bearcnn.cli.display.sweep import show_analysis

    if as_json:
        console.print_json({"sweep": str(folder.directory), **folder.results()})
    else:
        show_analysis(analysis, folder)
