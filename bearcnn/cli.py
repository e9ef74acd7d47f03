"""Typer commands: each loads, calls one function, shows. Only `main` exits; nothing heavy is imported at the top."""

import errno
import math
import os
import sys
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import bearcnn
from bearcnn import console
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:  # for the types alone: a command loads only what it uses
    from collections.abc import Callable

    from bearcnn.config import Config
    from bearcnn.dataset import Dataset
    from bearcnn.judging import Judgement, Rule
    from bearcnn.plans import Plan
    from bearcnn.runs import Run

app = typer.Typer(
    name="bearcnn",
    help="Train a small image classifier you understand, and use it for real: bear, or not a bear?",
    epilog="Start here: [bold]bearcnn train[/] needs nothing but itself. Then: [bold]bearcnn predict PHOTO[/].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # our bugs keep their plain traceback
)
data_app = typer.Typer(no_args_is_help=True, help="Make, fetch and keep data sets.", rich_markup_mode="rich")
config_app = typer.Typer(no_args_is_help=True, help="Look at a configuration.", rich_markup_mode="rich")
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")

# Flags have metavar="", because "<bool>" beside them would look as if they wanted a value.
KNOBS = "Knobs (short for --set)"

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file; see `bearcnn config show` for every key.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key, such as train.lr=3e-3; can be repeated."),
]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="Folder of class folders. Default: built-in scenes.")]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="JSON on stdout, for programs.")]
RunFolder = Annotated[
    Path | None, typer.Argument(metavar="RUN", help="Run folder. Default: the newest finished one (runs/latest).")
]


def _knob(what: str) -> Any:
    return typer.Option(metavar="VALUE", help=what, rich_help_panel=KNOBS)


