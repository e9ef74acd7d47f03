"""The sections of `explain` up to the pooled maps: photo, kernels, convolution, pooling."""

import textwrap
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bearcnn.bodies import find_body
from bearcnn.explain.activations import (
    ConvolutionStep,
    Maps,
    Subject,
    body_maps,
    most_active,
    pool_map,
)
from bearcnn.explain.canvas import (
    GREY,
    MAP_COLORS,
    MARGIN,
    WIDTH,
    new_page,
    outline,
    place,
    set_title,
    show_map,
    show_numbers,
    show_picture,
    write,
)
from bearcnn.explain.formulas import add_up, apply_norm, shorten, written
from bearcnn.plotting import BLUE, ORANGE
from bearcnn.pooling import POOLING_MODES


def draw_photo(subject: Subject) -> Figure:
    """Draw the photo's pixels, their red, green and blue numbers, and a pretrained body as one box."""
    size = subject.manifest.image_size
    body = None if subject.network.body is None else body_maps(subject)
    how = {
        "squish": "the whole frame squeezed into a square",
        "pad": "the whole frame between grey bars",
        "crop": "the middle square of the frame",
    }[subject.manifest.resize]
    figure, top = new_page(
        "The network's input",
        f"{subject.name}, turned upright: {how} of {size} × {size} pixels. Each pixel is three numbers from 0 to 255, "
        f"for red, green and blue. These {3 * size * size:,} numbers are all that the network gets."
        + _introduce_body(subject),
        2.9 if body is None else 4.9,
    )
    show_picture(figure, MARGIN, top, 2.4, subject.pixels, "the photo")
    for number, (name, color) in enumerate((("red", "#B22222"), ("green", "#2E7D32"), ("blue", BLUE))):
        left = MARGIN + 3.1 + number * 2.8
        axes = show_map(figure, left, top, 2.4, subject.pixels[:, :, number], colors="gray", limits=(0, 255))
        set_title(axes, f"its {name}", color)
    if body is not None and subject.network.body is not None:
        top += 2.9
        name = subject.network.body.about["name"]
        box = {"facecolor": "#EFEFEF", "edgecolor": GREY, "boxstyle": "square,pad=1"}
        lines = "\n".join([*textwrap.wrap(name, 20), "(pretrained)"])
        write(figure, MARGIN + 0.2, top + 0.65, lines, weight="bold", va="center", bbox=box)
        write(figure, MARGIN + 2.65, top + 0.65, "→", size=16, va="center")
        for number, channel in enumerate(most_active(body, 6)):
            show_map(figure, MARGIN + 3.1 + number * 1.36, top, 1.24, body[channel], f"its map {channel + 1}")
    return figure


def _introduce_body(subject: Subject) -> str:
    body = subject.network.body
    if body is None:
        return ""
    weights = sum(weight.numel() for weight in body.parameters())
    words, (channels, rows, columns) = find_body(body.about["name"]).words, body_maps(subject).shape
    return (
        f" A pretrained network, the body, gets them first: {words}, {weights:,} weights. "
        f"It makes {channels} maps of {rows} × {columns} places of them; here are the six that differ most over the "
        "photo. All that follows is this network's own; its input is these maps."
    )


