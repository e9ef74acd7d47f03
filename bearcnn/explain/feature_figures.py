"""The sections of `explain` about features: the second block's, and the way of one feature into the answer."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from bearcnn.explain.activations import PooledMap
from bearcnn.explain.canvas import (
    GREY,
    MAP_COLORS,
    MARGIN,
    new_axes,
    new_page,
    outline,
    show_map,
    show_numbers,
    show_picture,
    write,
)
from bearcnn.explain.contributions import HeadParts, sort_by_part
from bearcnn.explain.features import FeatureStep
from bearcnn.explain.figures import signed
from bearcnn.explain.formulas import shorten, spell_out, spell_out_answer, spell_out_part, written
from bearcnn.explain.subject import Subject
from bearcnn.plotting import BLUE, ORANGE
from bearcnn.pooling import POOLING_MODES

SPELLED = 4  # maps whose parts are written out in the answer's formula


def draw_features(subject: Subject, found: FeatureStep | None) -> Figure:
    """Draw one number of block 2: the maps of block 1 that gave most of it, their kernels and sums, added up."""
    if found is None:
        return new_page("Features of features", describe_features(subject, found), 0.1)[0]
    step = found.step
    count = len(step.names)
    figure, top = new_page("Features of features", describe_features(subject, found), 5.5)
    frame = subject.frame(step.field)
    axes = show_picture(figure, MARGIN, top, 2.0, subject.pixels, "what the place sees of the photo")
    outline(axes, frame.span(step.place.column), frame.span(step.place.row), ORANGE)
    axes = show_map(figure, MARGIN, top + 2.5, 2.0, step.map, f"map {step.place.kernel + 1} of block 2")
    row, column = step.place.row, step.place.column
    outline(axes, (column, column + 1), (row, row + 1), ORANGE)
    weight = max(float(np.abs(step.kernel).max()), 1e-9)
    side = step.kernel.shape[-1]
    for number, name in enumerate(step.names):
        left = MARGIN + 2.75 + number * 8.6 / max(count, 5)
        axes = show_map(figure, left, top, 1.5, found.inputs[number], name)
        outline(axes, found.across, found.down, ORANGE)
        for line, (values, limit) in enumerate(
            ((step.window[number], max(float(step.window.max()), 1e-9)), (step.kernel[number], weight))
        ):
            numbers = {"colors": MAP_COLORS} if line == 0 else {}
            show_numbers(figure, left, top + 1.75 + line * 1.2, 1.05, values, limit, side <= 3, **numbers)
            write(figure, left + 1.12, top + 2.25 + line * 1.2, "×="[line], size=13, va="center")
        given = written(shorten(float(step.sums[number])))
        write(figure, left, top + 4.1, f"{'gives ' if number == 0 else ''}{given}", weight="bold", size=11)
    for number, (what, formula) in enumerate(spell_out(step)):
        write(figure, MARGIN + 2.75, top + 4.42 + number * 0.4, f"{what}: ", size=9, color=GREY)
        write(figure, MARGIN + 2.75, top + 4.58 + number * 0.4, formula, weight="bold", size=9.5)
    return figure


def describe_features(subject: Subject, found: FeatureStep | None) -> str:
    """Return in words how a number of block 2 comes about."""
    if found is None:
        return (
            "This network has a single block: its maps go straight to the head. With two or more (model.widths), the "
            "second block's kernels look at the maps of the first."
        )
    step = found.step
    total = len(step.names) + step.others
    return (
        f"The second block's kernels don't see the photo: they lie on the {total} maps that block 1 made of it. Here "
        f"is one number of block 2, in map {step.place.kernel + 1}, row {step.place.row + 1}, column "
        f"{step.place.column + 1}: it contributes {signed(found.part)} to the log odds of {subject.positive}. Its "
        f"window lies at the same place in every map of block 1. These are the {len(step.names)} maps that gave most "
        f"of it, with the window's numbers, the kernel's, and the sum of their products"
        + (f"; the other {step.others} maps are summed up." if step.others else ".")
    )


def draw_pooling(subject: Subject, head: HeadParts, chosen: int, pooled: PooledMap | None) -> Figure:
    """Draw how one feature becomes its part of the answer; then the windows of pooling, where the network has them."""
    figure, top = new_page(
        "Pooling: a map becomes a number, and the number a part of the answer",
        describe_pooling(subject, head, chosen),
        3.75 + (3.3 if pooled else 0),
    )
    last = head.maps[chosen]
    places = len(last)
    limit = max(float(last.max()), 1e-9)
    title = f"last map {chosen + 1}, {places} × {places}"
    axes = show_numbers(figure, MARGIN, top, 3.2, last, limit, places <= 9, colors=MAP_COLORS)
    axes.set_title(title, size=9.5, loc="left", pad=4)
    if "largest" in head.words:
        row, column = (int(part) for part in np.unravel_index(int(last.argmax()), last.shape))
        outline(axes, (column, column + 1), (row, row + 1), ORANGE)
        write(figure, MARGIN, top + 3.3, "framed: the largest", size=9, color=GREY)
    left = MARGIN + 3.6
    lines, _ = spell_out_part(head, chosen)
    for number, (what, formula) in enumerate(lines):
        write(figure, left, top + number * 0.48, what, size=9, color=GREY)
        write(figure, left, top + number * 0.48 + 0.17, formula, weight="bold", size=11)
    base = top + 1.75
    write(figure, left, base, "the answer: all parts, added up", size=11, weight="bold")
    base += 0.3
    for what, formula in spell_out_answer(head, sort_by_part(head.by_map, SPELLED)):
        written_out = textwrap.wrap(formula, 58)
        write(figure, left, base, what, size=9, color=GREY)
        write(figure, left, base + 0.17, "\n".join(written_out), weight="bold", size=9.5)
        base += 0.25 + 0.16 * len(written_out)
    shown = sort_by_part(head.by_map, 10)
    axes = new_axes(figure, MARGIN + 9.3, top + 0.1, 1.95, 3.4)
    parts = head.by_map[shown]
    colors = [ORANGE if number == chosen else BLUE for number in shown]
    axes.barh(range(len(shown)), parts, 0.7, color=colors)
    axes.set(ylim=(len(shown) - 0.4, -0.6), xticks=[0], yticks=range(len(shown)))
    axes.set_yticklabels([f"map {number + 1}: {signed(part)}" for number, part in zip(shown, parts, strict=True)])
    axes.tick_params(length=0, labelsize=8.5)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_title("the largest parts", size=9.5, loc="left")
    if pooled:
        _draw_windows_of_pooling(figure, pooled, top + 4.0)
    return figure


def describe_pooling(subject: Subject, head: HeadParts, chosen: int) -> str:
    """Return in words the pooling that this network does."""
    model = subject.model
    taken = {
        "max": "its largest number",
        "avg": "the average of its numbers",
        "concat": "its largest number and the average of all",
    }.get(model.pooling, f"the {POOLING_MODES[model.pooling].words} of its numbers")
    strides = set(model.strides)
    if strides == {2}:
        before = "no pooling windows between its blocks: its convolutions skip every other place instead (stride 2)"
    elif model.pool_size == 1:
        before = "no pooling windows between its blocks"
        before += ", which keep the map's size" if strides == {1} else "; some of its convolutions have stride 2"
    else:
        size = f"{model.pool_size} × {model.pool_size}"
        before = f"pooling windows of {size} after each block" + (" with stride 1" if strides == {1, 2} else "")
    temperature = "" if head.temperature == 1 else " A temperature, measured on validation photos, calibrates it."
    mixed = (
        " With several kinds of photo behind a class, a weight is the average of its outputs' weights, each counted "
        "by its share of the class in this photo; the constant has the rest."
        if len(subject.network.output_classes) > 2
        else ""
    )
    return (
        f"This network has {before}. At the end, each of its {len(head.maps)} last maps, as a whole, becomes {taken}. "
        f"The head multiplies each such number by its weight and adds all up: the log odds of {subject.positive}. "
        f"This is map {chosen + 1}, whose part speaks most for the answer.{temperature}{mixed}"
    )


def describe_pooled(found: PooledMap) -> str:
    """Return in words which pooling windows are shown."""
    return (
        f"Pooling in windows of {found.size} × {found.size}, after block {found.block}: its map "
        f"{found.place.kernel + 1}"
    )


def _draw_windows_of_pooling(figure: Figure, found: PooledMap, top: float) -> None:
    """Draw how a block pools a map, and the windows around a place in numbers."""
    size, one_map = found.size, found.before
    write(figure, MARGIN, top, describe_pooled(found), weight="bold", size=11)
    top += 0.55
    limits = (0.0, float(one_map.max()) or 1.0)
    axes = show_map(figure, MARGIN, top, 2.2, one_map, f"{len(one_map)} × {len(one_map)}", limits=limits)
    row, column, count = found.piece
    down, across = ((each * size, (each + count) * size) for each in (row, column))
    outline(axes, across, down, ORANGE)
    patch = one_map[slice(*down), slice(*across)]
    axes = show_numbers(figure, MARGIN + 2.6, top, 2.2, patch, limits[1], count * size <= 8, colors=MAP_COLORS)
    axes.set_title("the framed piece", size=9.5, loc="left", pad=4)
    for edge in range(1, count):
        axes.axhline(edge * size - 0.5, color="white", linewidth=4)
        axes.axvline(edge * size - 0.5, color="white", linewidth=4)
    for number, (word, each) in enumerate(zip(found.words, found.pooled, strict=True)):
        left = MARGIN + 5.2 + number * 3.0
        values = each[row : row + count, column : column + count]
        axes = show_numbers(figure, left, top + 0.5, 1.2, values, limits[1], True, colors=MAP_COLORS)
        axes.set_title(f"{word} of each", size=9.5, loc="left", pad=4)
        show_map(figure, left + 1.35, top + 0.5, 1.2, each, f"{len(each)} × {len(each)}", limits=limits)
