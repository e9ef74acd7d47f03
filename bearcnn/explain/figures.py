"""The sections of `explain`: each a figure that draws what `activations` measured."""

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
    body_maps,
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
    """Draw the pixels as they come in, the three numbers that each is, and a pretrained body as one box."""
    size, body = subject.manifest.image_size, body_maps(subject)
    how = {
        "squish": "the whole frame squeezed into a square",
        "pad": "the whole frame between grey bars",
        "crop": "the middle square of the frame",
    }[subject.manifest.resize]
    figure, top = new_page(
        "What the network gets",
        f"{subject.name}, turned upright, {how} of {size} × {size} pixels. To the network each pixel is three numbers "
        f"from 0 to 255: how much red, green and blue. That makes {3 * size * size:,} numbers, and nothing else."
        + _introduce_body(subject),
        2.9 if body is None else 4.9,
    )
    show_picture(figure, MARGIN, top, 2.4, subject.pixels, "the photo")
    for number, (name, color) in enumerate((("red", "#B22222"), ("green", "#2E7D32"), ("blue", BLUE))):
        left = MARGIN + 3.1 + number * 2.8
        axes = show_map(
            figure, left, top, 2.4, subject.pixels[:, :, number], f"its {name}", colors="gray", limits=(0, 255)
        )
        axes.title.set_color(color)
    if body is not None and subject.network.body is not None:
        top += 2.9
        name = subject.network.body.about["name"]
        box = {"facecolor": "#EFEFEF", "edgecolor": GREY, "boxstyle": "square,pad=1"}
        write(figure, MARGIN + 0.2, top + 0.5, f"{name}\n(pretrained, fixed)", weight="bold", bbox=box)
        write(figure, MARGIN + 2.65, top + 0.62, "→", size=16)
        for number, channel in enumerate(most_active(body, 6)):
            show_map(figure, MARGIN + 3.1 + number * 1.4, top, 1.3, body[channel], f"its map {channel + 1}")
    return figure


def _introduce_body(subject: Subject) -> str:
    body = subject.network.body
    if body is None:
        return ""
    weights = sum(weight.numel() for weight in body.parameters())
    return (
        f" A pretrained network, the body, looks at them first: its {weights:,} fixed weights come from other photos. "
        "What follows is all this network's own, and looks at the body's maps instead of pixels."
    )


