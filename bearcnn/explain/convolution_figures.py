"""The sections of `explain` about one convolution: a step and the next, stride, and the matrix product."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bearcnn.explain.canvas import (
    GREY,
    MARGIN,
    SIGNED_COLORS,
    WIDTH,
    finish,
    new_axes,
    new_page,
    outline,
    plain,
    show_map,
    show_numbers,
    show_picture,
    write,
)
from bearcnn.explain.convolution import ConvolutionStep, MatrixProduct, Strides, cut_piece
from bearcnn.explain.figures import kernel_colors
from bearcnn.explain.formulas import shorten, spell_out, written
from bearcnn.explain.subject import Subject, block_of, split_layer
from bearcnn.plotting import BLUE, ORANGE

TINTS = ("#B22222", "#2E7D32", BLUE)


def draw_convolution(
    subject: Subject, step: ConvolutionStep, following: ConvolutionStep | None, which: str = ""
) -> Figure:
    """Draw the computation of one number of a map: window times kernel, summed; then batch norm and ReLU.

    Below it stands the step after it, and `which` says how the place was chosen.
    """
    side = step.kernel.shape[-1]
    cell = {1: 0.6, 3: 0.5}.get(side, 1.8 / side)
    matrix, gap = side * cell, 0.35
    line = matrix + gap
    height = max(5.2, 3 * line + 1.75)
    figure, top = new_page("One step of the convolution", describe_step(subject, step, which), height + 2.3)
    bottom = top + height + 0.15
    frame = subject.frame(step.field)
    where = "the window in the photo" if frame == step.field else "the window's centre in the photo"
    axes = show_picture(figure, MARGIN, top, 2.2, subject.pixels, where)
    outline(axes, frame.span(step.place.column), frame.span(step.place.row), ORANGE)
    axes = show_map(
        figure, MARGIN, top + 2.65, 2.2, step.map, f"its place in the map of kernel {step.place.kernel + 1}"
    )
    _outline_place(axes, step, ORANGE)

    left = MARGIN + 3.35
    span = 3 * matrix + 2 * gap
    for number, name in enumerate(("window", "kernel", "products")):
        write(figure, left + number * (matrix + gap) + matrix / 2, top - 0.02, name, weight="bold", ha="center")
    top += 0.25
    parts = ((step.window, 2.0), (step.kernel, np.abs(step.kernel).max()), (step.products, np.abs(step.products).max()))
    for row, (name, tint) in enumerate(zip(step.names, TINTS, strict=False)):
        line_top = top + row * line
        write(figure, left - 0.15, line_top + matrix / 2, name, color=tint, weight="bold", ha="right", va="center")
        for number, (values, limit) in enumerate(parts):
            show_numbers(figure, left + number * (matrix + gap), line_top, matrix, values[row], float(limit), side <= 5)
        for number, sign in enumerate("×="):
            middle = left + (number + 1) * (matrix + gap) - gap / 2
            write(figure, middle, line_top + matrix / 2, sign, size=15, ha="center", va="center")
        total = f"sum: {written(shorten(step.sums[row]))}"
        write(figure, left + span + 0.2, line_top + matrix / 2, total, color=tint, weight="bold", va="center")
    top += 3 * line
    _write_lines(figure, left - 0.55, top, step)
    if subject.network.body is None:
        show_picture(figure, WIDTH - MARGIN - 2.3, top + 0.12, 1.0, window_colors(subject, step), "window")
    if subject.network.body is None or side > 1:
        show_picture(figure, WIDTH - MARGIN - 1.0, top + 0.12, 1.0, kernel_colors(step.kernel[:3]), "kernel, in colour")
    _draw_following(figure, bottom, subject, step, following)
    return figure


def describe_step(subject: Subject, step: ConvolutionStep, which: str) -> str:
    """Return in words how a number of a map is computed, and which one is shown."""
    side, body = step.kernel.shape[-1], subject.network.body
    numbers = "" if side <= 5 else " (too many numbers to print: colour shows them)"
    before = f"Pixels are first normalized: (pixel − {subject.mean:g}) / {subject.std:g}."
    if body is not None:
        before = (
            f"The window covers {body.out_width:,} maps of the body; the three with the largest sums are written out. "
            f"Through the body, it sees {subject.describe_view(step.field)}."
        )
    return (
        f"Kernel {step.place.kernel + 1} lies on one window of {side} × {side} "
        f"{'pixels' if body is None else 'places'}. Each number of the window is multiplied by the kernel's number at "
        f"the same place. The sum of all products is one number of the map{numbers}. Then the kernel moves on. {which} "
        f"{before} The squares show two decimals; the formulas have four digits, and add up as they are written."
    )


def window_colors(subject: Subject, step: ConvolutionStep) -> NDArray[np.floating[Any]]:
    """Convert a window of normalized pixels (3, side, side) back to a picture (side, side, 3) from 0 to 1."""
    pixels = step.window * subject.std + subject.mean
    colors: NDArray[np.floating[Any]] = np.clip(pixels / 255, 0, 1).transpose(1, 2, 0)
    return colors


def describe_following(subject: Subject, step: ConvolutionStep, following: ConvolutionStep) -> str:
    """Return in words how the window moved."""
    stride = subject.model.strides[0]
    unit = {True: "pixel", False: "place"}[subject.network.body is None] + "s" * (stride > 1)
    if following.place.row != step.place.row:
        return f"the row is done; the kernel goes {stride} {unit} down, and back to the left edge"
    return f"the kernel moves {stride} {unit} to the right (stride {stride}), to the map's next place"


def _draw_following(
    figure: Figure, top: float, subject: Subject, step: ConvolutionStep, following: ConvolutionStep | None
) -> None:
    if following is None:
        write(figure, MARGIN, top, "This is the map's last place: there is no next step.", color=GREY)
        return
    title = f"The next step: {describe_following(subject, step, following)}"
    write(figure, MARGIN, top, title, size=11, weight="bold")
    frame = subject.frame(step.field)
    spans = [(frame.span(each.place.column), frame.span(each.place.row)) for each in (step, following)]
    axes = show_picture(figure, MARGIN, top + 0.5, 1.6, subject.pixels, "both windows, enlarged")
    across, down = ([edge for span in spans for edge in span[axis]] for axis in (0, 1))
    size = len(subject.pixels)
    side = min(size, max(max(across) - min(across), max(down) - min(down)) + 8)
    x, y = (min(max(0, (max(edges) + min(edges) - side) // 2), size - side) for edges in (across, down))
    for each, color in zip(spans, (ORANGE, BLUE), strict=True):
        outline(axes, *each, color)
    axes.set(xlim=(x - 0.5, x + side - 0.5), ylim=(y + side - 0.5, y - 0.5))
    for patch in axes.patches:
        patch.set_clip_on(True)
    axes = show_map(figure, MARGIN + 1.9, top + 0.5, 1.6, step.map, "both places in the map")
    _outline_place(axes, step, ORANGE)
    _outline_place(axes, following, BLUE)
    left = MARGIN + 4.0
    sums = ", ".join(
        f"{name} {written(shorten(value))}" for name, value in zip(following.names, following.sums, strict=True)
    )
    write(figure, left, top + 0.36, f"its sums: {sums}", size=9, color=GREY)
    _write_lines(figure, left, top + 0.68, following)


def _write_lines(figure: Figure, left: float, top: float, step: ConvolutionStep) -> None:
    for number, (what, formula) in enumerate(spell_out(step)):
        write(figure, left, top + number * 0.43, what, size=9, color=GREY)
        write(figure, left, top + number * 0.43 + 0.17, formula, weight="bold", size=10)


def _outline_place(axes: Axes, step: ConvolutionStep, color: str) -> None:
    row, column = step.place.row, step.place.column
    outline(axes, (column, column + 1), (row, row + 1), color)


def draw_strides(subject: Subject, strides: Strides, place: tuple[int, int]) -> Figure:
    """Draw one map with stride 1 and, of every other place, with stride 2; and a piece around a place one by one."""
    figure, top = new_page("Stride: how far the kernel moves on", describe_strides(subject, strides), 3.6)
    limits = (0.0, float(strides.every.max()) or 1.0)
    piece = cut_piece(strides, place)
    sizes = [f"{len(each)} × {len(each)}" for each in (strides.every, strides.other)]
    axes = show_map(figure, MARGIN, top, 2.6, strides.every, f"stride 1: {sizes[0]}", limits=limits)
    outline(axes, piece.columns, piece.rows, ORANGE)
    axes = show_map(
        figure, MARGIN + 2.85, top, 2.6, piece.every, "the framed piece; dots: places of stride 2", limits=limits
    )
    down, across = piece.every.shape
    axes.plot(
        *np.array([(x, y) for y in range(0, down, 2) for x in range(0, across, 2)]).T,
        "o",
        color=ORANGE,
        markeredgecolor="white",
        markersize=6,
    )
    show_map(figure, MARGIN + 5.7, top, 2.6, piece.other, "the dotted places alone", limits=limits)
    axes = show_map(figure, MARGIN + 8.6, top, 2.6, strides.other, f"stride 2: {sizes[1]}", limits=limits)
    left, above = piece.columns[0] // 2, piece.rows[0] // 2
    outline(axes, (left, left + piece.other.shape[1]), (above, above + piece.other.shape[0]), ORANGE)
    row, column = piece.place
    text = (
        f"For example, row {row + 1}, column {column + 1} with stride 2 is row {2 * row + 1}, column {2 * column + 1} "
        f"with stride 1: {plain(strides.other[row, column])} and {plain(strides.every[2 * row, 2 * column])}."
    )
    write(figure, MARGIN, top + 2.85, text, color=GREY)
    return figure


def describe_strides(subject: Subject, strides: Strides) -> str:
    """Return in words what stride 1 and stride 2 do to the map, and which this network has."""
    before, after = len(strides.every), len(strides.other)
    return (
        f"With stride 1 the kernel visits every place, and the map of kernel {strides.kernel + 1} is {before} × "
        f"{before}. With stride 2 it skips every other place, across and down: the map is {after} × {after}, with a "
        "quarter of the numbers and of the work. The kernel is the same, and so is each number that is left: the map "
        f"with stride 2 is the map with stride 1 at the dotted places. The first block of this network has stride "
        f"{strides.own}."
    )


def draw_matrix_product(subject: Subject, product: MatrixProduct, step: ConvolutionStep) -> Figure:
    """Draw windows as rows, kernels as columns, and the maps' numbers as their product."""
    figure, top = new_page("The whole convolution is one matrix product", describe_product(subject, product), 5.75)
    numbers, kernels = product.columns.shape
    places = len(product.rows)
    wide, high = 6.0, 3.6
    line = 0.32
    left, right = MARGIN + 1.25, MARGIN + 1.25 + wide + 0.25
    cell = min(0.47, 3.7 / kernels)
    limit = max(float(np.abs(product.columns).max()), 1e-9)
    _show_matrix(figure, right, top + 0.2, cell * kernels, high, product.columns, limit)
    write(figure, right, top - 0.12, f"kernels as columns: {numbers} numbers × {kernels} kernels", size=9.5)
    base = top + 0.2 + high + 0.45
    write(figure, left, base - 0.3, f"windows as rows: {places} places × {numbers} numbers", size=9.5)
    _show_matrix(figure, left, base, wide, line * places, product.rows, 2.0 if subject.network.body is None else None)
    axes = _show_matrix(figure, right, base, cell * kernels, line * places, product.product, None)
    write(figure, right, base - 0.3, "their product: numbers of the maps", size=9.5)
    for (row, column), value in np.ndenumerate(product.product):
        axes.text(
            column,
            row,
            plain(value),
            size=8,
            ha="center",
            va="center",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6},
        )
    row, column = product.step
    outline(axes, (column, column + 1), (row, row + 1), ORANGE)
    for column, kernel in enumerate(product.kernels):
        write(figure, right + (column + 0.5) * cell, base + line * places + 0.05, f"{kernel + 1}", size=9, ha="center")
    write(figure, right - 0.08, base + line * places + 0.05, "kernel", size=9, ha="right", color=GREY)
    for row, (down, across) in enumerate(product.places):
        text = f"row {down + 1}, col. {across + 1}"
        write(figure, left - 0.08, base + (row + 0.5) * line, text, size=8.5, ha="right", va="center", color=GREY)
    each = numbers // len(product.names)
    for number, (name, tint) in enumerate(zip(product.names, TINTS, strict=False)):
        middle = left + (number + 0.5) * wide / len(product.names)
        write(figure, middle, base + line * places + 0.05, f"{name}: {each} numbers", size=9, ha="center", color=tint)
    text = (
        "Read a row of windows and a column of kernels: multiply number by number and add up\n"
        "to get the number where the row and the column cross. The framed number is that of the\n"
        f"picture “One step of the convolution” (the orange window), before {name_rest(subject)}; the other\n"
        "rows are steps beside it. Orange numbers are above zero, violet ones below."
    )
    write(figure, MARGIN, top - 0.1, text, color=GREY, linespacing=1.5)
    axes = show_picture(figure, MARGIN + 1.25, top + 1.3, 2.3, subject.pixels, "the windows in the photo")
    frame = subject.frame(step.field)
    for down, across in product.places:
        here = (down, across) == (step.place.row, step.place.column)
        outline(axes, frame.span(across), frame.span(down), ORANGE if here else BLUE)
    return figure


