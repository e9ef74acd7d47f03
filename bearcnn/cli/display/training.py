"""Display of a training run: the start, the network, a line per epoch, the verdict and its files."""

import math
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from bearcnn._version import __version__
from bearcnn.cli.display.console import VERDICT_COLORS, err, make_table, note, out, plain, progress
from bearcnn.config import LAST_EPOCH
from bearcnn.data.splits import FOLDS
from bearcnn.evaluation.formats import decimal
from bearcnn.evaluation.metrics import Evaluation
from bearcnn.evaluation.predictions import SCORED, as_arrays, as_clusters, for_scores, read_predictions
from bearcnn.evaluation.thresholds import operating_point
from bearcnn.evaluation.wording import PHOTOS, explain_few_photos, interval, metric_words
from bearcnn.manifest import read_manifest
from bearcnn.report.verdict import judge
from bearcnn.reporter import Reporter
from bearcnn.runs import NO_NORM, EpochRecord, LayerRow, Run

WORTH_FOLDS = 100
"""The number of photos below which cross-validation is suggested: a fifth of them, as a test, would show little."""


BUSY = 0.15
"""Share of an epoch that other programs may take before that is worth a word."""


class TrainingDisplay(Reporter):
    """A training run as it goes: a line per fold, the network as a table, a line per epoch, a bar for what goes on."""

    HEADER = (
        "       ---- loss ----  ------ validation -------{:>30}\n"
        "epoch   train   valid  accuracy  ROC AUC  avg prec       lr  seconds  images/s"
    )

    HEADER_WITHOUT_VALIDATION = "epoch  train loss       lr  seconds  images/s"

    def __init__(self, bars: Progress, epochs: int, finished: int, monitor: str, folds: int) -> None:
        self._bars, self._epochs, self._finished, self._folds = bars, epochs, finished, folds
        self._chooses = monitor != LAST_EPOCH
        self._task: TaskID | None = None
        self._loss: float | None = None
        self._told_busy = False

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show how far the maps are; they are computed once."""
        if self._task is None:
            note(f"[dim]computing {plain(what)} once for {total:,} photos ...[/]")
            self._task = self._bars.add_task(what, total=total)
        self._bars.update(self._task, completed=done, visible=done < total)
        if done == total:
            self._task = None

    def fold_epoch_done(self, fold: int, epoch: int) -> None:
        """Move the bar of the folds."""
        if self._task is None:
            self._task = self._bars.add_task("folds", total=self._folds * self._epochs)
        done = (fold - 1) * self._epochs + epoch
        self._bars.update(self._task, completed=done, description=f"fold {fold} of {self._folds}")

    def fold_done(self, fold: int, roc_auc: float) -> None:
        """Show a fold's score."""
        err.print(f"fold {fold} of {self._folds}: AUC {decimal(roc_auc)}", soft_wrap=True)
        if fold == self._folds and self._task is not None:
            self._bars.update(self._task, visible=False)
            self._task = None

    def model_built(self, layers: list[LayerRow]) -> None:
        """Show the network layer by layer."""
        if self._folds:
            note("and now the model itself, trained on all photos of the folds:")
        show_network(layers)
        err.print()
        if self._folds:
            err.print(self.HEADER_WITHOUT_VALIDATION, style="bold", soft_wrap=True)
            return
        err.print(self.HEADER.format("(* the best so far)" if self._chooses else ""), style="bold", soft_wrap=True)

    def warn(self, what: str) -> None:
        """Show a warning."""
        note(f"[yellow]{plain(what)}[/]")

    def running_loss(self, loss: float) -> None:
        """Keep the loss for the bar."""
        self._loss = loss

    def batch_done(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bars.add_task("training", total=self._epochs * total)
        loss = "" if self._loss is None else f", loss {self._loss:.3f}"
        self._bars.update(
            self._task,
            completed=self._finished * total + done,
            description=f"epoch {self._finished + 1} of {self._epochs}{loss}",
        )

    def epoch_done(self, record: EpochRecord) -> None:
        """Show an epoch's scores."""
        self._finished, self._loss = record.epoch, None
        self._show_epoch(record)
        if record.busy > BUSY and not self._told_busy:
            self._told_busy = True
            note(
                f"[yellow]busy:[/] other programs had the processor for {record.busy:.0%} of epoch {record.epoch}; "
                "only time is lost"
            )

    def _show_epoch(self, record: EpochRecord) -> None:
        if math.isnan(record.valid_loss):  # no photo is left for validation
            err.print(
                f"{record.epoch:5d}  {record.train_loss:10.4f}  {record.lr:7.1e}  {record.seconds:7.1f}  "
                f"{record.images_per_second:8,.0f}",
                soft_wrap=True,
            )
            return
        line = (
            f"{record.epoch:5d}  {record.train_loss:6.4f}  {record.valid_loss:6.4f}  {decimal(record.accuracy):>8}  "
            f"{decimal(record.roc_auc):>7}  {decimal(record.average_precision):>8}  {record.lr:7.1e}  "
            f"{record.seconds:7.1f}  {record.images_per_second:8,.0f}"
        )
        err.print(plain(line) + (" [green]*[/]" if record.best and self._chooses else ""), soft_wrap=True)

    def stage(self, what: str) -> None:
        """Show a step that follows the epochs."""
        if self._task is not None:
            self._bars.update(self._task, visible=False)
            self._task = None
        note(f"[dim]{plain(what)} ...[/]")


@contextmanager
def training_display(epochs: int, finished: int = 0, monitor: str = "", folds: int = 0) -> Iterator[TrainingDisplay]:
    """Give a display whose bar goes away on Ctrl-C and errors too; so many epochs are `finished` already."""
    with progress() as bars:
        yield TrainingDisplay(bars, epochs, finished, monitor, folds)


def show_network(layers: list[LayerRow]) -> None:
    """Show each layer's output, parameters and multiply-adds."""
    table = make_table("layer", "", "output", "parameters", "multiply-adds", numbers=3)
    for layer in layers:
        shape = " x ".join(str(side) for side in layer.output_shape)
        table.add_row(
            layer.name,
            plain(layer.layer),
            shape,
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        )
    parameters = sum(layer.parameters for layer in layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    table.add_row("total", "", "", f"{parameters:,}", f"{multiply_adds:,}", style="bold")
    err.print(table)
    norm = "" if any(layer.layer.endswith(NO_NORM) for layer in layers) else "batch norm and "
    note(f"[dim]each convolution is followed by {norm}ReLU[/]")


def show_start(directory: Path, device: str, threads: int, precision: str, seed: int) -> None:
    """Show which version trains, on what, and into which folder."""
    cores = f"{threads} thread{'' if threads == 1 else 's'}"
    note(f"bearcnn {__version__} on {plain(device)}, {cores}, {precision}, seed {seed}, in {plain(str(directory))}")


def show_finished(run: Run, metrics: dict[str, Any]) -> None:
    """Show the verdict on a finished training run, its scores, three of its files, and the next command."""
    split = next(split for split in reversed(SCORED) if split in metrics["evaluations"])
    evaluation = Evaluation.from_json(metrics["evaluations"][split])
    style, words, reason = _judge(run, evaluation)
    out.print(f"\n[bold {VERDICT_COLORS[style]}]{plain(words)}[/] {plain(reason)}\n")
    last = metrics.get("monitor") == LAST_EPOCH
    if split == FOLDS:
        out.print(f"{evaluation.n:,} {PHOTOS[split]}, each judged by a network that never saw it:")
    else:
        out.print(f"{evaluation.n:,} {PHOTOS[split]}, {'last' if last else 'best'} epoch {metrics['best_epoch']}:")
    table = make_table("score", "value", f"{evaluation.confidence:.0%} interval", numbers=2)
    for name in ("accuracy", "recall", "precision", "roc_auc"):
        estimate = evaluation.estimates[name]
        table.add_row(metric_words(name), decimal(estimate.value), interval(estimate))
    out.print(table)
    if split == FOLDS:
        folds = metrics["folds"]
        note(f"each of the {folds} networks had {1 - 1 / folds:.0%} of the photos; the model has seen all of them,")
        note("and may be a little better")
    if split == "valid" and not last:
        note("[yellow]there are no test photos: these chose the best epoch as well, so the scores flatter a little[/]")
    if few := explain_few_photos(evaluation):
        note(f"[yellow]{few}[/]")
    used = [example for example in run.dataset_record()["examples"] if example["split"] != "unused"]
    if "folds" not in metrics and len(used) < WORTH_FOLDS:
        note("cross-validation scores more of so few photos: add [bold]--folds 5[/]")
    elif few:
        note("to see whether more photos would help: [bold]bearcnn learning-curve[/]")
    confusion = evaluation.confusion
    if confusion.true_positive + confusion.false_positive in (0, evaluation.n):
        note(f"[yellow]it gives all {evaluation.n:,} photos the same answer: train longer, or on more photos[/]")
    out.print(f"\nin {plain(str(run.directory))}:", soft_wrap=True)
    for file, what in (
        (run.report_file, "the report: open it in a browser"),
        (run.onnx_file, "the model: predict needs this file alone"),
        (run.metrics_file, "every score with its interval"),
    ):
        out.print(f"  {file.name:14} [dim]{what}[/]", soft_wrap=True)
    out.print(f"\nNext: [bold]{plain(_next_command(run, style))}[/]", soft_wrap=True)


def _judge(run: Run, evaluation: Evaluation) -> tuple[str, str, str]:
    """Return the report's verdict."""
    predictions = for_scores(read_predictions(run))
    point = operating_point(*as_arrays(predictions), evaluation.threshold, clusters=as_clusters(predictions))
    return judge(evaluation, point, read_manifest(run.onnx_file).classes[1])


def _next_command(run: Run, style: str) -> str:
    """Return the command that follows: after a bad verdict, the one that chooses another threshold."""
    place = shlex.quote(str(run.directory))
    if style == "bad":
        return f"bearcnn evaluate {place} --target-recall 0.98 --prevalence 0.02"
    return f"bearcnn predict PHOTOS --model {place}"


def show_lr(suggestion: float, plot: str) -> None:
    """Show the suggested learning rate and where its plot is."""
    out.print(f"suggested learning rate: [bold]{suggestion:g}[/]  (plot: {plain(plot)})", soft_wrap=True)
    out.print(f"add it to your command: [bold]--lr {suggestion:g}[/]")
