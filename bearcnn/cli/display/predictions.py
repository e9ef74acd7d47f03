"""Display of predictions, each as soon as it is there: a table for people, a format's text for programs."""

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.markup import escape

from bearcnn.cli.display.console import note, out
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.tally import UNREADABLE, Tally
from bearcnn.manifest import Manifest


def show_model(file: Path, manifest: Manifest) -> None:
    """Show which model answers, at which threshold."""
    body = f" (with the body {manifest.body['name']}, {manifest.body['licence']})" if manifest.body else ""
    note(f"[dim]model {escape(str(file) + body)}, threshold {manifest.threshold:.4g}[/]")


def print_table(predictions: Iterable[Prediction], labels: tuple[str, ...], positive: str) -> None:
    """Print a line for each prediction; `labels` are those that there can be."""
    width = max(map(len, (*labels, UNREADABLE)))
    for prediction in predictions:
        _print_row(prediction, width, positive)


def print_pieces(pieces: Iterable[str]) -> None:
    """Print the text of a format on stdout as it comes."""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()


def _print_row(prediction: Prediction, width: int, positive: str) -> None:
    path = escape(prediction.path)
    if prediction.probability is None:
        out.print(f"[yellow]{UNREADABLE:{width}}[/]         {path}: {escape(prediction.error or '')}", soft_wrap=True)
        return
    color = "bold red" if prediction.label == positive else "green"
    label = escape(f"{prediction.label:{width}}")
    out.print(f"[{color}]{label}[/]  {prediction.probability:5.3f}  {path}", soft_wrap=True)


def summarize_predictions(tally: Tally) -> None:
    """Show how many photos have each label, in one line."""
    total = tally.photos
    parts = ", ".join(
        f"{count:,} {escape(label)}" for label, count in tally.counts.items() if count or label != UNREADABLE
    )
    note(f"[dim]{total:,} {'photo' if total == 1 else 'photos'}: {parts}[/]")
