"""The sections of `explain` about the input and the maps: photo, a kernel made by hand, the learnt kernels."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bearcnn.bodies import find_body
from bearcnn.explain.canvas import (
    GREY,
    MARGIN,
    SIGNED_COLORS,
    new_page,
    outline,
    place,
    plain,
    set_title,
    show_map,
    show_numbers,
    show_picture,
    write,
)
from bearcnn.explain.contributions import Maps, Trace, sort_by_part
from bearcnn.explain.convolution import EDGE, Edge
from bearcnn.explain.formulas import add_up
from bearcnn.explain.subject import Subject
from bearcnn.plotting import BLUE, ORANGE


def draw_photo(subject: Subject, traced: Trace) -> Figure:
    """Draw the photo's pixels, their red, green and blue numbers, and a pretrained body as one box."""
    body = subject.network.body
    figure, top = new_page(
        "The network's input",
        f"{subject.name}, turned upright: {describe_input(subject)}" + introduce_body(subject, traced.stem),
        2.5 if body is None else 4.5,
    )
    show_picture(figure, MARGIN, top, 2.4, subject.pixels, "the photo")
    for number, (name, color) in enumerate((("red", "#B22222"), ("green", "#2E7D32"), ("blue", BLUE))):
        left = MARGIN + 3.1 + number * 2.8
        axes = show_map(figure, left, top, 2.4, subject.pixels[:, :, number], colors="gray", limits=(0, 255))
        set_title(axes, f"its {name}", color)
    if body is not None:
        top += 2.85
        name = body.about["name"]
        box = {"facecolor": "#EFEFEF", "edgecolor": GREY, "boxstyle": "square,pad=1"}
        lines = "\n".join([*textwrap.wrap(name, 20), "(pretrained)"])
        write(figure, MARGIN + 0.2, top + 0.65, lines, weight="bold", va="center", bbox=box)
        write(figure, MARGIN + 2.65, top + 0.65, "→", size=16, va="center")
        for number, channel in enumerate(sort_by_part(traced.stem.by_map, 6)):
            title = f"map {channel + 1}: {signed(traced.stem.by_map[channel])}"
            show_map(figure, MARGIN + 3.1 + number * 1.36, top, 1.24, traced.stem.maps[channel], title)
    return figure


def describe_input(subject: Subject) -> str:
    """Return in words how the photo becomes the network's numbers."""
    size = subject.manifest.image_size
    how = {
        "squish": "the whole frame squeezed into a square",
        "pad": "the whole frame between grey bars",
        "crop": "the middle square of the frame",
    }[subject.manifest.resize]
    return (
        f"{how} of {size} × {size} pixels. Each pixel is three numbers from 0 to 255, "
        f"for red, green and blue. These {3 * size * size:,} numbers are all that the network gets."
    )


def introduce_body(subject: Subject, stem: Maps) -> str:
    """Return in words what a pretrained body does; nothing where there is none."""
    body = subject.network.body
    if body is None:
        return ""
    weights = sum(weight.numel() for weight in body.parameters())
    words, (channels, rows, columns) = find_body(body.about["name"]).words, stem.maps.shape
    return (
        f" A pretrained network, the body, gets them first: {words}, {weights:,} weights. Its layers aren't taken "
        f"apart here. It makes {channels:,} maps of {rows} × {columns} places; below are the six that "
        f"contribute most to the answer, from those that speak for {subject.positive} (+) to those against (−). "
        "All that follows is this network's own; its input is these maps."
    )


def draw_edge(subject: Subject, edge: Edge, at: bool) -> Figure:
    """Draw a kernel made by hand on the photo's brightness, with one number of its map computed."""
    formula, _ = add_up([float(each) for each in edge.parts])
    size, places = len(edge.brightness), len(edge.map)
    figure, top = new_page("A kernel made by hand", describe_edge(size, places, at), 4.1)
    axes = show_map(figure, MARGIN, top, 2.6, edge.brightness, "the photo's brightness", "gray", (0, 1))
    outline(axes, (edge.column, edge.column + 3), (edge.row, edge.row + 3), ORANGE)
    limit = max(float(np.abs(edge.map).max()), 1e-9)
    axes = show_map(
        figure, MARGIN + 8.6, top, 2.6, edge.map, f"its map, {places} × {places}", SIGNED_COLORS, (-limit, limit)
    )
    outline(axes, (edge.column, edge.column + 1), (edge.row, edge.row + 1), ORANGE)
    for number, (name, values, largest) in enumerate(
        (("the framed window", edge.window, 1.0), ("the kernel", EDGE, 1.0), ("products", edge.window * EDGE, 1.0))
    ):
        left = MARGIN + 3.0 + number * 1.85
        write(figure, left + 0.7, top + 0.32, name, weight="bold", ha="center")
        show_numbers(figure, left, top + 0.6, 1.4, values, largest, True)
        if number < 2:
            write(figure, left + 1.62, top + 1.3, "×="[number], size=15, ha="center", va="center")
    write(
        figure, MARGIN, top + 2.95, "the sum of the products is the number of the map at the framed place", color=GREY
    )
    write(figure, MARGIN, top + 3.2, formula, weight="bold")
    write(figure, MARGIN, top + 3.6, "Orange in the map: brighter above than below; violet: darker above.", color=GREY)
    return figure