def draw_kernels(subject: Subject, kernels: NDArray[np.float32], found: Sequence[Maps], limit: int = 16) -> Figure:
    """Draw the first layer's kernels with their maps, and below them the most active maps of each later block."""
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
            "weights for each. Red, green and blue show its weights on the three maps that count most in it."
        )
    which = "Here are all" if len(shown) == len(kernels) else f"Here are the {len(shown)} most active of"
    figure, top = new_page(
        "The first layer's kernels, and the maps of later blocks",
        f"{slides} Where the {on_what} the kernel, its map is bright. {which} {len(kernels)} kernels, each with its "
        "map beside it. In a kernel, grey counts nothing; the further a colour is from grey, the more it counts.",
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
        frame = subject.frame(block.field)
        outline(axes, frame.span(int(column)), frame.span(int(row)), ORANGE)
        places = block.maps.shape[1]
        text = f"{len(block.maps)} maps of {places} × {places}.\nOne place sees\n{subject.describe_view(block.field)}"
        text += ":\nthe frame." if frame == block.field else ";\nthe frame is its own part."
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
    body = subject.network.body
    unit = "pixels" if body is None else "places"
    before = f"Pixels are first normalized: (pixel − {subject.mean:g}) / {subject.std:g}."
    if body is not None:
        before = (
            f"The window covers {body.out_width} maps of the body; the three with the largest sums are written out. "
            f"Through the body, it sees {subject.describe_view(step.field)}."
        )
    figure, top = new_page(
        "One step of the convolution",
        f"The kernel lies on one window of {side} × {side} {unit}. Each number of the window is multiplied by the "
        f"kernel's number at the same place. The sum of all products is one number of the map{numbers}. Then the "
        f"kernel moves on. This is the place with the strongest answer. {before} The squares show two decimals; the "
        "formulas have four digits, and add up as they are written.",
        max(5.7, 3 * line + 1.75),
    )
    frame = subject.frame(step.field)
    where = "the window in the photo" if frame == step.field else "the window's centre in the photo"
    axes = show_picture(figure, MARGIN, top, 2.2, subject.pixels, where)
    outline(axes, frame.span(step.column), frame.span(step.row), ORANGE)
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
        total = f"sum: {written(shorten(step.sums[row]))}"
        write(figure, left + span + 0.2, line_top + matrix / 2, total, color=tint, weight="bold", va="center")
    summands, words = [float(each) for each in step.sums], [""] * len(step.sums)
    if body is not None:
        summands, words = [*summands, step.rest], [*words, "of the others"]
    if step.bias:
        summands, words = [*summands, step.bias], [*words, "bias"]
    sums, total_sum = add_up(summands, words)
    norm, normed = apply_norm(total_sum, mean=step.mean, deviation=step.deviation, scale=step.scale, shift=step.shift)
    relu = f"max(0, {written(normed)}) = {written(max(normed, Decimal(0)))}"
    top += 3 * line
    lines = [
        ("all three colours" if body is None else "all maps", sums),
        ("batch norm: scaled by the kernel's usual mean and deviation", norm),
        ("ReLU: numbers below zero become zero; this is the number in the map", relu),
    ]
    if subject.model.norm == "none":
        del lines[1]
    for number, (what, formula) in enumerate(lines):
        write(figure, left - 0.55, top + number * 0.4, what, size=9, color=GREY)
        write(figure, left - 0.55, top + number * 0.4 + 0.16, formula, weight="bold")
    if body is None:
        pixels = step.window * subject.std + subject.mean
        colors = np.clip(pixels / 255, 0, 1).transpose(1, 2, 0)
        show_picture(figure, WIDTH - MARGIN - 2.3, top + 0.12, 1.0, colors, "window")
    if body is None or side > 1:
        show_picture(figure, WIDTH - MARGIN - 1.0, top + 0.12, 1.0, kernel_colors(step.kernel), "kernel, in colour")
    return figure


def draw_pooling(subject: Subject, step: ConvolutionStep) -> Figure:
    """Draw a map after max, avg and concat pooling, and below it a piece of the map in numbers."""
    model, one_map = subject.model, step.map
    size = max(model.pool_size, 2)
    own = {"max": "the maximum", "avg": "the average", "concat": "both side by side (concat)"}
    own_words = own.get(model.pooling, POOLING_MODES[model.pooling].words)
    strides = set(model.strides)
    if strides == {1, 2}:
        pooled = "pools only the last map, as one window," if model.pool_size == 1 else "pools after the other blocks"
        here = (
            "Some of this network's convolutions skip every other place instead (stride 2). It "
            f"{pooled} and takes {own_words}."
        )
    elif strides == {1} and model.pool_size == 1:
        here = (
            f"This network's blocks keep the map's size; it pools only the last map, all of it, and takes {own_words}."
        )
    elif strides == {1}:
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


def kernel_colors(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert a kernel (3, side, side) to a picture (side, side, 3) from 0 to 1, in which zero is middle grey."""
    return (0.5 + kernel.transpose(1, 2, 0) / (2 * max(float(np.abs(kernel).max()), 1e-9))).astype(np.float32)
