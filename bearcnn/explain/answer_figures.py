"""The sections of `explain` about the answer: the windows' scores, and dropout."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bearcnn.evaluation.formats import decimal
from bearcnn.explain.activations import WindowScores
from bearcnn.explain.canvas import (
    GREY,
    MAP_COLORS,
    MARGIN,
    PLATE,
    fill_rectangle,
    new_axes,
    new_page,
    show_map,
    show_picture,
    tile,
    write,
)
from bearcnn.explain.contributions import Trace, sort_by_part
from bearcnn.explain.dropout import SHOWN_RATE, DropoutTrial, enlarge
from bearcnn.explain.subject import Subject
from bearcnn.inference import overlay
from bearcnn.plotting import BLUE, ORANGE
from bearcnn.pooling import POOLING_MODES


def draw_windows(subject: Subject, found: WindowScores, at: tuple[float, float] | None = None) -> Figure:
    """Draw each window's score over the photo, and the way from the windows to one answer; `at` names a window, too."""
    rows, columns = found.scores.shape
    positive, pooling = subject.positive, subject.model.pooling
    figure, top = new_page(f"“Is there a {positive} in this window?”", describe_windows(subject, found, at), 4.8)
    show_picture(figure, MARGIN, top, 2.2, subject.pixels, "the photo")
    scale = -(-720 // len(subject.pixels))
    large = np.repeat(np.repeat(subject.pixels, scale, 0), scale, 1)
    axes = show_picture(
        figure,
        MARGIN + 2.7,
        top,
        4.4,
        np.asarray(overlay.draw_windows(large, found.scores, found.windows)),
        "each window's score: a darker orange is a higher score",
    )
    if rows <= 8:
        edges = found.windows.edges() * large.shape[0] - 0.5
        middles = (edges[1:] + edges[:-1]) / 2
        for row in range(rows):
            for column in range(columns):
                axes.text(
                    middles[column],
                    middles[row],
                    f"{found.scores[row, column]:.2f}",
                    size=11 if rows <= 5 else 8,
                    ha="center",
                    va="center",
                    color="black",
                    bbox=PLATE,
                )
    left = MARGIN + 7.6
    write(figure, left, top - 0.23, "from the windows to one answer", size=10.5)
    write(
        figure,
        left,
        top + 0.05,
        textwrap.fill(describe_way(subject, found), 54),
        size=9.5,
        color=GREY,
        linespacing=1.35,
    )
    bars = [("the photo's answer", found.answer, BLUE)]
    if pooling == "avg":
        bars.append(("a window with every average feature (the same)", found.mean_window, BLUE))
    if pooling == "max":
        bars.append(("a window with every largest feature (the same)", found.strongest, BLUE))
    bars.append(("the best real window", float(found.scores.max()), ORANGE))
    bars.append(("the average of all windows' scores", float(found.scores.mean()), GREY))
    axes = new_axes(figure, left, top + 1.55, 3.45, 0.62 * len(bars))
    axes.set(xlim=(0, 1), ylim=(len(bars) - 0.4, -0.6), yticks=[], xticks=[0, 0.5, 1])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelsize=8.5, colors=GREY)
    axes.axvline(0.5, color="#BBBBBB", linewidth=1, zorder=0)
    for number, (name, value, color) in enumerate(bars):
        axes.barh(number + 0.12, value, 0.3, color=color)
        axes.text(0, number - 0.1, f"{name}: {value:.2f}", size=9.5, va="bottom", bbox=PLATE)
    if pooling != "avg":
        axes = show_map(figure, MARGIN, top + 2.85, 1.75, found.winners, colors="Blues")
        axes.set_title(f"number of the {found.features} features\nthat are largest in each window", size=9, loc="left")
        if rows <= 5:
            for (row, column), features in np.ndenumerate(found.winners):
                color = "white" if features > 0.6 * found.winners.max() else "black"
                axes.text(int(column), int(row), f"{features}", size=8.5, ha="center", va="center", color=color)
    return figure


def describe_windows(subject: Subject, found: WindowScores, at: tuple[float, float] | None = None) -> str:
    """Return in words what a window's score is, which window is the best, and the score of the one at a place."""
    rows, columns = found.scores.shape
    view = subject.describe_view(found.field)
    around = " around its centre" if "pixels" in view else ""
    framed = (
        "the frame is all that the best window sees"
        if found.windows.side
        else "the frame is the best window's own part of the photo"
    )
    asked = ""
    if at is not None:
        row, column = found.nearest(at)
        asked = (
            f" The window nearest to the given place (row {row + 1}, column {column + 1}) scores "
            f"{decimal(float(found.scores[row, column]))}."
        )
    return (
        f"The last map has {rows} × {columns} places. Each is a window on the photo: it sees {view}{around}; windows "
        f"overlap. The last layer (the head) can score each window alone: 1 is a sure yes, 0 a sure no. Each score is "
        f"drawn around its window's centre; {framed}.{asked} "
        "The network was trained on whole photos alone: a window's score is a clue, not a measurement."
    )


def describe_way(subject: Subject, found: WindowScores) -> str:
    """Return in words how pooling makes one answer of the windows."""
    pooling = subject.model.pooling
    return {
        "avg": f"The head gets the average over all windows of each of the {found.features} features. Every window "
        f"counts the same: a small {subject.positive} in one of many windows changes little.",
        "max": f"The head gets, for each of the {found.features} features, its largest value in any window. The answer "
        "isn't an average of the scores: it is the score of a window that has the largest value of every feature.",
        "concat": f"The head gets each of the {found.features} features twice: its largest value in any window, and "
        "its average over all windows. The answer isn't an average of the scores: one window can decide it.",
    }.get(pooling, f"The head gets the {POOLING_MODES[pooling].words} of each of the {found.features} features.")


