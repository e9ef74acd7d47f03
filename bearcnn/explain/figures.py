"""The sections of `explain`: each is a figure of numbers from `activations`."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bearcnn.explain.activations import (
    SHOWN_RATE,
    ConvolutionStep,
    DropoutTrial,
    Maps,
    Subject,
    WindowScores,
    most_active,
    pool_map,
)
from bearcnn.explain.canvas import (
    GREY,
    MAP_COLORS,
    MARGIN,
    PLATE,
    WIDTH,
    new_axes,
    new_page,
    outline,
    place,
    plain,
    show_map,
    show_numbers,
    show_picture,
    signed,
    tile,
    write,
)
from bearcnn.inference import heatmaps
from bearcnn.plotting import BLUE, ORANGE
from bearcnn.pooling import POOLING_MODES


def draw_photo(subject: Subject) -> Figure:
    """Draw the photo's pixels, and their red, green and blue numbers."""
    size = subject.manifest.image_size
    how = {
        "squish": "the whole frame squeezed into a square",
        "pad": "the whole frame between grey bars",
        "crop": "the middle square of the frame",
    }[subject.manifest.resize]
    figure, top = new_page(
        "The network's input",
        f"{subject.name}, turned upright: {how} of {size} × {size} pixels. Each pixel is three numbers from 0 to 255, "
        f"for red, green and blue. These {3 * size * size:,} numbers are all that the network gets.",
        2.9,
    )
    show_picture(figure, MARGIN, top, 2.4, subject.pixels, "the photo")
    for number, (name, color) in enumerate((("red", "#B22222"), ("green", "#2E7D32"), ("blue", BLUE))):
        left = MARGIN + 3.1 + number * 2.8
        axes = show_map(
            figure, left, top, 2.4, subject.pixels[:, :, number], f"its {name}", colors="gray", limits=(0, 255)
        )
        axes.title.set_color(color)
    return figure


