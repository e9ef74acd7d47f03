"""The two pictures of dropout_trial.py: differences from no dropout, seed by seed; up and right are better."""

import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from PIL import Image

from bearcnn.plotting import BLACK, BLUE, GREEN, ORANGE

if TYPE_CHECKING:
    from dropout_findings import Finding

TRAINING, UNSEEN, AUC = "train.log_loss", "test.log_loss", "test.roc_auc"
"""The numbers that are compared, measured without dropout at work."""

LATER = "last."
"""The beginning of the names of the last epoch's numbers, some epochs past the best one."""

PANELS = ((TRAINING, "training loss"), (UNSEEN, "loss on unseen photos"), (AUC, "AUC on unseen photos"))
COLORS = (GREEN, ORANGE, BLUE, BLACK)
GREY = "#9a9a9a"


def lower_is_better(name: str) -> bool:
    """Whether a number is a loss."""
    return name.endswith("log_loss")


def draw_rates(file: Path, title: str, findings: Sequence["Finding"], patience: int) -> None:
    """Draw the changes from no dropout against the rate, a column for each setting: a thin line is a seed."""
    figure = Figure(figsize=(max(6.4, 1.6 + 3.2 * len(findings)), 8.8), layout="constrained")
    grid = figure.subplots(len(PANELS), len(findings), sharex=True, sharey="row", squeeze=False)
    for column, finding in enumerate(findings):
        rates = [0.0, *finding.rates]
        for row, (name, words) in enumerate(PANELS):
            axes = grid[row, column]
            for kept, color, marker, label in (
                ("", BLUE, "o", "network of the best epoch"),
                (LATER, ORANGE, "s", f"{patience} epochs later"),
            ):
                for seed in finding.values[name][0.0]:
                    line = [finding.differences(kept + name, rate)[seed] for rate in rates]
                    axes.plot(rates, line, color=color, linewidth=0.8, alpha=0.4)
                found = finding.compare(kept + name)
                middle = [0.0, *(each.difference.mean or 0.0 for each in found)]
                reach = [0.0, *((each.high_simultaneous or 0.0) - (each.difference.mean or 0.0) for each in found)]
                axes.errorbar(rates, middle, reach, color=color, marker=marker, capsize=3, linewidth=1.8, label=label)
            axes.axhline(0, color=BLACK, linewidth=0.8)
            axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
            axes.grid(alpha=0.25)
            if not column:
                axes.set_ylabel(f"change of {words}\n← worse        better →")
        grid[0, column].set_title(f"{finding.name} to train on", fontsize=11)
        grid[-1, column].set_xlabel("dropout rate")
    for row, (name, _) in enumerate(PANELS):
        if lower_is_better(name):
            grid[row, 0].invert_yaxis()  # of the whole row
    grid[0, 0].legend(frameon=False, fontsize=9)
    figure.suptitle("\n".join(wrap(title, int(9 * figure.get_figwidth()))), fontsize=11, fontweight="bold")
    words = "thin lines: seeds, each with photos of its own\nmarks: means, with 95% intervals that hold for all rates"
    figure.supxlabel(words, fontsize=9)
    _save(figure, file)


def draw_all(file: Path, title: str, findings: Sequence["Finding"], patience: int) -> None:
    """Draw the change of the loss on unseen photos for each rate of each setting, for both networks."""
    figure = Figure(figsize=(9, 1.9 + 0.55 * len(findings)), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axes, kept, name in zip(both, ("", LATER), ("best epoch", f"{patience} epochs later"), strict=True):
        for number, finding in enumerate(findings):
            for place, (rate, each) in enumerate(zip(finding.rates, finding.compare(kept + UNSEEN), strict=True)):
                height = number + 0.22 * (place - (len(finding.rates) - 1) / 2)
                middle = each.difference.mean or 0.0
                for value in finding.differences(kept + UNSEEN, rate).values():
                    axes.plot(value, height, ".", color=GREY, markersize=4)
                axes.errorbar(
                    middle,
                    height,
                    xerr=(each.high_simultaneous or middle) - middle,
                    color=COLORS[place],
                    marker="o",
                    markersize=5,
                    capsize=2,
                    label=None if number or kept else f"rate {rate:g}",
                )
        axes.axvline(0, color=BLACK, linewidth=0.8)
        axes.set_title(name, fontsize=11)
        axes.invert_xaxis()
        axes.grid(alpha=0.25, axis="x")
        axes.set_xlabel("change of the loss on unseen photos\n← worse        better →")
    both[0].set_yticks(range(len(findings)), [finding.name for finding in findings])
    both[0].invert_yaxis()
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("\n".join(wrap(title, int(9 * figure.get_figwidth()))), fontsize=11, fontweight="bold")
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    """Write a picture with 64 colours: a third of the size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(64).save(file, optimize=True)
