"""Numbers as text, with one precision for the command line, the report and the notes.

Percentages have one decimal below 10% and none above; scores have three decimals. Rounding never makes a number certain
(100%, 1.000) or impossible (0%, 0.000) unless it is.
"""

import math


def percent(value: float | None) -> str:
    """Return a share as `97%`, `3.4%`, `>99%`, `<0.1%`."""
    if value is None or math.isnan(value):
        return "undefined"
    if value in (0, 1):
        return f"{value * 100:.0f}%"
    text = f"{value * 100:.{0 if value >= 0.0995 else 1}f}"
    if value < 1 and float(text) == 100:
        return ">99%"
    if value > 0 and float(text) == 0:
        return "<0.1%"
    return f"{text}%"


def target_percent(value: float) -> str:
    """Return a share that was given, not measured, with the digits that it was given with: `98%`, `99.5%`."""
    return f"{value * 100:.4g}%"


def decimal(value: float | None) -> str:
    """Return a score as `0.943`, `>0.999`, `<0.001`."""
    if value is None or math.isnan(value):
        return "undefined"
    text = f"{value:.3f}"
    if value < 1 and float(text) == 1:
        return ">0.999"
    if value > 0 and float(text) == 0:
        return "<0.001"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float | None) -> str:
    """Return a difference of scores as `+0.012`, and as `0.000` where nothing is left of it."""
    if value is None or math.isnan(value):
        return "undefined"
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def count(value: float | None) -> str:
    """Return a number of things that is an average, such as alerts per day: `4.2`, `53`, `1,204`."""
    return "undefined" if value is None else f"{value:,.{0 if value >= 9.95 else 1}f}"


def per_thousand(value: float | None) -> str:
    """Return a share as a number of 1,000 photos."""
    return "undefined" if value is None else f"{math.floor(value * 1000 + 0.5 + 1e-9):,}"
