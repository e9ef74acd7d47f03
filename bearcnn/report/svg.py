"""Small SVG charts, coloured by the page's style sheet, light or dark.

Colours are CSS classes (`first`, `second`, ...) that the colour-blind can tell apart; lines differ in their dashes,
too. Screen readers read a chart's title and description.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bearcnn.evaluation.intervals import UNDEFINED, Estimate

AT_THRESHOLD = "at the threshold"
"""The legend's words for what the slider moves."""

STYLES = ("first", "second", "third", "fourth", "fifth", "sixth")

_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 352, 10, 190
_LABEL = 6.8  # width of a letter, in the chart's units


@dataclass(frozen=True, slots=True)
class Series:
    """A line with its name for the legend; points that are None are skipped."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    style: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A marked point, with intervals along x and y if given."""

    x: float
    y: float
    name: str
    style: str
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A point, or a vertical line without a `y`, that the page's slider moves: estimates and their names in the page.

    A number without an interval has it as both ends. What is undefined is not drawn until it is defined.
    """

    x: Estimate
    x_name: str
    y: Estimate = UNDEFINED
    y_name: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis, with its label and its ends."""

    label: str
    low: float
    high: float
    percent: bool = False


def draw_lines(
    title: str,
    description: str,
    x: Axis,
    y: Axis,
    series: Sequence[Series] = (),
    dots: Sequence[Dot] = (),
    diagonal: bool = False,
    upright: float | None = None,
    mark: Mark | None = None,
) -> Markup:
    """Draw lines and points over two axes, with a dashed diagonal and a dashed vertical line at `upright` if given."""
    across, up = _scale(x, _LEFT, _RIGHT), _scale(y, _BOTTOM, _TOP)
    parts = [_grid(x, y, across, up)]
    if diagonal:
        parts.append(_line(across(x.low), up(y.low), across(x.high), up(y.high), "guide"))
    if upright is not None:
        parts.append(_line(across(upright), _TOP, across(upright), _BOTTOM, "guide"))
    for each in series:
        places = [(across(a), up(b)) for a, b in zip(each.xs, each.ys, strict=True) if b is not None]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(each.style, points))
        if len(places) == 1:
            parts.append(_circle(*places[0], 3, each.style, False))
    parts += [_draw_dot(dot, across, up) for dot in dots]
    names = [(each.name, each.style, True) for each in series if each.name]
    names += list(
        dict.fromkeys((dot.name, dot.style + (" hollow" if dot.hollow else ""), False) for dot in dots if dot.name)
    )
    if mark is not None:
        parts.append(_draw_mark(mark, x, y))
        names.append((AT_THRESHOLD, "guide" if not mark.y_name else STYLES[1], not mark.y_name))
    return _frame(title, description, x.label, y.label, parts, names)


def draw_histogram(
    title: str,
    description: str,
    x: Axis,
    upper: Sequence[float],
    lower: Sequence[float],
    names: tuple[str, str],
    mark: Mark,
) -> Markup:
    """Draw a histogram of two classes, one above and one below the axis, with a vertical line."""
    highest = max([*upper, *lower, 0.01])
    y = Axis("share of their photos", -highest, highest, percent=True)
    across, up = _scale(x, _LEFT, _RIGHT), _scale(y, _BOTTOM, _TOP)
    width = (x.high - x.low) / len(upper)
    parts = [_grid(x, y, across, up)]
    for style, shares, sign in ((STYLES[0], upper, 1), (STYLES[1], lower, -1)):
        for number, share in enumerate(shares):
            left, top, bottom = across(x.low + number * width), up(max(0, sign * share)), up(min(0, sign * share))
            parts.append(
                Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    style, left + 0.7, top, across(x.low + width) - _LEFT - 1.4, bottom - top
                )
            )
    parts.append(_line(_LEFT, up(0), _RIGHT, up(0), "axis"))
    parts.append(_draw_mark(mark, x, y))
    legend = [
        (f"{names[0]} (up)", f"{STYLES[0]} filled", False),
        (f"{names[1]} (down)", f"{STYLES[1]} filled", False),
        (AT_THRESHOLD, "guide", True),
    ]
    return _frame(title, description, x.label, y.label, parts, legend)


def draw_whisker(value: float | None, low: float | None, high: float | None, description: str) -> Markup:
    """Draw a share between 0 and 1 as a dot with its interval, for a cell of a table."""
    if value is None or low is None or high is None:
        return Markup("")
    return Markup(
        '<svg class="whisker" viewBox="0 0 120 14" role="img" aria-label="{}">'
        '<line class="axis" x1="4" y1="7" x2="116" y2="7"/>'
        '<line class="range first" x1="{:.1f}" y1="7" x2="{:.1f}" y2="7"/>'
        '<circle class="dot first" cx="{:.1f}" cy="7" r="4"/></svg>'
    ).format(description, 4 + 112 * low, 4 + 112 * high, 4 + 112 * value)