def draw_kernels(subject: Subject, kernels: NDArray[np.float32], found: Sequence[Maps], limit: int = 16) -> Figure:
    """The first layer's kernels beside what each finds; below, the most active maps of each later block."""
    first, later = found[0], found[1:]
    shown = most_active(first.maps, limit)
    lines = -(-len(shown) // 8)
    side = kernels.shape[-1]
    body = subject.network.body
    on_what = "photo resembles" if body is None else "body's maps resemble"
    slides = f"A kernel is a small picture of {side} × {side} pixels that slides over the photo."
    if body is not None:
        slides = (
            f"A kernel is a window of {side} × {side} places that slides over the body's {body.out_width} maps, with "
            "weights for each. Shown, in red, green and blue, are its weights on the three maps that count most in it."
        )
    which = "Here are all" if len(shown) == len(kernels) else f"Here are the {len(shown)} most active of"
    figure, top = new_page(
        "What the first layer looks for, and what later ones make of it",
        f"{slides} Where the {on_what} it, its map is bright. {which} {len(kernels)} kernels, each with its map beside "
        "it. In a kernel, grey means “doesn't matter”; the further a colour is from grey, the more it counts.",
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
    """One number of a map written out: window times kernel, summed; then batch norm and ReLU."""
    side = step.kernel.shape[-1]
    cell = {1: 0.6, 3: 0.5}.get(side, 1.8 / side)
    matrix, gap = side * cell, 0.35
    line = matrix + gap
    numbers = "" if side <= 5 else " (too many numbers to print: colour shows them)"
    body = subject.network.body
    unit = "pixels" if body is None else "places"
    before = f"Pixels are first brought near zero: (pixel − {subject.mean:g}) / {subject.std:g}."
    if body is not None:
        before = f"The window has {body.out_width} maps of the body; written out are the three that add most."
    figure, top = new_page(
        "One step of the convolution",
        f"The kernel lies on one window of {side} × {side} {unit}. Each of the window's numbers is multiplied by the "
        f"kernel's number at the same place, and all products are added up: that is one number of the map{numbers}. "
        f"Then the kernel moves on. Shown is the place where a kernel answers most. {before} Numbers are "
        "rounded, so the last digit of a sum can be off by one.",
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
    for row, (color, tint) in enumerate(zip(step.inputs, ("#B22222", "#2E7D32", BLUE), strict=True)):
        line_top = top + row * line
        write(figure, left - 0.15, line_top + matrix / 2, color, color=tint, weight="bold", ha="right", va="center")
        for number, (values, limit) in enumerate(parts):
            show_numbers(figure, left + number * (matrix + gap), line_top, matrix, values[row], float(limit), side <= 5)
        for number, sign in enumerate("×="):
            middle = left + (number + 1) * (matrix + gap) - gap / 2
            write(figure, middle, line_top + matrix / 2, sign, size=15, ha="center", va="center")
        together = f"added up: {plain(step.sums[row])}"
        write(figure, left + span + 0.2, line_top + matrix / 2, together, color=tint, weight="bold", va="center")
    bias = f" {signed(step.bias)}" if step.bias else ""
    rest = "" if body is None else f" {signed(step.rest)} of the others"
    sums = f"{plain(step.sums[0])} {signed(step.sums[1])} {signed(step.sums[2])}{rest}{bias} = {plain(step.total)}"
    norm = (
        f"({plain(step.total)} {signed(-step.mean)}) / {step.deviation:.2f} × {plain(step.scale)} "
        f"{signed(step.shift)} = {plain(step.normed)}"
    )
    relu = f"max(0, {plain(step.normed)}) = {step.value:.2f}"
    top += 3 * line
    for number, (what, formula) in enumerate(
        (
            ("all three colours" if body is None else "all maps", sums),
            ("batch norm: brought to about −1 to 1 by what is usual for this kernel", norm),
            ("ReLU: what is below zero becomes zero; this stands in the map", relu),
        )
    ):
        write(figure, left - 0.55, top + number * 0.4, what, size=9, color=GREY)
        write(figure, left - 0.55, top + number * 0.4 + 0.16, formula, weight="bold")
    if body is None:
        pixels = step.window * subject.std + subject.mean
        colors = np.clip(pixels / 255, 0, 1).transpose(1, 2, 0)
        show_picture(figure, WIDTH - MARGIN - 2.3, top + 0.12, 1.0, colors, "window")
    show_picture(figure, WIDTH - MARGIN - 1.0, top + 0.12, 1.0, kernel_colors(step.kernel), "kernel, in colour")
    return figure


def draw_pooling(subject: Subject, step: ConvolutionStep) -> Figure:
    """A map through max, avg and concat windows; below, a piece of it in numbers."""
    model, one_map = subject.model, step.map
    size = max(model.pool_size, 2)
    own = {"max": "the maximum", "avg": "the average", "concat": "both side by side (concat)"}
    own_words = own.get(model.pooling, POOLING_MODES[model.pooling].words)
    if model.stride == 1 and model.pool_size == 1:
        here = (
            f"This network's blocks keep the map's size; it pools only the last map, all of it, and takes {own_words}."
        )
    elif model.stride == 1:
        here = f"This network pools after each block and takes {own_words}."
    else:
        here = (
            "This network's convolutions skip every other place instead (stride 2); it pools only the last map, all of "
            f"it at once, and takes {own_words}."
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
            write(figure, places[3], top + 1.05, "concat hands on both", color=GREY, va="center")
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
    """Every window's score over the photo, and how pooling makes one answer of all."""
    rows, columns = found.scores.shape
    positive, pooling = subject.positive, subject.model.pooling
    figure, top = new_page(
        f"“Is there a {positive} in this window?”",
        f"The last map has {rows} × {columns} places. Each is a window on the photo: it sees {found.field.size} × "
        f"{found.field.size} pixels around its centre, so windows overlap. The last layer (the head) can score each "
        "window alone: 1 is surely yes, 0 surely no. Each score is drawn around its window's centre; the frame "
        "marks the best one.",
        4.8,
    )
    show_picture(figure, MARGIN, top, 2.2, subject.pixels, "the photo")
    scale = -(-720 // len(subject.pixels))
    large = np.repeat(np.repeat(subject.pixels, scale, 0), scale, 1)
    axes = show_picture(
        figure, MARGIN + 2.7, top, 4.4, np.asarray(heatmaps.draw_windows(large, found.scores, found.centres)),
        "each window's score: the darker the orange, the surer",
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
        "isn't an average of the scores: it is as if one window had the largest of everything.",
        "concat": f"The head gets each of the {found.features} features twice: its largest value in any window, and "
        "its average over all. The answer isn't an average of the scores: one window can decide, or all together.",
    }.get(pooling, f"The head gets the {POOLING_MODES[pooling].words} of each of the {found.features} features.")
    write(figure, left, top - 0.23, "how pooling makes one answer of them", size=10.5)
    write(figure, left, top + 0.05, textwrap.fill(explanation, 54), size=9.5, color=GREY, linespacing=1.35)
    bars = [("the photo's answer", found.answer, BLUE)]
    if pooling == "avg":
        bars.append(("a window of all average features (the same)", found.mean_window, BLUE))
    if pooling == "max":
        bars.append(("a window of all largest features (the same)", found.strongest, BLUE))
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
        axes.set_title(f"how many of the {found.features} features\nare largest in which window", size=9, loc="left")
        if rows <= 5:
            for (row, column), features in np.ndenumerate(found.winners):
                color = "white" if features > 0.6 * found.winners.max() else "black"
                axes.text(int(column), int(row), f"{features}", size=8.5, ha="center", va="center", color=color)
    return figure


def draw_dropout(subject: Subject, trials: Sequence[DropoutTrial]) -> Figure:
    """Three masks of each kind of dropout, and how the answer moves under many."""
    count = len(trials[0].answers)
    figure, top = new_page(
        "Dropout: training with gaps",
        "While it is trained, a random part of what the network works with is set to zero, with a new mask for every "
        "batch: it can't rely on a single detail. What is left counts a little more, so that the sum stays. Afterwards "
        f"nothing is dropped. Below are three masks, and the answer for this photo under {count} (each dot one mask).",
        0.3 + 1.95 * len(trials),
    )
    answer = float(subject.probability(subject.network(subject.batch())).detach())
    kinds = {
        "pixels": (
            "input dropout",
            "pixels of the photo" if subject.network.body is None else "places of the body's map",
            "input_dropout",
        ),
        "channels": ("convolution dropout", "maps between blocks\n(16 of the first are shown)", "conv_dropout"),
        "features": ("dropout", "features before the head", "dropout"),
    }
    for row, trial in enumerate(trials):
        line = top + row * 1.95
        title, of_what, key = kinds[trial.what]
        write(figure, MARGIN, line + 0.1, title, weight="bold")
        rate = f"{trial.rate:.0%} of the\n{of_what}"
        note = (
            ""
            if trial.configured
            else f"\n\nThis network was trained\nwithout ({key} = 0);\nshown with {SHOWN_RATE:g}."
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
    """A kernel (3, side, side) as a picture (side, side, 3) from 0 to 1, in which zero is middle grey."""
    return (0.5 + kernel.transpose(1, 2, 0) / (2 * max(float(np.abs(kernel).max()), 1e-9))).astype(np.float32)


def _dropout_panels(subject: Subject, trial: DropoutTrial) -> list[tuple[NDArray[Any], str | None]]:
    """What is there without dropout and under each mask, and the colours of it (None for a photo)."""
    if trial.what == "pixels":
        grey = round(subject.mean) if subject.network.body is None else 128
        size = len(subject.pixels)
        masks = [_enlarge(mask, size) for mask in trial.kept]  # a place of a body's map is many pixels
        left = [np.where(mask[:, :, None], subject.pixels, np.uint8(grey)) for mask in masks]
        return [(subject.pixels, None), *((image, None) for image in left)]
    if trial.what == "channels":
        chosen = np.sort(most_active(trial.before, 16))
        scaled = trial.before[chosen] / np.maximum(trial.before[chosen].max((1, 2), keepdims=True), 1e-9)
        masks = [np.ones(len(chosen), bool), *(mask[chosen] for mask in trial.kept)]
        return [(tile(np.where(mask[:, None, None], scaled, np.nan)), MAP_COLORS) for mask in masks]
    masks = [np.ones(len(trial.before), bool), *trial.kept]
    return [(tile(np.where(mask, trial.before, np.nan)[:, None, None], gap=0), MAP_COLORS) for mask in masks]


def _enlarge(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Enlarge a mask (n, n) to (size, size)."""
    places = np.arange(size) * len(mask) // size
    return mask[places][:, places]
