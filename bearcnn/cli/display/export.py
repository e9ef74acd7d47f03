"""Display of an export: the file, and what the format changed."""

import math
from typing import TYPE_CHECKING

from bearcnn.cli.display.console import note, out, plain
from bearcnn.evaluation.formats import decimal, signed
from bearcnn.evaluation.wording import PHOTOS

if TYPE_CHECKING:  # the module loads torch
    from bearcnn.export.run import ExportReport


def show_export(report: "ExportReport") -> None:
    """Show where the file is, and how far its answers are from those of the trained network."""
    out.print(f"[bold]{plain(str(report.file))}[/]: {report.format}, {report.bytes / 1e6:.2f} MB", soft_wrap=True)
    largest, mean = (f"{value:.1e}" if value else "0" for value in (report.largest_difference, report.mean_difference))
    on = f"{report.photos:,} {PHOTOS[report.split] if report.split else 'pictures of noise'}"
    if report.split:
        change = signed(report.roc_auc - report.roc_auc_trained)
        out.print(f"AUC {decimal(report.roc_auc)} on {on} ({change} from the trained network's)")
    out.print(f"probabilities differ by {largest} at most, {mean} on average" + ("" if report.split else f", on {on}"))
    if not math.isnan(report.speed):
        out.print(
            f"beside the float ONNX file:\n"
            f"  size         {report.bytes / report.bytes_onnx:.2f} x (float: {report.bytes_onnx / 1e6:.2f} MB)\n"
            f"  speed        {report.speed:.2f} x the photos per second"
        )
        if report.speed < 1:
            note("[yellow]on this computer the float file is faster: so small a network gains nothing from 8 bits[/]")
    if report.format.startswith("html"):
        note(
            "open it in any browser, also from a USB stick or a page host: it needs no server and no network, and "
            "checks its answers itself"
        )
    if report.format == "fastai":
        note("fastai resizes photos in its own way and doesn't turn them upright, so its answers can differ")
        note(
            "[yellow]this file is a pickle: loading one can run any code in it. Load only your own, "
            "and give others the .onnx file[/]"
        )