def draw_dropout(subject: Subject, trials: Sequence[DropoutTrial], traced: Trace) -> Figure:
    """Draw three masks of each dropout, and the answers under many masks."""
    count = len(trials[0].answers)
    figure, top = new_page(
        "Dropout: random parts set to zero",
        describe_dropout(count),
        0.3 + 1.95 * len(trials),
    )
    answer = subject.answer()
    for row, trial in enumerate(trials):
        line = top + row * 1.95
        title, of_what, key = name_dropout(subject, trial)
        if trial.what == "channels":
            of_what += "\n(the 16 of the first that\ncount most are shown)"
        write(figure, MARGIN, line + 0.1, title, weight="bold")
        rate = f"{trial.rate:.0%} of the\n{of_what}"
        note = (
            ""
            if trial.configured
            else f"\n\nThis network was trained\nwithout it:\n{key} = 0;\nshown with {SHOWN_RATE:g}."
        )
        write(figure, MARGIN, line + 0.35, rate + note, size=9, color=GREY, linespacing=1.35)
        panels = dropout_panels(subject, trial, traced)
        for number, (image, colors) in enumerate(panels):
            left = MARGIN + 1.95 + number * 1.55
            name = f"without: {answer:.2f}" if number == 0 else f"mask {number}: {trial.answers[number - 1]:.2f}"
            if colors is None:
                show_picture(figure, left, line + 0.1, 1.4, image, name)
            else:
                limits = (float(np.nanmin(panels[0][0])), float(np.nanmax(panels[0][0])))
                axes = show_map(figure, left, line + 0.1, 1.4, image, name, colors=colors, limits=limits)
                if trial.what == "features" and subject.model.pooling == "concat":
                    _name_halves(axes, image)
        axes = new_axes(figure, MARGIN + 8.5, line + 0.35, 2.7, 0.95)
        jitter = np.random.default_rng(0).uniform(-0.35, 0.35, count)
        axes.plot(trial.answers, jitter, "o", color=BLUE, alpha=0.4, markersize=4, markeredgewidth=0)
        axes.axvline(answer, color=ORANGE, linewidth=2.5)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, 0.6), yticks=[], xticks=[0, 0.5, 1])
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(labelsize=8.5, colors=GREY)
        low, high = np.quantile(trial.answers, [0.05, 0.95])
        axes.set_title(f"90% of the answers: {low:.2f} to {high:.2f}", size=9.5, loc="left")
        if row == len(trials) - 1:
            axes.set_xlabel(f"probability of {subject.positive} (orange: without dropout)", size=9, color=GREY)
    return figure


def describe_dropout(count: int) -> str:
    """Return in words what dropout does, and what is shown of it."""
    return (
        "In training, dropout sets random parts of the network's input or features to zero, with a new mask for every "
        "batch: the network can't rely on a single detail. What is left is divided by 1 − rate, to keep the mean: at "
        "rate 0.5 it counts double. After training, "
        f"nothing is dropped. Below are three masks, and the answers for this photo under {count} masks (a dot each)."
    )


def name_dropout(subject: Subject, trial: DropoutTrial) -> tuple[str, str, str]:
    """Return a dropout's name, what it drops, and its key in the configuration."""
    places = "pixels of the photo" if subject.network.body is None else "places of the body's map"
    return {
        "pixels": ("input dropout", places, "input_dropout"),
        "channels": ("convolution dropout", "maps between blocks", "conv_dropout"),
        "features": ("dropout", "features before the head", "dropout"),
    }[trial.what]


def dropout_panels(subject: Subject, trial: DropoutTrial, traced: Trace) -> list[tuple[NDArray[Any], str | None]]:
    """Build the panels without dropout and under each mask, each with its colour map (None for a photo)."""
    if trial.what == "pixels":
        grey = round(subject.mean) if subject.network.body is None else 128
        masks = [enlarge(mask, len(subject.pixels)) for mask in trial.kept]  # a place of a body's map is many pixels
        left = [np.where(mask[:, :, None], subject.pixels, np.uint8(grey)) for mask in masks]
        return [(subject.pixels, None), *((image, None) for image in left)]
    if trial.what == "channels":
        chosen = sort_by_part(traced.ends[0].by_map, 16)
        scaled = trial.before[chosen] / np.maximum(trial.before[chosen].max((1, 2), keepdims=True), 1e-9)
        masks = [np.ones(len(chosen), bool), *(mask[chosen] for mask in trial.kept)]
        return [(tile(np.where(mask[:, None, None], scaled, np.nan)), MAP_COLORS) for mask in masks]
    masks = [np.ones(len(trial.before), bool), *trial.kept]
    across = fill_rectangle(len(trial.before), 2 if subject.model.pooling == "concat" else 1)
    return [(tile(np.where(mask, trial.before, np.nan)[:, None, None], 0, across), MAP_COLORS) for mask in masks]


def _name_halves(axes: Axes, features: NDArray[Any]) -> None:
    """Divide the features of concat pooling: the maxima first, then the averages."""
    rows, columns = features.shape
    axes.axhline(rows / 2 - 0.5, color="white", linewidth=2)
    for part, name in ((rows / 4, "max"), (3 * rows / 4, "average")):
        axes.text(columns / 2, part - 0.5, name, size=8, ha="center", va="center", bbox=PLATE)
