"""Display of predictions, each as soon as it is there: a table for people; csv, json or jsonl for programs."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from bearcnn.cli.display.console import note, out
from bearcnn.inference.engines import Choice
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor

UNREADABLE = "unreadable"


def show_model(file: Path, predictor: Predictor) -> None:
    """Show which model answers, at which threshold."""
    show_engine(predictor.engine)
    manifest = predictor.manifest
    body = f" (with the body {manifest.body['name']}, {manifest.body['licence']})" if manifest.body else ""
    note(f"[dim]model {escape(str(file) + body)}, threshold {manifest.threshold:.4g}[/]")


def show_engine(engine: Choice) -> None:
    """Show which engine computes, and why, if it isn't the first choice."""
    if engine.passed_over:
        note(f"[yellow]note:[/] {escape(engine.passed_over)}; {engine.row.title} computes instead")


def print_predictions(predictions: Iterable[Prediction], style: str, classes: tuple[str, str]) -> dict[str, int]:
    """Print predictions in a style, and count those of each label."""
    counts = dict.fromkeys([*classes, UNREADABLE], 0)
    write = sys.stdout.write
    width = max(map(len, counts))
    if style == "csv":
        write(_csv_row(["path", "label", "probability", "error"]))
    elif style == "json":
        write("[")
    for number, prediction in enumerate(predictions):
        counts[prediction.label or UNREADABLE] += 1
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


def _print_row(prediction: Prediction, width: int, positive: str) -> None:
    path = escape(prediction.path)
    if prediction.probability is None:
        out.print(f"[yellow]{UNREADABLE:{width}}[/]         {path}: {escape(prediction.error or '')}", soft_wrap=True)
        return
    color = "bold red" if prediction.label == positive else "green"
    label = escape(f"{prediction.label:{width}}")
    out.print(f"[{color}]{label}[/]  {prediction.probability:5.3f}  {path}", soft_wrap=True)


def _csv_row(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def summarize_predictions(counts: Mapping[str, int]) -> None:
    """Show how many photos have each label, in one line."""
    total = sum(counts.values())
    parts = ", ".join(f"{count:,} {escape(label)}" for label, count in counts.items() if count or label != UNREADABLE)
    note(f"[dim]{total:,} {'photo' if total == 1 else 'photos'}: {parts}[/]")
