"""`bearcnn learning-curve`: would more photos help?"""

from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import open_with_progress, with_options
from bearcnn.cli.sweep import SweepOptions, check_folder, new_folder, report_failed, stoppable
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.sweep.folder import SweepFolder
    from bearcnn.sweep.plan import Plan


@with_options
def learning_curve(
    *,
    photos: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Such as 16,32,64,all.", show_default="from 16 by doubling to all"),
    ] = None,
    options: SweepOptions,
) -> None:
    """Measure whether more photos would help: scores against the number of training photos, with error bars.

    The network is trained anew for each number of photos and seed; each seed draws other photos. All are scored on the
    same validation photos. A curve through the scores says what twice as many photos would give, or that there is no
    number for it. The exit code is 1 if a trial failed.

    Few photos in the usual epochs would be a handful of steps: each trial has at least 500 steps, or train.min_steps if
    you set it.

    Examples:
        bearcnn learning-curve --data photos

        bearcnn learning-curve --data photos --photos 50,100,all --seeds 3

        bearcnn learning-curve --resume sweeps/20260131-101500-curve --seeds 9
    """
    check_folder(options)
    sizes = _parse(photos)
    from bearcnn.cli.display.dataset import show_dataset
    from bearcnn.cli.display.learning_curve import show_curve
    from bearcnn.cli.display.sweep import SweepDisplay
    from bearcnn.sweep.learning_curve import run_curve

    folder, plan, dataset = (_resume if options.resume else _start)(sizes, options)
    show_dataset(dataset, builtin=not plan.config.data.path)
    again = f"[bold]bearcnn learning-curve --resume {console.plain(str(folder.directory))}[/]"
    with stoppable(again):
        curve = run_curve(folder, plan, dataset, options.resources(), SweepDisplay())
    if options.as_json:
        console.print_json({"sweep": str(folder.directory), **curve.to_json()})
    else:
        show_curve(curve, plan, folder.directory, dataset)
    report_failed(len(plan.seeds) * len(plan.swept[0].values) - sum(point.runs for point in curve.points), again)


def _parse(text: str | None) -> list[int] | None:
    """Parse numbers of photos; "all" becomes 0."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word == "all" or (word.isdecimal() and int(word)) for word in words):
        raise BearcnnError(f"--photos {text}: expected numbers of photos, such as 16,32,64,all")
    return [0 if word == "all" else int(word) for word in words]


def _start(sizes: list[int] | None, options: SweepOptions) -> "tuple[SweepFolder, Plan, Dataset]":
    from bearcnn.sweep.folder import create_sweep
    from bearcnn.sweep.learning_curve import plan_curve

    config = options.load()
    with new_folder(options.out, "learning-curve") as directory:
        dataset = open_with_progress(config)
        plan = plan_curve(config, dataset, sizes, options.seeds or 5)
        return create_sweep(directory, plan, dataset), plan, dataset


def _resume(sizes: list[int] | None, options: SweepOptions) -> "tuple[SweepFolder, Plan, Dataset]":
    from bearcnn.sweep.folder import SweepFolder
    from bearcnn.sweep.learning_curve import check_curve, plan_curve
    from bearcnn.sweep.plan import extend_plan

    assert options.resume is not None
    folder = SweepFolder(options.resume)
    before = folder.plan()
    check_curve(before, folder.directory)
    config = options.load(folder.config_file)
    dataset = open_with_progress(config)
    folder.check_photos(dataset.fingerprint)
    asked = plan_curve(config, dataset, sizes or before.swept[0].values, options.seeds or len(before.seeds))
    return folder, extend_plan(before, asked), dataset
