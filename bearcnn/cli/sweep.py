"""`bearcnn sweep-dropout`, `sweep`: what a knob does, measured."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, ConfigFile, Data, Overrides, load_configuration, open_with_progress
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.config import Config
    from bearcnn.sweep.plan import Plan


class Where(StrEnum):
    """Where dropout is swept."""

    HEAD = "head"
    CONV = "conv"
    INPUT = "input"
    ALL = "all"


class EngineName(StrEnum):
    """What runs the trials of a sweep."""

    LOCAL = "local"
    RAY = "ray"


SWEEP = "Sweep"
CLUSTER = "Where the trainings run"
Epochs = Annotated[int | None, typer.Option(min=1, help="Times that every photo is seen.", rich_help_panel=SWEEP)]
Seeds = Annotated[
    int | None,
    typer.Option(min=1, help="Trainings of each setting: train.seed, + 1, ... Default: 5.", rich_help_panel=SWEEP),
]
SweepOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder to write. Default: sweeps/<time>-<name>.", rich_help_panel=SWEEP),
]
SweepResume = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Run what is missing or failed in a sweep, and what is new.", rich_help_panel=SWEEP
    ),
]
Engine = Annotated[EngineName, typer.Option(help="This computer, or a Ray cluster.", rich_help_panel=CLUSTER)]
Workers = Annotated[int, typer.Option(min=1, help="Trainings at a time on this computer.", rich_help_panel=CLUSTER)]
RayAddress = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Ray cluster. Default: one started here.", rich_help_panel=CLUSTER)
]
TrialCpus = Annotated[int, typer.Option("--cpus", min=1, help="CPUs of a training on Ray.", rich_help_panel=CLUSTER)]
TrialGpus = Annotated[
    float,
    typer.Option("--gpus", min=0, help="GPUs of a training on Ray; 0.25 for four on one.", rich_help_panel=CLUSTER),
]


def sweep_dropout(
    data: Data = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    rates: Annotated[
        str | None,
        typer.Option(metavar="RATES", help="Default: 0,0.1,0.2,0.3,0.4,0.5,0.6,0.7.", rich_help_panel=SWEEP),
    ] = None,
    where: Annotated[
        Where | None,
        typer.Option(help="The features before the head (default), channels, pixels.", rich_help_panel=SWEEP),
    ] = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    out: SweepOut = None,
    resume: SweepResume = None,
    engine: Engine = EngineName.LOCAL,
    workers: Workers = 1,
    ray_address: RayAddress = "",
    cpus: TrialCpus = 1,
    gpus: TrialGpus = 0,
    as_json: AsJson = False,
) -> None:
    """Measure what dropout does for your photos and your network, with error bars, and say it in words.

    Trains the network anew for each rate and seed. All rates get the same seeds
    (first weights, order of the photos, augmentation), so that they differ pair
    by pair. Dropouts that aren't swept are 0 unless --set says otherwise. Exit
    code 1 if a training failed.

    Examples:
        bearcnn sweep-dropout --data photos --epochs 15

        bearcnn sweep-dropout --where conv --rates 0,0.1,0.2 --workers 2

        bearcnn sweep-dropout --resume sweeps/20260131-101500-dropout --seeds 9
    """
    from bearcnn.sweep.plan import plan_dropout

    kept = [override.partition("=")[0].strip() for override in overrides or []]

    def make(resolved: "Config", before: "Plan | None") -> "Plan":
        place, values = _choose_rates(where, rates, before)
        return plan_dropout(resolved, place, values, _count_seeds(seeds, before), kept)

    _sweep(
        "sweep-dropout", make, _loading(config, overrides, data, epochs), out, resume,
        (engine.value, workers, ray_address, cpus, gpus), as_json,
    )  # fmt: skip


def sweep(
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES", help="Such as model.kernel_size=3,5,7; can be repeated.", rich_help_panel=SWEEP
        ),
    ] = None,
    data: Data = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    seeds: Seeds = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Try so many settings of the grid, chosen by Optuna.", rich_help_panel=SWEEP),
    ] = None,
    epochs: Epochs = None,
    out: SweepOut = None,
    resume: SweepResume = None,
    engine: Engine = EngineName.LOCAL,
    workers: Workers = 1,
    ray_address: RayAddress = "",
    cpus: TrialCpus = 1,
    gpus: TrialGpus = 0,
    as_json: AsJson = False,
) -> None:
    """Compare values of any key, in every combination, with several seeds each.

    The first value of each key is what the others are compared with. Lists are
    written as in TOML: --vary 'model.widths=[16,32],[32,64]'. Exit code 1 if a
    training failed.

    Examples:
        bearcnn sweep --vary model.pooling=max,avg,concat --data photos

        bearcnn sweep --vary train.lr=1e-3,3e-3 --vary model.kernel_size=3,5,7 --workers 2

        bearcnn sweep --vary train.lr=1e-3,3e-3,1e-2 --vary train.batch_size=16,32,64 --sample 5
    """
    from bearcnn.sweep.plan import make_plan, plan_grid

    def make(resolved: "Config", before: "Plan | None") -> "Plan":
        number = _count_seeds(seeds, before)
        if before and not vary:
            return make_plan(resolved, before.axes, number, sample)
        return plan_grid(resolved, vary or [], number, sample)

    _sweep(
        "sweep", make, _loading(config, overrides, data, epochs), out, resume,
        (engine.value, workers, ray_address, cpus, gpus), as_json,
    )  # fmt: skip


def _loading(
    config: Path | None, overrides: list[str] | None, data: str | None, epochs: int | None
) -> Callable[[Path | None], "Config"]:
    """What reads the configuration asked for, on top of the file of a sweep that is taken up."""
    knobs = {"data.path": data, "train.epochs": str(epochs) if epochs else None}
    return lambda file: load_configuration(config or file, overrides, knobs)


def _count_seeds(asked: int | None, before: "Plan | None") -> int:
    """As many as asked for, else as the sweep had, else the default."""
    return asked or (len(before.seeds) if before else 5)


def _choose_rates(where: Where | None, rates: str | None, before: "Plan | None") -> tuple[str, list[float]]:
    """Where, and which rates: as asked for, else as the sweep had it, else the default."""
    from bearcnn.sweep.plan import DEFAULT_RATES, DROPOUTS

    place, values = "head", list(DEFAULT_RATES)
    if before:
        place = next((place for place, keys in DROPOUTS.items() if keys == before.axes[0].keys), place)
        values = list(before.axes[0].values)
    if rates:
        try:
            values = [float(rate) for rate in rates.split(",") if rate.strip()]
        except ValueError:
            raise BearcnnError(f"--rates {rates}: expected numbers from 0 to below 1, such as 0,0.2,0.5") from None
    return where.value if where else place, values


def _sweep(
    command: str,
    make: "Callable[[Config, Plan | None], Plan]",
    load: "Callable[[Path | None], Config]",
    out: Path | None,
    resume: Path | None,
    engine: tuple[str, int, str, int, float],  # kind, workers, address, CPUs and GPUs of a trial
    as_json: bool,
) -> None:
    """Plan a sweep or take one up, run it, say what it says; `make` plans on top of the plan there was."""
    from bearcnn.cli.display import sweep as console_sweep
    from bearcnn.sweep.executors.processes import Resources
    from bearcnn.sweep.folder import Sweep, check_free, choose_folder, create_sweep
    from bearcnn.sweep.plan import extend_plan
    from bearcnn.sweep.trial_log import lock_sweep

    if resume and out:
        raise BearcnnError("--resume goes on in the sweep's own folder; leave out --out")
    folder = Sweep(resume or out or choose_folder(datetime.now(), command))
    if resume:
        before = folder.plan()
        plan = extend_plan(before, make(load(folder.config_file), before))
        dataset = open_with_progress(plan.config)
        folder.check_photos(dataset.fingerprint)
    else:
        plan = make(load(None), None)
        check_free(folder.directory)
        dataset = open_with_progress(plan.config)
        create_sweep(folder.directory, plan, dataset)
    console.show_dataset(dataset)
    with lock_sweep(folder.directory):
        folder.write_plan(plan, dataset.fingerprint)
        try:
            findings = console_sweep.conduct(folder, plan, dataset, Resources(*engine))
        except KeyboardInterrupt:
            console.note(f"[yellow]stopped.[/] Continue with: [bold]bearcnn {command} --resume {folder.directory}[/]")
            raise typer.Exit(130) from None
    if as_json:
        console.print_json({"sweep": str(folder.directory), **folder.results()})
    else:
        console_sweep.show_findings(findings, folder)
    if findings.failed:
        console.note(
            f"[yellow]failed trainings: {len(findings.failed)} (trials/*/error.txt says why).[/] Run them again with: "
            f"[bold]bearcnn {command} --resume {folder.directory}[/]"
        )
        raise typer.Exit(1)