def draw_kernels(subject: Subject, kernels: NDArray[np.float32], found: Sequence[Maps], limit: int = 16) -> Figure:
    """Draw the first layer's kernels with their maps, and below them the most active maps of each later block."""
    first, later = found[0], found[1:]
    shown = most_active(first.maps, limit)
    lines = -(-len(shown) // 8)
    side = kernels.shape[-1]
    which = "Here are all" if len(shown) == len(kernels) else f"Here are the {len(shown)} most active of"
    figure, top = new_page(
        "The first layer's kernels, and the maps of later blocks",
        f"A kernel is a small picture of {side} × {side} pixels that slides over the photo. Where the photo resembles "
        f"the kernel, its map is bright. {which} {len(kernels)} kernels, each with its map beside it. In a kernel, "
        "grey counts nothing; the further a colour is from grey, the more it counts.",
        0.3 + lines * 1.12 + len(later) * 1.5,
    )
    for number, channel in enumerate(shown):
        left, line = MARGIN + number % 8 * 1.415, top + number // 8 * 1.12
        show_picture(figure, left, line + 0.23, 0.42, kernel_colors(kernels[channel]))
        show_map(figure, left + 0.47, line, 0.84, first.maps[channel])
    top += lines * 1.12 + 0.15
    for block in later:
        channels = most_active(block.maps, 7)
        row, column = np.unravel_index(int(block.maps[channels[0]].argmax()), block.maps[0].shape)
        axes = show_picture(figure, MARGIN, top, 1.15, subject.pixels)
        outline(axes, block.field.span(int(column)), block.field.span(int(row)), ORANGE)
        places, seen = block.maps.shape[1], block.field.size
        whole = " (all of it)" if seen >= 2 * subject.manifest.image_size else ""
        text = f"{len(block.maps)} maps of {places} × {places}.\nOne place sees\n{seen} × {seen} pixels{whole}:"
        text += "\nthe frame."
        figure.text(*place(figure, MARGIN + 1.3, top), f"block {block.number}", weight="bold", va="top", size=11)
        figure.text(*place(figure, MARGIN + 1.3, top + 0.25), text, va="top", size=9, color=GREY, linespacing=1.35)
        for number, channel in enumerate(channels):
            show_map(figure, MARGIN + 3.05 + number * 1.18, top, 1.1, block.maps[channel])
        top += 1.5
    return figure


def draw_convolution(subject: Subject, step: ConvolutionStep) -> Figure:
    """Draw the computation of one number of a map: window times kernel, summed; then batch norm and ReLU."""
    side = step.kernel.shape[-1]
    cell = {1: 0.6, 3: 0.5}.get(side, 1.8 / side)
    matrix, gap = side * cell, 0.35
    line = matrix + gap
    numbers = "" if side <= 5 else " (too many numbers to print: colour shows them)"
    figure, top = new_page(
        "One step of the convolution",
        f"The kernel lies on one window of {side} × {side} pixels. Each number of the window is multiplied by the "
        f"kernel's number at the same place. The sum of all products is one number of the map{numbers}. Then the "
        "kernel moves on. This is the place with the strongest answer. Pixels are first normalized: "
        f"(pixel − {float(subject.network.normalize.mean):g}) / {float(subject.network.normalize.std):g}. Numbers are "
        "rounded: the last digit of a sum can be off by one.",
        max(5.7, 3 * line + 1.75),
    )
    axes = show_picture(figure, MARGIN, top, 2.2, subject.pixels, "the window in the photo")
    outline(axes, step.field.span(step.column), step.field.span(step.row), ORANGE)
    axes = show_map(figure, MARGIN, top + 2.65, 2.2, step.map, f"its place in the map of kernel {step.channel + 1}")
    outline(axes, (step.column, step.column + 1), (step.row, step.row + 1), ORANGE)

    left = MARGIN + 3.35
    span = 3 * matrix + 2 * gap
    for number, name in enumerate(("window", "kernel", "products")):
        write(figure, left + number * (matrix + gap) + matrix / 2, top - 0.02, name, weight="bold", ha="center")
    top += 0.25
    parts = ((step.window, 2.0), (step.kernel, np.abs(step.kernel).max()), (step.products, np.abs(step.products).max()))
    for row, (color, tint) in enumerate((("red", "#B22222"), ("green", "#2E7D32"), ("blue", BLUE))):
        line_top = top + row * line
        write(figure, left - 0.15, line_top + matrix / 2, color, color=tint, weight="bold", ha="right", va="center")
        for number, (values, limit) in enumerate(parts):
            show_numbers(figure, left + number * (matrix + gap), line_top, matrix, values[row], float(limit), side <= 5)
        for number, sign in enumerate("×="):
            middle = left + (number + 1) * (matrix + gap) - gap / 2
            write(figure, middle, line_top + matrix / 2, sign, size=15, ha="center", va="center")
        total = f"sum: {plain(step.sums[row])}"
        write(figure, left + span + 0.2, line_top + matrix / 2, total, color=tint, weight="bold", va="center")
    bias = f" {signed(step.bias)}" if step.bias else ""
    sums = f"{plain(step.sums[0])} {signed(step.sums[1])} {signed(step.sums[2])}{bias} = {plain(step.total)}"
    norm = (
        f"({plain(step.total)} {signed(-step.mean)}) / {step.deviation:.2f} × {plain(step.scale)} "
        f"{signed(step.shift)} = {plain(step.normed)}"
    )
    relu = f"max(0, {plain(step.normed)}) = {step.value:.2f}"
    top += 3 * line
    for number, (what, formula) in enumerate(
        (
            ("all three colours", sums),
            ("batch norm: scaled by the kernel's usual mean and deviation", norm),
            ("ReLU: numbers below zero become zero; this is the number in the map", relu),
        )
    ):
        write(figure, left - 0.55, top + number * 0.4, what, size=9, color=GREY)
        write(figure, left - 0.55, top + number * 0.4 + 0.16, formula, weight="bold")
    pixels = step.window * float(subject.network.normalize.std) + float(subject.network.normalize.mean)
    colors = np.clip(pixels / 255, 0, 1).transpose(1, 2, 0)
    show_picture(figure, WIDTH - MARGIN - 2.3, top + 0.12, 1.0, colors, "window")
    show_picture(figure, WIDTH - MARGIN - 1.0, top + 0.12, 1.0, kernel_colors(step.kernel), "kernel, in colour")
    return figure


def draw_pooling(subject: Subject, step: ConvolutionStep) -> Figure:
    """Draw a map after max, avg and concat pooling, and below it a piece of the map in numbers."""
    model, size, one_map = subject.model, subject.model.pool_size, step.map
    own = {"max": "the maximum", "avg": "the average", "concat": "both side by side (concat)"}
    own_words = own.get(model.pooling, POOLING_MODES[model.pooling].words)
    if model.stride == 1:
        here = f"This network pools after each block and takes {own_words}."
    else:
        here = (
            "This network's convolutions skip every other place instead (stride 2). It pools only the last map, as one "
            f"window, and takes {own_words}."
        )
    figure, top = new_page(
        "Pooling: several places become one",
        f"Pooling asks each {size} × {size} window: did kernel {step.channel + 1} find its pattern here? Max gives its "
        f"strongest answer, average the mean of all {size * size}; concat keeps both, as two maps. {here}",
        5.35,
    )
    highest, average = pool_map(one_map, "concat", size)
    limits = (0.0, float(one_map.max()) or 1.0)
    places = (MARGIN, MARGIN + 3.3, MARGIN + 5.85, MARGIN + 8.4)
    whole = show_map(figure, places[0], top, 2.6, one_map, f"map of kernel {step.channel + 1}", limits=limits)
    smaller = f"{highest.shape[0]} × {highest.shape[1]}"
    show_map(figure, places[1], top + 0.25, 2.1, highest, f"max: {smaller}", limits=limits)
    show_map(figure, places[2], top + 0.25, 2.1, average, f"avg: {smaller}", limits=limits)
    show_map(figure, places[3], top + 0.25, 1.4, highest, "concat: max and avg", limits=limits)
    show_map(figure, places[3] + 1.5, top + 0.25, 1.4, average, limits=limits)
    count = 2 if size <= 3 and min(highest.shape) >= 2 else 1
    if count * size > 8:
        return figure
    row, column = (int(part) for part in np.unravel_index(int(highest.argmax()), highest.shape))
    row, column = min(row, highest.shape[0] - count), min(column, highest.shape[1] - count)
    patch = one_map[row * size : (row + count) * size, column * size : (column + count) * size]
    outline(whole, (column * size, (column + count) * size), (row * size, (row + count) * size), ORANGE)
    top += 3.2
    write(figure, places[0] + 0.15, top - 0.05, "the framed piece in numbers", color=GREY, size=9.5)
    axes = show_numbers(figure, places[0] + 0.15, top + 0.17, 1.75, patch, limits[1], True, colors=MAP_COLORS)
    for edge in range(1, count):
        axes.axhline(edge * size - 0.5, color="white", linewidth=4)
        axes.axvline(edge * size - 0.5, color="white", linewidth=4)
    for column_number, (pooled, name) in enumerate(
        ((highest, "largest of each window"), (average, "average of each window")), 1
    ):
        values = pooled[row : row + count, column : column + count]
        write(figure, places[column_number] + 0.15, top - 0.05, name, color=GREY, size=9.5)
        show_numbers(figure, places[column_number] + 0.15, top + 0.47, 1.15, values, limits[1], True, colors=MAP_COLORS)
        if column_number == 2:
            write(figure, places[3], top + 1.05, "concat keeps both", color=GREY, va="center")
        sign, large = ("→", 16) if column_number == 1 else ("or", 11)
        write(
            figure,
            places[column_number] - 0.3,
            top + 1.05,
            sign,
            size=large,
            ha="center",
            va="center",
        )
    return figure


def draw_windows(subject: Subject, found: WindowScores) -> Figure:
    """Draw each window's score over the photo, and the way from the windows to one answer."""
    rows, columns = found.scores.shape
    positive, pooling = subject.positive, subject.model.pooling
    figure, top = new_page(
        f"“Is there a {positive} in this window?”",
        f"The last map has {rows} × {columns} places. Each is a window on the photo: it sees {found.field.size} × "
        f"{found.field.size} pixels around its centre; windows overlap. The last layer (the head) can score each "
        "window alone: 1 is a sure yes, 0 a sure no. Each score is drawn around its window's centre. The frame "
        "marks the best window.",
        4.8,
    )
    show_picture(figure, MARGIN, top, 2.2, subject.pixels, "the photo")
    scale = -(-720 // len(subject.pixels))
    large = np.repeat(np.repeat(subject.pixels, scale, 0), scale, 1)
    axes = show_picture(
        figure, MARGIN + 2.7, top, 4.4, np.asarray(heatmaps.draw_windows(large, found.scores, found.centres)),
        "each window's score: a darker orange is a higher score",
    )  # fmt: skip
    if rows <= 8:
        places = found.centres * large.shape[0] - 0.5
        between = (places[1:] + places[:-1]) / 2
        edges = np.concatenate([[0], between, [large.shape[0]]])
        middles = (edges[1:] + edges[:-1]) / 2
        for row in range(rows):
            for column in range(columns):
                axes.text(
                    middles[column], middles[row], f"{found.scores[row, column]:.2f}", size=11 if rows <= 5 else 8,
                    ha="center", va="center", color="black",
                    bbox=PLATE,
                )  # fmt: skip
    left = MARGIN + 7.6
    explanation = {
        "avg": f"The head gets the average over all windows of each of the {found.features} features. Every window "
        f"counts the same, so a small {positive} in one of many windows counts little.",
        "max": f"The head gets, for each of the {found.features} features, its largest value in any window. The answer "
        "isn't an average of the scores: it is the score of a window that has the largest value of every feature.",
        "concat": f"The head gets each of the {found.features} features twice: its largest value in any window, and "
        "its average over all windows. The answer isn't an average of the scores: one window can decide it.",
    }.get(pooling, f"The head gets the {POOLING_MODES[pooling].words} of each of the {found.features} features.")
    write(figure, left, top - 0.23, "from the windows to one answer", size=10.5)
    write(figure, left, top + 0.05, textwrap.fill(explanation, 54), size=9.5, color=GREY, linespacing=1.35)
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


def draw_dropout(subject: Subject, trials: Sequence[DropoutTrial]) -> Figure:
    """Draw three masks of each dropout, and the answers under many masks."""
    count = len(trials[0].answers)
    figure, top = new_page(
        "Dropout: random parts set to zero",
        "In training, dropout sets random parts of the network's input or features to zero, with a new mask for every "
        "batch: the network can't rely on a single detail. The rest is scaled up to keep the mean. After training, "
        f"nothing is dropped. Below are three masks, and the answers for this photo under {count} masks (a dot each).",
        0.3 + 1.95 * len(trials),
    )
    answer = float(subject.probability(subject.network(subject.batch())).detach())
    words = {
        "pixels": ("input dropout", "pixels of the photo", "input_dropout"),
        "channels": ("convolution dropout", "maps between blocks\n(16 of the first are shown)", "conv_dropout"),
        "features": ("dropout", "features before the head", "dropout"),
    }
    for row, trial in enumerate(trials):
        line = top + row * 1.95
        title, of_what, key = words[trial.what]
        write(figure, MARGIN, line + 0.1, title, weight="bold")
        rate = f"{trial.rate:.0%} of the\n{of_what}"
        note = (
            ""
            if trial.configured
            else f"\n\nThis network was trained\nwithout it ({key} = 0);\nshown with {SHOWN_RATE:g}."
        )
        write(figure, MARGIN, line + 0.35, rate + note, size=9, color=GREY, linespacing=1.35)
        panels = _dropout_panels(subject, trial)
        for number, (image, colors) in enumerate(panels):
            left = MARGIN + 1.95 + number * 1.55
            name = f"without: {answer:.2f}" if number == 0 else f"mask {number}: {trial.answers[number - 1]:.2f}"
            if colors is None:
                show_picture(figure, left, line + 0.1, 1.4, image, name)
            else:
                show_map(figure, left, line + 0.1, 1.4, image, name, colors=colors)
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


def kernel_colors(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert a kernel (3, side, side) to a picture (side, side, 3) from 0 to 1, in which zero is middle grey."""
    return (0.5 + kernel.transpose(1, 2, 0) / (2 * max(float(np.abs(kernel).max()), 1e-9))).astype(np.float32)


def _dropout_panels(subject: Subject, trial: DropoutTrial) -> list[tuple[NDArray[Any], str | None]]:
    """Build the panels without dropout and under each mask, each with its colour map (None for a photo)."""
    grey = round(float(subject.network.normalize.mean))
    if trial.what == "pixels":
        left = [np.where(mask[:, :, None], subject.pixels, np.uint8(grey)) for mask in trial.kept]
        return [(subject.pixels, None), *((image, None) for image in left)]
    if trial.what == "channels":
        chosen = np.sort(most_active(trial.before, 16))
        scaled = trial.before[chosen] / np.maximum(trial.before[chosen].max((1, 2), keepdims=True), 1e-9)
        masks = [np.ones(len(chosen), bool), *(mask[chosen] for mask in trial.kept)]
        return [(tile(np.where(mask[:, None, None], scaled, np.nan)), MAP_COLORS) for mask in masks]
    masks = [np.ones(len(trial.before), bool), *trial.kept]
    return [(tile(np.where(mask, trial.before, np.nan)[:, None, None], gap=0), MAP_COLORS) for mask in masks]
