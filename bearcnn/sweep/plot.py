"""The picture of a sweep: loss, accuracy and AUC of training and validation against the varied key."""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from bearcnn.plotting import BLACK, BLUE, GREEN, ORANGE
from bearcnn.sweep.analysis import Setting


def draw_sweep(title: str, xlabel: str, settings: Sequence[Setting]) -> dict[str, bytes]:
    """Draw a sweep as PNG and SVG: loss, accuracy and AUC of training and validation, and the gap between the two.

    A dot is a training run; a larger mark is the mean of a setting's runs with its 95% t interval. Numeric settings are
    drawn to scale and joined by a line; others stand side by side.
    """
    values = [setting.point.labels[0][1] for setting in settings]
    scaled = len(settings[0].point.labels) == 1 and all(isinstance(value, int | float) for value in values)
    places = [float(value) for value in values] if scaled else [float(number) for number in range(len(settings))]
    width = 9.0 if scaled else max(9.0, 1.0 + 0.8 * len(settings))
    with matplotlib.rc_context({"svg.hashsalt": "bearcnn", "font.size": 10}):
        figure = Figure(figsize=(width, 7), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True)
        for axes, (metric, name) in zip(
            panels.flat[:3],
            (("log_loss", "loss (cross-entropy)"), ("accuracy", "accuracy"), ("roc_auc", "ROC AUC")),
            strict=True,
        ):
            _draw_points(axes, places, settings, f"train.{metric}", BLUE, "o", "training", -1, scaled)
            _draw_points(axes, places, settings, f"valid.{metric}", ORANGE, "s", "validation", 1, scaled)
            axes.set_title(name)
        _draw_points(panels[1, 1], places, settings, "gap.roc_auc", BLACK, "D", "ROC AUC", -1, scaled)
        _draw_points(panels[1, 1], places, settings, "gap.log_loss", GREEN, "^", "loss", 1, scaled)
        panels[1, 1].axhline(0, color="grey", linewidth=0.8)
        panels[1, 1].set_title("gap: advantage on training photos")
        for axes in panels.flat:
            axes.grid(alpha=0.3)
            axes.legend(frameon=False)
            if scaled:
                axes.set_xticks(places, [setting.point.label for setting in settings])
            else:
                labels = [setting.point.label.replace(", ", "\n") for setting in settings]
                axes.set_xticks(places, labels, rotation=0 if len(labels) <= 6 else 90)
        for axes in panels[1]:
            axes.set_xlabel(xlabel)
        seeds = max(setting.means["valid.roc_auc"].n for setting in settings)
        marks = "dots: training runs; marks: means with 95% intervals" if seeds > 1 else "one seed: no intervals"
        figure.suptitle(f"{title}\n", fontsize=12)
        figure.text(0.5, 0.955, f"{marks}; all measured without dropout and augmentation", ha="center", fontsize=9)
        pictures = {}
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
            pictures[kind] = buffer.getvalue()
    return pictures


def _draw_points(
    axes: Any,
    places: list[float],
    settings: Sequence[Setting],
    name: str,
    color: str,
    marker: str,
    label: str,
    side: int,
    joined: bool,
) -> None:
    """Draw means with intervals, a little to one side, and the single training runs behind them."""
    step = min((right - left for left, right in pairwise(sorted(places))), default=1.0) or 1.0
    at = [place + 0.08 * side * step for place in places]
    for place, setting in zip(at, settings, strict=True):
        found = list(setting.values[name].values())
        axes.plot([place + 0.07 * side * step] * len(found), found, ".", color=color, alpha=0.45, markersize=5)
    means = [setting.means[name] for setting in settings]
    middle = [mean.mean for mean in means]
    reach = [0.0 if mean.high is None or mean.mean is None else mean.high - mean.mean for mean in means]
    style = "-" if joined else ""
    axes.errorbar(
        at,
        middle,
        reach if any(reach) else None,
        color=color,
        marker=marker,
        markersize=6,
        capsize=3,
        linestyle=style,
        linewidth=1.4,
        elinewidth=1.2,
        label=label,
    )
