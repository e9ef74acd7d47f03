"""Figures made of text, pictures and grids of numbers, all of one width: they stack, or stand alone.

Places are given in inches from the top left corner.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

WIDTH, MARGIN, DPI = 12.0, 0.4, 120  # inches, inches, pixels per inch
GREY = "#555555"
MAP_COLORS = "viridis"  # even steps of brightness, also for the colour-blind
SIGNED_COLORS = "PuOr_r"  # orange above zero, violet below
LINE = 0.19  # of text, in inches
PLATE = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.2}  # behind text on a picture


def stack(figures: Sequence[Figure], caption: str = "") -> Image.Image:
    """Stack figures in one RGB picture, numbered if there are several; the caption stands below each."""
    images = []
    for number, figure in enumerate(figures, 1):
        if len(figures) > 1:
            figure.texts[0].set_text(f"{number}. {figure.texts[0].get_text()}")
        if caption:
            lines = textwrap.wrap(caption, 165)
            bottom = figure.get_size_inches()[1] - 0.12
            write(figure, MARGIN, bottom, "\n".join(lines[:2]), size=8.5, color=GREY, va="bottom", linespacing=1.3)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    page = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), "white")
    top = 0
    for image in images:
        page.paste(image, (0, top))
        if top:
            page.paste((0xDD, 0xDD, 0xDD), (round(MARGIN * DPI), top, page.width - round(MARGIN * DPI), top + 2))
        top += image.height
    return page


def tile(maps: NDArray[np.float32], gap: int = 1, across: int = 0) -> NDArray[np.float32]:
    """Tile maps (n, rows, columns) in a sheet with so many across, or a near-square one; NaN between them."""
    count, rows, columns = maps.shape
    across = across or int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    sheet = np.full((down * (rows + gap) - gap, across * (columns + gap) - gap), np.nan, np.float32)
    for number, one in enumerate(maps):
        top, left = number // across * (rows + gap), number % across * (columns + gap)
        sheet[top : top + rows, left : left + columns] = one
    return sheet


def fill_rectangle(count: int, parts: int = 1) -> int:
    """Choose how many of `count` cells lie side by side: they fill a rectangle about twice as wide as high.

    Each of `parts` equal parts of the cells fills whole rows.
    """
    widths = [width for width in range(1, count + 1) if count // parts % width == 0]
    return min(widths, key=lambda width: abs(np.log(width * width / (2 * count))))


def new_page(title: str, text: str, height: float) -> tuple[Figure, float]:
    """Build a figure with a heading and `height` inches below it; return it with the top of that space, in inches."""
    lines = textwrap.wrap(text, 138)
    top = 0.75 + len(lines) * LINE * 1.15 + 0.4
    figure = Figure(figsize=(WIDTH, top + height + 0.55), dpi=DPI, facecolor="white")
    write(figure, MARGIN, 0.35, title, size=16, weight="bold")
    write(figure, MARGIN, 0.75, "\n".join(lines), size=10.5, linespacing=1.35)
    return figure, top


def place(figure: Figure, left: float, top: float) -> tuple[float, float]:
    """Convert a place in inches to matplotlib's shares of the figure, (x, y)."""
    width, height = figure.get_size_inches()
    return left / width, 1 - top / height


def write(figure: Figure, left: float, top: float, text: str, **style: Any) -> None:
    """Write text below and to the right of a place; a dollar sign in it is one."""
    figure.text(*place(figure, left, top), text, **{"va": "top", "size": 10.5, "parse_math": False, **style})


def new_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes with a place and a size in inches."""
    x, y = place(figure, left, top + height)
    return figure.add_axes((x, y, width / figure.get_size_inches()[0], height / figure.get_size_inches()[1]))


def show_picture(figure: Figure, left: float, top: float, side: float, image: NDArray[Any], title: str = "") -> Axes:
    """Draw a picture (rows, columns, 3) in a square, pixel by pixel."""
    axes = new_axes(figure, left, top, side, side)
    axes.imshow(image, interpolation="nearest")
    return finish(axes, title)


def show_map(
    figure: Figure,
    left: float,
    top: float,
    side: float,
    values: NDArray[Any],
    title: str = "",
    colors: str = MAP_COLORS,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Draw a map (rows, columns) in a square, by colour; `limits` are the values of the darkest and the brightest."""
    axes = new_axes(figure, left, top, side, side)
    low, high = limits or (None, None)
    axes.set_facecolor("#E4E4E4")  # where there is no map
    axes.imshow(values, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
    return finish(axes, title)


def show_numbers(
    figure: Figure,
    left: float,
    top: float,
    side: float,
    values: NDArray[np.float32],
    limit: float,
    written: bool,
    colors: str = SIGNED_COLORS,
) -> Axes:
    """Draw a matrix as coloured cells, with its numbers in them if `written`."""
    axes = new_axes(figure, left, top, side, side)
    signed = colors == SIGNED_COLORS
    image = axes.imshow(values, cmap=colors, vmin=-1.6 * limit if signed else 0, vmax=1.6 * limit if signed else limit)
    cell = 72 * side / values.shape[1]  # in points
    for (row, column), value in np.ndenumerate(values) if written else ():
        red, green, blue, _ = image.cmap(float(np.asarray(image.norm(np.asarray(value)))))
        color = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.45 else "white"
        axes.text(column, row, plain(value), size=min(11, cell / 3.6), ha="center", va="center", color=color)
    return finish(axes, "")


def finish(axes: Axes, title: str) -> Axes:
    """Remove the ticks, make the frame thin, and set the title."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#999999")
        spine.set_linewidth(0.6)
    if title:
        set_title(axes, title)
    return axes


def set_title(axes: Axes, title: str, color: str = "black") -> None:
    """Write a title above the left edge."""
    axes.set_title(title, size=9.5, loc="left", pad=4, color=color)


def outline(axes: Axes, columns: tuple[int, int], rows: tuple[int, int], color: str) -> None:
    """Draw a frame around pixels [low, high) of a picture, clipped to it."""
    values = axes.images[0].get_array()
    assert values is not None
    height, width = values.shape[:2]
    left, right = max(columns[0], 0) - 0.5, min(columns[1], width) - 0.5
    top, bottom = max(rows[0], 0) - 0.5, min(rows[1], height) - 0.5
    for line, tint in ((4.5, "white"), (2.2, color)):
        axes.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor=tint, linewidth=line, clip_on=False
            )
        )


def plain(value: float | np.floating[Any]) -> str:
    """Format a number with two decimals and a real minus."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