def name_rest(subject: Subject) -> str:
    """Name what follows the first convolution in its layer."""
    _, norm, _ = split_layer(block_of(subject.network, 1).convolution)
    return "ReLU" if norm is None else "batch norm"


def describe_product(subject: Subject, product: MatrixProduct) -> str:
    """Return in words how a convolution is a matrix product, and how large the whole one is."""
    places, numbers, kernels = product.whole
    rest = ""
    if product.rest.any():
        rest = (
            f" Drawn are the numbers of {len(product.names)} maps; what the others add to each product is in it, too."
        )
    bias = " Each kernel's bias is added." if product.biases.any() else ""
    return (
        f"Write each window's numbers in one row, and each kernel's in one column. Then every number of every map is a "
        f"row times a column: ({places:,} × {numbers:,}) · ({numbers:,} × {kernels:,}) = {places:,} × {kernels:,} "
        f"numbers, before {name_rest(subject)}. Here are {len(product.rows)} rows and {len(product.kernels)} columns."
        f"{rest}{bias}"
    )


def _show_matrix(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    height: float,
    values: NDArray[Any],
    limit: float | None,
) -> Axes:
    limit = limit or max(float(np.abs(values).max()), 1e-9)
    axes = new_axes(figure, left, top, width, height)
    axes.imshow(values, cmap=SIGNED_COLORS, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    return finish(axes, "")
