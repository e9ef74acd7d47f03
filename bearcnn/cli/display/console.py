"""Rich tables and progress: with cli the only code that prints. Light: it formats what others measured.

Results go to stdout; progress and notes to stderr, so that a pipe gets results alone.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from bearcnn.errors import BearcnnError
from bearcnn.reporter import Reporter
from bearcnn.runs import EpochRecord, LayerRow, Run

if TYPE_CHECKING:  # for the types alone: a command loads only what it uses
    from bearcnn.data.cache_folder import CacheEntry
    from bearcnn.data.dataset import Dataset
    from bearcnn.evaluation.assessment import Assessment
    from bearcnn.evaluation.metrics import Evaluation
    from bearcnn.export.run import ExportReport
    from bearcnn.inference.predictor import Prediction

# A file's name can be any bytes; what isn't text is shown escaped instead of ending the program.
for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """A remark for people."""
    err.print(text, soft_wrap=True)


def plain(text: str) -> str:
    """Text that isn't ours, so that no bracket in it is read as a style."""
    return escape(text)


def say(text: str) -> None:
    """A result in words."""
    out.print(text, soft_wrap=True)


def show_error(error: BearcnnError) -> None:
    """What went wrong, as the last thing said."""
    for line in str(error).splitlines():
        err.print(f"[bold red]error:[/] {escape(line)}", soft_wrap=True)


def print_json(content: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(content, indent=2, default=str) + "\n")


def print_text(text: str) -> None:
    """Text on stdout as it is."""
    sys.stdout.write(text)