def nice_range(values: Sequence[float], low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return round ends of an axis around all values; a given end is kept."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    first, last = (min(finite) if low is None else low), (max(finite) if high is None else high)
    if last - first < 1e-9:
        first, last = (first if low is not None else first - 0.5), (last if high is not None else last + 0.5)
    step = _step(last - first)
    return (
        first if low is not None else math.floor(first / step + 1e-9) * step,
        last if high is not None else math.ceil(last / step - 1e-9) * step,
    )


def _scale(axis: Axis, start: float, end: float) -> Callable[[float], float]:
    span = (axis.high - axis.low) or 1.0
    return lambda value: start + (min(max(value, axis.low), axis.high) - axis.low) / span * (end - start)


def _step(span: float) -> float:
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def _grid(x: Axis, y: Axis, across: Callable[[float], float], up: Callable[[float], float]) -> Markup:
    parts = []
    for value in _ticks(y):
        parts.append(_line(_LEFT, up(value), _RIGHT, up(value), "grid"))
        # A histogram's lower half counts downwards.
        parts.append(_text(_LEFT - 5, up(value) + 4, _format(abs(value) if y.low == -y.high else value, y), "end"))
    for value in _ticks(x):
        anchor = "end" if across(value) > _RIGHT - 8 else "middle"
        parts.append(_text(across(value), _BOTTOM + 14, _format(value, x), anchor))
    parts.append(_line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"))
    return Markup("").join(parts)


def _ticks(axis: Axis) -> list[float]:
    step = _step(axis.high - axis.low)
    first = math.ceil(axis.low / step - 1e-9)
    return [number * step for number in range(first, math.floor(axis.high / step + 1e-9) + 1)]


def _format(value: float, axis: Axis) -> str:
    return f"{value * 100:.3g}%" if axis.percent else f"{value:.4g}"


def _frame(
    title: str, description: str, x: str, y: str, parts: list[Markup], names: list[tuple[str, str, bool]]
) -> Markup:
    rows: list[list[tuple[str, str, bool, float]]] = [[]]
    place = float(_LEFT)
    for name, style, is_line in names:
        width = 26 + _LABEL * len(name)
        if rows[-1] and place + width > _RIGHT:
            rows.append([])
            place = _LEFT
        rows[-1].append((name, style, is_line, place))
        place += width + 8
    height = _HEIGHT + (18 * len(rows) if names else 0)
    legend = []
    for number, row in enumerate(rows):
        middle = _HEIGHT + 18 * number + 6
        for name, style, is_line, left in row:
            mark = (
                _line(left, middle, left + 18, middle, f"line {style}")
                if is_line
                else _circle(left + 9, middle, 4.5, style, False)
            )
            legend += [mark, _text(left + 23, middle + 4, name, "start")]
    return Markup(
        '<figure class="chart"><figcaption>{}</figcaption>'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><desc>{}</desc>{}{}{}{}</svg></figure>'
    ).format(
        title,
        _WIDTH,
        height,
        f"{title}. {description}",
        description,
        Markup("").join(parts),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 30, x, "middle"),
        Markup('<text transform="translate(11 {:.0f}) rotate(-90)" text-anchor="middle">{}</text>').format(
            (_TOP + _BOTTOM) / 2, y
        ),
        Markup("").join(legend),
    )


def _draw_dot(dot: Dot, across: Callable[[float], float], up: Callable[[float], float]) -> Markup:
    parts = []
    if dot.x_interval:
        parts.append(
            _line(across(dot.x_interval[0]), up(dot.y), across(dot.x_interval[1]), up(dot.y), f"range {dot.style}")
        )
    if dot.y_interval:
        parts.append(
            _line(across(dot.x), up(dot.y_interval[0]), across(dot.x), up(dot.y_interval[1]), f"range {dot.style}")
        )
    return Markup("").join([*parts, _circle(across(dot.x), up(dot.y), 4.5, dot.style, dot.hollow)])


def _draw_mark(mark: Mark, x: Axis, y: Axis) -> Markup:
    across, up = _scale(x, _LEFT, _RIGHT), _scale(y, _BOTTOM, _TOP)
    scale = f"{_LEFT} {_RIGHT} {x.low} {x.high} {_BOTTOM} {_TOP} {y.low} {y.high}"
    at_x, at_y = _place(mark.x, across), _place(mark.y, up)
    if mark.y_name:
        (low, middle, high), (bottom, height, top) = at_x, at_y
        drawn = [
            _line(low, height, high, height, f"range {STYLES[1]}"),
            _line(middle, bottom, middle, top, f"range {STYLES[1]}"),
            _circle(middle, height, 4.5, STYLES[1], False),
        ]
    else:
        drawn = [_line(at_x[1], _TOP, at_x[1], _BOTTOM, "guide")]
    undefined = mark.x.value is None or (bool(mark.y_name) and mark.y.value is None)
    return Markup('<g class="mark"{} data-x="{}" data-y="{}" data-scale="{}">{}</g>').format(
        Markup(' display="none"') if undefined else "", mark.x_name, mark.y_name, scale, Markup("").join(drawn)
    )


def _place(estimate: Estimate, scale: Callable[[float], float]) -> tuple[float, float, float]:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return 0.0, 0.0, 0.0
    return scale(estimate.low), scale(estimate.value), scale(estimate.high)


def _circle(x: float, y: float, radius: float, style: str, hollow: bool) -> Markup:
    return Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
        f"{style} hollow" if hollow else style, x, y, radius
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, escape(text))