def describe_edge(size: int, places: int, at: bool) -> str:
    """Return in words what a kernel made by hand does."""
    which = "the given place" if at else "the place with the largest number"
    return (
        "A kernel is a small window of numbers. Somebody who looks for the lower edge of bright things writes 1 above, "
        "0 in the middle and −1 below, and lays it on every window of 3 × 3 pixels in turn: number times number, and "
        f"the sum of the nine products is one number of a map. The photo of {size} × {size} pixels has {places} × "
        f"{places} such windows. This is {which}. A network's kernels work the same way, but nobody writes their "
        "numbers: training finds them."
    )


def draw_kernels(
    subject: Subject, kernels: NDArray[np.float32], traced: Trace, limit: int = 16, chosen: int | None = None
) -> Figure:
    """Draw the first layer's kernels with their maps, and below them the telling maps of each later block."""
    first, later = traced.convolved[0], list(enumerate(traced.ends[1:], 2))
    shown = choose_kernels(first.by_map, limit, chosen)
    lines = -(-len(shown) // 8)
    figure, top = new_page(
        "The first layer's kernels, and the maps of later blocks",
        describe_kernels(subject, kernels, len(shown)),
        lines * 1.3 + len(later) * 1.55,
    )
    for number, channel in enumerate(shown):
        left, line = MARGIN + number % 8 * 1.415, top + number // 8 * 1.3
        axes = show_picture(figure, left, line + 0.23, 0.42, kernel_colors(kernels[channel]))
        if channel == chosen:
            outline(axes, (0, kernels.shape[-1]), (0, kernels.shape[-1]), ORANGE)
        title = f"{channel + 1}: {signed(first.by_map[channel])}"
        show_map(figure, left + 0.47, line, 0.84, first.maps[channel], title)
    top += lines * 1.3 + 0.15
    for block, end in later:
        channels = sort_by_part(end.by_map, 7)
        telling = max(channels, key=lambda channel: subject.direction * float(end.by_map[channel]))
        row, column = np.unravel_index(int((subject.direction * end.parts[telling]).argmax()), end.maps[0].shape)
        axes = show_picture(figure, MARGIN, top, 1.15, subject.pixels)
        field = subject.fields[block - 1][1]
        frame = subject.frame(field)
        outline(axes, frame.span(int(column)), frame.span(int(row)), ORANGE)
        places = end.maps.shape[1]
        text = f"{len(end.maps)} maps of {places} × {places}.\nOne place sees\n{subject.describe_view(field)}"
        text += ":\nthe frame." if frame == field else ";\nthe frame is its own part."
        figure.text(*place(figure, MARGIN + 1.3, top), f"block {block}", weight="bold", va="top", size=11)
        figure.text(*place(figure, MARGIN + 1.3, top + 0.25), text, va="top", size=9, color=GREY, linespacing=1.35)
        for number, channel in enumerate(channels):
            title = f"{channel + 1}: {signed(end.by_map[channel])}"
            axes = show_map(figure, MARGIN + 3.05 + number * 1.18, top, 1.1, end.maps[channel], title)
            if channel == telling:
                outline(axes, (int(column), int(column) + 1), (int(row), int(row) + 1), ORANGE)
        top += 1.55
    return figure


def choose_kernels(parts: NDArray[np.float32], limit: int, chosen: int | None = None) -> list[int]:
    """Find the kernels to show, from the most for the positive class to the most against; `chosen` is among them."""
    shown = sort_by_part(parts, limit)
    if chosen is not None and chosen not in shown:
        shown = sort_by_part(parts, limit - 1)
        shown = sorted([*shown, chosen], key=lambda kernel: -float(parts[kernel]))
    return shown


def describe_kernels(subject: Subject, kernels: NDArray[np.float32], shown: int) -> str:
    """Return in words what a kernel is, which are shown and what their numbers say."""
    side, body = kernels.shape[-1], subject.network.body
    on_what = "photo resembles" if body is None else "body's maps resemble"
    slides = f"A kernel is a small picture of {side} × {side} pixels that slides over the photo."
    if body is not None:
        slides = (
            f"A kernel is a window of {side} × {side} places that slides over the body's {body.out_width:,} maps, with "
            "weights for each. Red, green and blue show its weights on the three maps that count most in it."
        )
    which = "Here are all" if shown == len(kernels) else f"Here are the {shown} that count most of"
    return (
        f"{slides} Where the {on_what} the kernel, its map is bright. {which} {len(kernels)} kernels with their maps, "
        "by number and sorted by what the map contributes to the answer: + speaks for "
        f"{subject.positive}, − against (in log odds, to first order: the answer's gradient times the map). "
        "In a kernel, grey counts nothing; the further a colour is from grey, the more it counts."
    )


def signed(part: float | np.floating[Any]) -> str:
    """Format a part of the log odds with its sign."""
    text = plain(part)
    return text if text.startswith("−") or text == "0.00" else f"+{text}"


def kernel_colors(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert a kernel (3, side, side) to a picture (side, side, 3) from 0 to 1, in which zero is middle grey."""
    return (0.5 + kernel.transpose(1, 2, 0) / (2 * max(float(np.abs(kernel).max()), 1e-9))).astype(np.float32)