@contextmanager
def tracking() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Bars for work in several steps: `track(what)` gives the `progress(done, total)` callback of one step.

    A step that never reports has no bar; where stderr is no terminal there are none at all.
    """
    with _progress() as bars:

        def track(what: str) -> Callable[[int, int], None]:
            task: list[TaskID] = []

            def update(done: int, total: int) -> None:
                if not task:
                    task.append(bars.add_task(what, total=total))
                bars.update(task[0], completed=done, total=total)

            return update

        yield track


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
        transient=True,
        expand=True,
        disable=not err.is_terminal,
    )


class TrainingDisplay(Reporter):
    """A training as it goes: the network as a table, a line an epoch, a bar for what is under way."""

    HEADER = (
        "       ---- loss ----  ------ validation -------           (* the best so far)\n"
        "epoch   train   valid  accuracy  ROC AUC  avg prec       lr  seconds  images/s"
    )

    def __init__(self, bars: Progress, epochs: int, finished: int) -> None:
        self._bars, self._epochs, self._finished = bars, epochs, finished
        self._task: TaskID | None = None

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show how far what is made once is, and first how large it will be."""
        if self._task is None:
            note(f"[dim]computing {what} once for {total:,} photos ...[/]")
            self._task = self._bars.add_task(what, total=total)
        self._bars.update(self._task, completed=done, visible=done < total)

    def model_built(self, layers: list[LayerRow]) -> None:
        """Show the network layer by layer."""
        self._task = None
        show_model(layers)
        err.print()
        err.print(self.HEADER, style="bold", soft_wrap=True)

    def batch_done(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bars.add_task("training", total=self._epochs * total)
        self._bars.update(
            self._task,
            completed=self._finished * total + done,
            description=f"epoch {self._finished + 1} of {self._epochs}",
        )

    def epoch_done(self, record: EpochRecord) -> None:
        """One line."""
        self._finished = record.epoch
        line = (
            f"{record.epoch:5d}  {record.train_loss:6.4f}  {record.valid_loss:6.4f}  {record.accuracy:8.4f}  "
            f"{record.roc_auc:7.4f}  {record.average_precision:8.4f}  {record.lr:7.1e}  {record.seconds:7.1f}  "
            f"{record.images_per_second:8,.0f}"
        )
        err.print(f"{line} [green]*[/]" if record.best else line, soft_wrap=True)

    def stage(self, what: str) -> None:
        """What comes after the epochs."""
        if self._task is not None:
            self._bars.update(self._task, visible=False)
            self._task = None
        note(f"[dim]{what} ...[/]")


@contextmanager
def training_display(epochs: int, finished: int = 0) -> Iterator[TrainingDisplay]:
    """Owns the bar, so that it goes away on Ctrl-C and errors too."""
    with _progress() as bars:
        yield TrainingDisplay(bars, epochs, finished)


def show_model(layers: list[LayerRow]) -> None:
    """The network: each layer's output, parameters, multiply-adds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer")
    table.add_column("")
    table.add_column("output", justify="right")
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    for layer in layers:
        shape = " x ".join(str(side) for side in layer.output_shape)
        table.add_row(
            layer.name, layer.layer, shape, f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        )  # fmt: skip
    parameters = sum(layer.parameters for layer in layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    table.add_row("together", "", "", f"{parameters:,}", f"{multiply_adds:,}", style="bold")
    err.print(table)
    note("[dim]each convolution is followed by batch norm and ReLU[/]")


def show_dataset(dataset: "Dataset") -> None:
    """How many photos of what are where, and what was skipped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("photos")
    negative, positive = dataset.classes
    for heading in (positive, negative, "together"):
        table.add_column(heading, justify="right")
    for split in ("train", "valid", "test"):
        labels = [example.label for example in dataset.select(split)]
        if labels:
            counts = (sum(labels), len(labels) - sum(labels), len(labels))
            table.add_row(split, *(f"{count:,}" for count in counts))
    err.print(table)
    if dataset.skipped:
        note(f"[yellow]skipped: {len(dataset.skipped):,} photos[/]")
        for skipped in dataset.skipped[:5]:
            note(f"  {escape(str(skipped.path))}: {escape(skipped.reason)}")
        if len(dataset.skipped) > 5:
            note(f"  and {len(dataset.skipped) - 5:,} more, each listed with its reason in the run's dataset.json")


def show_evaluation(evaluation: "Evaluation", title: str, classes: tuple[str, str]) -> None:
    """Show every score with its interval, and the confusion matrix."""
    from bearcnn.evaluation.formats import decimal
    from bearcnn.evaluation.wording import interval, metric_words

    negative, positive = classes
    out.print(
        f"[bold]{escape(title)}[/]: {evaluation.n:,} photos, {evaluation.positives:,} {escape(positive)}; "
        f"threshold {evaluation.threshold:.3f}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column(f"{evaluation.confidence:.0%} interval", justify="right")
    for name, estimate in evaluation.estimates.items():
        table.add_row(metric_words(name), decimal(estimate.value), interval(estimate))
    out.print(table)
    confusion = evaluation.confusion
    matrix = Table(box=None, pad_edge=False, header_style="bold")
    matrix.add_column("confusion")
    matrix.add_column(f"called {positive}", justify="right")
    matrix.add_column(f"called {negative}", justify="right")
    matrix.add_row(f"is {positive}", f"{confusion.true_positive:,}", f"{confusion.false_negative:,}")
    matrix.add_row(f"is {negative}", f"{confusion.false_positive:,}", f"{confusion.true_negative:,}")
    out.print(matrix)


def show_assessment(assessment: "Assessment", title: str, classes: tuple[str, str]) -> None:
    """Show the scores, the threshold's costs, the errors by group of photos, and the worst mistakes."""
    from bearcnn.evaluation.formats import percent, target_percent
    from bearcnn.evaluation.wording import interval, threshold_origin

    positive = classes[1]
    show_evaluation(assessment.evaluation, title, classes)
    choice, point = assessment.choice, assessment.point
    origin = threshold_origin(choice, positive)
    out.print(f"\nThe threshold is [bold]{choice.threshold:.4g}[/]. {escape(origin)}", soft_wrap=True)
    prevalence = target_percent(point.prevalence)
    out.print(f"Of {point.photos_per_day:,.0f} photos per day, if {prevalence} have a {escape(positive)}:")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what it means in use")
    table.add_column("value", justify="right")
    table.add_column(f"{assessment.evaluation.confidence:.0%} interval", justify="right")
    for name, estimate, text in (
        (f"{positive}s found", point.recall, percent),
        ("false alarms among the others", point.false_positive_rate, percent),
        ("photos left to look at", point.photos_to_look_at, percent),
        ("alerts per day", point.alerts_per_day, _count),
        ("false alarms per day", point.false_alarms_per_day, _count),
        ("alerts that are right", point.precision, percent),
    ):
        table.add_row(name, text(estimate.value), interval(estimate, text))
    out.print(table)
    wrong = Table(box=None, pad_edge=False, header_style="bold")
    wrong.add_column("by group of photos")
    for heading in ("photos", "wrong", "share", "interval"):
        wrong.add_column(heading, justify="right")
    for row in assessment.groups:
        name = f"{classes[row.label]}: {row.name}" if row.name != classes[row.label] else row.name
        share, ends = percent(row.rate.value), interval(row.rate, percent)
        wrong.add_row(escape(name), f"{row.photos:,}", f"{row.wrong:,}", share, ends)
    out.print()
    out.print(wrong)
    if assessment.mistakes:
        out.print("\n[bold]worst mistakes[/]")
        for photo in assessment.mistakes:
            kind = f"missed {positive}" if photo.label else "false alarm"
            out.print(
                f"{escape(kind):{len(positive) + 7}}  {photo.probability:5.3f}  {escape(photo.path)}", soft_wrap=True
            )
    for remark in assessment.notes:
        note(f"[yellow]{escape(remark)}[/]")


def _count(value: float | None) -> str:
    return "undefined" if value is None else f"{value:,.1f}"


def show_finished(run: Run, evaluation: "Evaluation", split: str, best_epoch: int) -> None:
    """What a training came to, where everything lies, and what to try next."""
    from bearcnn.evaluation.wording import metric_words

    scores = evaluation.estimates
    out.print(f"\non {evaluation.n:,} {split} photos, with 95% intervals (best epoch: {best_epoch}):")
    for name in ("accuracy", "recall", "precision", "roc_auc"):
        out.print(f"  {metric_words(name):18} {scores[name]}")
    if split == "valid":
        note("[yellow]there are no test photos: these chose the best epoch as well, so the scores flatter a little[/]")
    confusion = evaluation.confusion
    called_bear = confusion.true_positive + confusion.false_positive
    if called_bear in (0, evaluation.n):
        note(f"[yellow]it gives all {evaluation.n:,} photos the same answer: train longer, or on more photos[/]")
    out.print(f"\nin {escape(str(run.directory))}:", soft_wrap=True)
    for file, what in (
        (run.report_file, "all of this and more as a page: open it in a browser"),
        (run.onnx_file, "the model: this one file is all that predict needs"),
        (run.weights_file, "its weights, for training code"),
        (run.metrics_file, "every score with its interval"),
        (run.predictions_file, "its answer to each validation and test photo"),
        (run.history_file, "one line an epoch"),
        (run.dataset_file, "each photo's split; what was skipped, and why"),
        (run.config_file, "the configuration, explained"),
    ):
        out.print(f"  {file.name:18} [dim]{what}[/]", soft_wrap=True)
    out.print("\nnext: [bold]bearcnn predict PHOTOS...[/]  or  [bold]bearcnn evaluate[/]")


def show_export(report: "ExportReport") -> None:
    """Where the file is, and how far it is from the network that was trained."""
    out.print(f"{escape(str(report.file))}: {report.format}, {report.bytes / 1e6:.2f} MB", soft_wrap=True)
    out.print(
        f"largest difference from the trained network on {report.photos} validation photos: "
        f"{report.largest_difference:.1e} of probability",
        soft_wrap=True,
    )
    if report.format in ("int8", "fastai"):
        change = report.roc_auc - report.roc_auc_trained
        out.print(f"ROC AUC {report.roc_auc_trained:.4f} before, {report.roc_auc:.4f} after ({change:+.4f})")
    if report.format == "int8":
        out.print(
            f"size {report.bytes_onnx / 1e6:.2f} MB before, {report.bytes / 1e6:.2f} MB after; "
            f"{report.speed:.2f} x the photos per second",
            soft_wrap=True,
        )
    if report.format == "int8" and report.speed < 1:
        note("[yellow]on this computer the float file is faster: so small a network gains nothing from 8 bits[/]")
    if report.format == "fastai":
        note("fastai resizes photos by a rule of its own, and doesn't turn them: the answers differ by that")
        note(
            "[yellow]this file is a pickle: loading one can run any code in it. Load only your own, "
            "and give others the .onnx file[/]"
        )


def show_caches(entries: "list[CacheEntry]") -> None:
    """List what is cached: decoded pixels, and pretrained bodies' maps of them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("what", "photos", "side", "MB", "last used", "folder"):
        table.add_column(heading, justify="left" if heading in ("what", "last used", "folder") else "right")
    for entry in entries:
        table.add_row(
            entry.kind, f"{entry.photos:,}", f"{entry.size}", f"{entry.bytes / 1e6:.1f}",
            f"{entry.last_used:%Y-%m-%d %H:%M}", escape(str(entry.source)),
        )  # fmt: skip
    out.print(table)


def print_predictions(predictions: "Iterable[Prediction]", style: str, classes: tuple[str, str]) -> dict[str, int]:
    """Each prediction as soon as it is there, as table, csv, json or jsonl; how many there were of each label."""
    counts = dict.fromkeys([*classes, "unreadable"], 0)
    write = sys.stdout.write
    width = max(len(name) for name in [*classes, "unreadable"])
    if style == "csv":
        write(_csv_row(["path", "label", "probability", "error"]))
    elif style == "json":
        write("[")
    for number, prediction in enumerate(predictions):
        counts[prediction.label or "unreadable"] += 1
        if style == "table":
            _print_row(prediction, width, classes[1])
        elif style == "csv":
            probability = "" if prediction.probability is None else f"{prediction.probability:.6f}"
            write(_csv_row([prediction.path, prediction.label or "", probability, prediction.error or ""]))
        else:
            row = json.dumps(asdict(prediction))
            write(f"{row}\n" if style == "jsonl" else ("," if number else "") + f"\n  {row}")
        if style != "table":
            sys.stdout.flush()
    if style == "json":
        write("\n]\n")
    return counts


def _print_row(prediction: "Prediction", width: int, positive: str) -> None:
    path = escape(prediction.path)
    if prediction.probability is None:
        out.print(f"[yellow]{'unreadable':{width}}[/]         {path}: {escape(prediction.error or '')}", soft_wrap=True)
        return
    color = "bold red" if prediction.label == positive else "green"
    label = escape(f"{prediction.label:{width}}")
    out.print(f"[{color}]{label}[/]  {prediction.probability:5.3f}  {path}", soft_wrap=True)


def _csv_row(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def summarize_predictions(counts: Mapping[str, int]) -> None:
    """How many of each, in one line."""
    total = sum(counts.values())
    parts = ", ".join(f"{count:,} {label}" for label, count in counts.items() if count or label != "unreadable")
    note(f"[dim]{total:,} photos: {parts}[/]")


def show_picture(file: Path) -> None:
    """Where a picture was written."""
    out.print(f"drew {escape(str(file))}", soft_wrap=True)


def show_lr(suggestion: float, plot: str) -> None:
    """The suggested learning rate and where its plot is."""
    out.print(f"suggested learning rate: [bold]{suggestion:g}[/]  (plot: {escape(plot)})", soft_wrap=True)
    out.print(f"add it to your command: [bold]--lr {suggestion:g}[/]")