class Style(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


class FetchedSet(StrEnum):
    """Public data sets that can be fetched."""

    CIFAR100_BEARS = "cifar100-bears"


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


class Split(StrEnum):
    """The parts of a data set."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


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


def main() -> None:
    """Run the command line; what the user can mend becomes one line and exit code 1."""
    try:
        if sys.stdout is None:
            raise BearcnnError("there is no standard output to write to")
        app()
    except BearcnnError as error:
        console.show_error(error)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        console.show_error(BearcnnError("can't write the output: the disk is full"))
        os._exit(1)  # Python would try to write the rest once more, and fail with a traceback


def _show_version(asked: bool) -> None:
    if asked:
        console.print_text(f"bearcnn {bearcnn.__version__}\n")
        raise typer.Exit


@app.callback()
def _bearcnn(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel="Main")
def train(
    data: Data = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    kernel_size: Annotated[str | None, _knob("Convolution window: 1, 3, 5, 7 ... or one a block: 5,3,3,3.")] = None,
    stride: Annotated[str | None, _knob("2 halves the map in the convolution, 1 in a pooling window.")] = None,
    pooling: Annotated[str | None, _knob("max, avg or concat (both side by side).")] = None,
    dropout: Annotated[str | None, _knob("Share of the features dropped before the last layer.")] = None,
    input_dropout: Annotated[str | None, _knob("Share of the picture's pixels dropped.")] = None,
    image_size: Annotated[str | None, _knob("Side of the picture that the network sees, in pixels.")] = None,
    epochs: Annotated[str | None, _knob("Times that every photo is seen.")] = None,
    batch_size: Annotated[str | None, _knob("Photos in one step.")] = None,
    lr: Annotated[str | None, _knob("Highest learning rate.")] = None,
    seed: Annotated[str | None, _knob("Seed of everything random in the training.")] = None,
    out: Annotated[str | None, _knob("Run folder to write. Default: runs/<time>-<name>.")] = None,
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
        "train.epochs": epochs, "train.batch_size": batch_size, "train.lr": lr, "train.seed": seed, "train.out": out,
    }  # fmt: skip
    from bearcnn.runs import choose_directory, create_run, open_run

    if resume is not None:
        if config or overrides or any(knobs.values()) or lr_find:
            raise BearcnnError("--resume continues a run as it was configured; leave out the other options")
        run = open_run(resume)
        dataset = _reopen_dataset(run)
    else:
        resolved = _load_config(config, overrides, knobs)
        directory = choose_directory(resolved, datetime.now(), "lr-find" if lr_find else "")
        dataset = _open_dataset(resolved)
        console.show_dataset(dataset)
        run = create_run(directory, resolved)
        if lr_find:
            _find_lr(run, dataset, as_json)
            return
    _train(run, dataset, resume is not None, as_json)


def _train(run: "Run", dataset: "Dataset", resume: bool, as_json: bool) -> None:
    from bearcnn.training import train

    with console.training_display(run.config().train.epochs, len(run.history()) if resume else 0) as display:
        outcome = train(run, dataset, display, resume=resume)
    split = dataset.best_to_judge()
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
    from bearcnn.plots import draw_learning_rates
    from bearcnn.training import find_lr

    with console.tracking() as track:
        found = find_lr(run.config(), dataset, track("trying learning rates"))
    plot = run.directory / "lr-find.png"
    write_atomically(plot, draw_learning_rates(found.lrs, found.losses, found.suggestion))
    if as_json:
        console.print_json({**asdict(found), "plot": str(plot)})
    else:
        console.show_lr(found.suggestion, str(plot))


@app.command(rich_help_panel="Main")
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
    from bearcnn.prediction import Predictor, expand_paths, find_model, predict_photos

    predictor = Predictor(find_model(model))
    photos, on_windows = expand_paths(paths, sys.stdin.buffer), None
    if heatmaps is not None:
        from bearcnn.heatmaps import keep_outside, open_heatmaps

        photos, on_windows = keep_outside(photos, heatmaps), open_heatmaps(heatmaps, predictor.manifest)
    predictions = predict_photos(predictor, photos, on_windows=on_windows)
    counts = console.print_predictions(predictions, "json" if as_json else style.value, predictor.manifest.classes)
    console.summarize_predictions(counts)
    if not any(counts.values()):
        raise BearcnnError("no photo was given: the list or pattern is empty")
    if counts["unreadable"]:
        raise typer.Exit(1)


@app.command(rich_help_panel="Main")
def evaluate(
    run_folder: RunFolder = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Other labelled photos than the run's own.")] = None,
    split: Annotated[
        Split | None, typer.Option(metavar="PART", help="train, valid or test. Default: test, or valid without one.")
    ] = None,
    target_recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose the threshold that finds this share of the bears.")
    ] = None,
    max_false_alarms_per_day: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Choose the threshold with no more false alarms a day.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(metavar="NUMBER", help="Judge at this threshold.")] = None,
    photos_per_day: Annotated[float | None, typer.Option(metavar="NUMBER", help="Photos taken in a day.")] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of photos with a bear where it is used. Default: as in the data."),
    ] = None,
    save_threshold: Annotated[
        bool, typer.Option("--save-threshold", metavar="", help="Write the threshold into the run's model file.")
    ] = False,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="SCORE=VALUE", help="Exit with 1 if a score is lower, such as accuracy=0.95."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a run's exported model, with intervals: what is evaluated is the very file that predict uses.

    A threshold is chosen on the validation photos and judged on the test photos.

    Examples:
        bearcnn evaluate

        bearcnn evaluate --target-recall 0.98 --prevalence 0.02 --save-threshold

        bearcnn evaluate --max-false-alarms-per-day 5 --photos-per-day 400

        bearcnn evaluate --data other-photos --at-least recall=0.98
    """
    from bearcnn.judging import Rule, save_threshold_of
    from bearcnn.runs import open_run

    required = [_parse_requirement(text) for text in at_least or []]
    rule = Rule(target_recall, max_false_alarms_per_day, threshold, photos_per_day, prevalence)
    rule.check(saving=save_threshold)
    run = open_run(run_folder)
    dataset = _open_folder(data, run.config()) if data else _reopen_dataset(run)
    judgement = _judge(run, dataset, split.value if split else dataset.best_to_judge(), rule, own=not data)
    if save_threshold:
        save_threshold_of(run, judgement)
    if not data:
        _write_report(run)
    if as_json:
        console.print_json({"run": str(run.directory), "data": str(dataset.root), **judgement.to_json()})
    else:
        console.show_judgement(judgement, f"{dataset.root}, {judgement.split}", dataset.classes)
    if save_threshold:
        console.note(f"threshold {judgement.choice.threshold:.4g} is now that of {run.onnx_file}; predict uses it")
    for name, value in required:
        reached = judgement.evaluation.estimates[name].value
        if reached is None or reached < value:
            raise BearcnnError(f"{name} is {'undefined' if reached is None else f'{reached:.4f}'}, less than {value:g}")


def _judge(run: "Run", dataset: "Dataset", split: Any, rule: "Rule", own: bool) -> "Judgement":
    """What the model file is worth on a split, at a threshold chosen on the validation photos of the run."""
    from bearcnn.judging import choose, judge, keep_scores, score_photos, validation_scores
    from bearcnn.prediction import Predictor

    if not dataset.select(split):
        raise BearcnnError(f"{dataset.root} has no {split} photos; leave --split out, or name another one")
    predictor = Predictor(run.onnx_file)
    with console.tracking() as track:
        scores = score_photos(predictor, dataset, split, track("evaluating"))
        if own and not run.predictions_file.is_file():  # a run of a version that didn't keep them
            keep_scores(run, predictor, dataset, scores)
    choice = choose(rule, validation_scores(run) if rule.chooses else [], predictor.manifest.threshold)
    return judge(scores, split, choice, rule, trained_on=split if own else None)


def _write_report(run: "Run") -> None:
    from bearcnn.report import write_report

    try:
        write_report(run)
    except BearcnnError as error:  # a folder that can't be written to, a run of an older version
        console.note(f"[yellow]no report: {console.plain(str(error))}[/]")


@app.command(rich_help_panel="Main")
def report(
    run_folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUNS...", help="One run, or several to compare. Default: the newest."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Page to write. Default: report.html in the run; compare.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's report: one page for the browser, with no need of a network. Several runs are compared.

    Examples:
        bearcnn report

        bearcnn report runs/first runs/second --out compare.html
    """
    from bearcnn.comparison import write_comparison
    from bearcnn.report import write_report
    from bearcnn.runs import open_run

    runs = [open_run(folder) for folder in run_folders] if run_folders else [open_run(None)]
    file = write_report(runs[0], out) if len(runs) == 1 else write_comparison(runs, out or Path("compare.html"))
    if as_json:
        console.print_json({"report": str(file), "bytes": file.stat().st_size})
    else:
        console.say(f"{console.plain(str(file))}: open it in a browser ({file.stat().st_size / 1e6:.1f} MB)")


def _parse_requirement(text: str) -> tuple[str, float]:
    from bearcnn.evaluation import METRICS

    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name not in METRICS or not METRICS[name] or math.isnan(number):
        known = ", ".join(metric for metric, higher_is_better in METRICS.items() if higher_is_better)
        raise BearcnnError(f"--at-least {text}: expected SCORE=VALUE, such as accuracy=0.95; the scores are {known}")
    return name, number


@app.command(rich_help_panel="Main")
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
    from bearcnn.export import SUFFIXES, export_run
    from bearcnn.runs import open_run

    run = open_run(run_folder)
    file = out or Path(run.config().train.name + SUFFIXES[target.value])
    report = export_run(run, _reopen_dataset(run), target.value, file)
    if as_json:
        console.print_json(asdict(report))
    else:
        console.show_export(report)


@app.command(rich_help_panel="Main")
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
    from bearcnn.explain import explain
    from bearcnn.files import write_atomically

    write_atomically(file, explain(photo, model, what.value))
    if as_json:
        console.print_json({"picture": str(file), "what": what.value})
    else:
        console.show_picture(file)


@app.command("sweep-dropout", rich_help_panel="Experiments")
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
    from bearcnn.plans import plan_dropout

    kept = [override.partition("=")[0].strip() for override in overrides or []]

    def make(resolved: "Config", before: "Plan | None") -> "Plan":
        place, values = _choose_rates(where, rates, before)
        return plan_dropout(resolved, place, values, seeds or (len(before.seeds) if before else 5), kept)

    knobs = {"data.path": data, "train.epochs": str(epochs) if epochs else None}
    _sweep(
        "sweep-dropout", make, lambda file: _load_config(config or file, overrides, knobs), out, resume,
        (engine.value, workers, ray_address, cpus, gpus), as_json,
    )  # fmt: skip


@app.command(rich_help_panel="Experiments")
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
    from bearcnn.plans import make_plan, plan_grid

    def make(resolved: "Config", before: "Plan | None") -> "Plan":
        number = seeds or (len(before.seeds) if before else 5)
        if before and not vary:
            return make_plan(resolved, before.axes, number, sample)
        return plan_grid(resolved, vary or [], number, sample)

    knobs = {"data.path": data, "train.epochs": str(epochs) if epochs else None}
    _sweep(
        "sweep", make, lambda file: _load_config(config or file, overrides, knobs), out, resume,
        (engine.value, workers, ray_address, cpus, gpus), as_json,
    )  # fmt: skip


@data_app.command()
def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    count: Annotated[int, typer.Option(min=20, help="Number of pictures, half of them with a bear.")] = 6000,
    size: Annotated[int, typer.Option(min=16, max=2048, help="Side of a picture, in pixels.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pictures.")] = 0,
    bear_scale: Annotated[
        str,
        typer.Option(metavar="LOW-HIGH", help="The animal's share of the picture's side, 0.05 to 0.6."),
    ] = "0.5-0.6",
    clutter: Annotated[float, typer.Option(min=0, max=1, help="How busy the scene is, 0 to 1.")] = 0.25,
    as_json: AsJson = False,
) -> None:
    """Draw a data set: scenes with bears, with other animals, and with none.

    A data set to learn on: how large the animals are and how busy the scene is can be chosen, and the box of each
    animal is known (scenes.jsonl).

    Examples:
        bearcnn data synth scenes

        bearcnn data synth hard --bear-scale 0.1-0.2 --clutter 0.9
    """
    from bearcnn.scenes import write_scenes

    with console.tracking() as track:
        summary = write_scenes(
            directory, count=count, size=size, seed=seed, bear_scale=_parse_scale(bear_scale), clutter=clutter,
            progress=track("drawing scenes"),
        )  # fmt: skip
    if as_json:
        console.print_json(asdict(summary))
    else:
        console.say(f"drew {count:,} scenes; train on them with: [bold]bearcnn train --data {directory}[/]")


def _parse_scale(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise BearcnnError(f"--bear-scale {text}: expected a number or a range, such as 0.3 or 0.1-0.4") from None


@data_app.command()
def fetch(
    name: Annotated[FetchedSet, typer.Argument(help="What to fetch.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    negatives_per_bear: Annotated[int, typer.Option(min=1, max=99, help="Other pictures for each bear.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Fetch real photos: the bears of CIFAR-100 (32 px) against its other classes.

    Half of the others are the animals most like bears, the rest is spread over everything else. The download (169 MB)
    is checked, and goes on where it stopped when it is broken off.

    Example:
        bearcnn data fetch cifar100-bears photos
    """
    from bearcnn.fetching import fetch_cifar100_bears

    with console.tracking() as track:
        summary = fetch_cifar100_bears(
            directory, negatives_per_bear=negatives_per_bear, downloading=track("downloading"), writing=track("sorting")
        )
    if as_json:
        console.print_json(asdict(summary))
        return
    console.say(
        f"{summary.bears:,} bears, {summary.others:,} others; train on them with: "
        f"[bold]bearcnn train --data {directory} --image-size 32[/]"
    )


@data_app.command()
def cache(
    clear: Annotated[
        bool, typer.Option("--clear", metavar="", help="Delete them; they are decoded again when needed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the decoded pixels that are kept to make the next training start at once."""
    from bearcnn.cache import cache_root, clear_caches, list_caches

    if clear:
        number, freed = clear_caches()
        if as_json:
            console.print_json({"deleted": number, "bytes": freed})
        else:
            console.say(f"deleted {number} entries, {freed / 1e6:.1f} MB")
        return
    entries = list_caches()
    if as_json:
        console.print_json([asdict(entry) for entry in entries])
    elif entries:
        console.show_caches(entries)
    else:
        console.note(f"nothing is kept in {cache_root()}")


@config_app.command()
def show(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="TOML file. Default: the defaults.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the resolved configuration with each key's explanation; it is a valid configuration file itself."""
    from bearcnn.config import dump_config, load_config

    resolved = load_config(file, overrides or [])
    if as_json:
        console.print_json(resolved.model_dump(mode="json"))
    else:
        console.print_text(dump_config(resolved, explained=True))


@config_app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file.")],
    overrides: Overrides = None,
) -> None:
    """Check a configuration: every problem at once, before anything is trained."""
    from bearcnn.config import load_config

    load_config(file, overrides or [])
    console.say(f"{file} is fine")


def _choose_rates(where: Where | None, rates: str | None, before: "Plan | None") -> tuple[str, list[float]]:
    """Where, and which rates: as asked for, else as the sweep had it, else the default."""
    from bearcnn.plans import DEFAULT_RATES, DROPOUTS

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
    from bearcnn import console_sweep
    from bearcnn.engines import Resources
    from bearcnn.ledger import lock_sweep
    from bearcnn.plans import extend_plan
    from bearcnn.sweep import Sweep, check_free, choose_folder, create_sweep

    if resume and out:
        raise BearcnnError("--resume goes on in the sweep's own folder; leave out --out")
    folder = Sweep(resume or out or choose_folder(datetime.now(), command))
    if resume:
        before = folder.plan()
        plan = extend_plan(before, make(load(folder.config_file), before))
        dataset = _open_dataset(plan.config)
        folder.check_photos(dataset.fingerprint)
    else:
        plan = make(load(None), None)
        check_free(folder.directory)
        dataset = _open_dataset(plan.config)
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


def _load_config(file: Path | None, overrides: list[str] | None, knobs: dict[str, str | None]) -> "Config":
    """The configuration of file, --set and knobs, the later ones winning; the data folder made absolute."""
    from bearcnn.config import load_config

    spelled = [f"{key}=[{value}]" if "," in value else f"{key}={value}" for key, value in knobs.items() if value]
    config = load_config(file, [*(overrides or []), *spelled])
    if not config.data.path:
        return config
    # A run must find its photos again from wherever it is resumed or evaluated.
    data = config.data.model_copy(update={"path": str(Path(config.data.path).expanduser().absolute())})
    return config.model_copy(update={"data": data})


def _open_dataset(config: "Config") -> "Dataset":
    from bearcnn.dataset import open_dataset

    with console.tracking() as track:
        return open_dataset(config.data, track("drawing scenes"), track("decoding photos"))


def _open_folder(folder: str, config: "Config") -> "Dataset":
    """Labelled photos that the run knows nothing of: unless the folder is split itself, all of them count as test."""
    from bearcnn.dataset import load_labelled

    with console.tracking() as track:
        return load_labelled(Path(folder), config.data, track("decoding photos"))


def _reopen_dataset(run: "Run") -> "Dataset":
    from bearcnn.dataset import reopen_dataset

    with console.tracking() as track:
        return reopen_dataset(run, track("drawing scenes"), track("decoding photos"))
