"""A picture of a sweep in text: the mean of each setting and its interval, on one scale."""

from collections.abc import Sequence

from bearcnn.evaluation.formats import decimal
from bearcnn.sweep.statistics import Mean

LEAST_SEEDS = 3
"""Seeds from which intervals are shown: one of two seeds spans twelve standard errors, and would only confuse."""

_WIDEST_LABEL = 24
_NARROWEST_SCALE = 0.01

Signs = tuple[str, str, str, str, str, str]
"""The left end of an interval, its line, its right end, the mean, the baseline, and the baseline in an interval."""

BOXES: Signs = ("├", "─", "┤", "●", "┊", "┼")
ASCII: Signs = ("|", "-", "|", "o", ":", "+")


def draw_settings(rows: Sequence[tuple[str, Mean]], baseline: float, width: int, signs: Signs = BOXES) -> list[str]:
    """Draw the means of some settings as lines of text.

    Args:
        rows: each setting's label and mean.
        baseline: the mean that the others are compared with.
        width: columns of the whole picture.
        signs: to draw with.
    """
    ranges = [_range(mean) for _, mean in rows]
    low, high = min([baseline, *(low for low, _, _ in ranges)]), max([baseline, *(high for _, _, high in ranges)])
    middle, half = (low + high) / 2, max(high - low, _NARROWEST_SCALE) / 2
    low, high = middle - half, middle + half
    margin = min(_WIDEST_LABEL, max(len(label) for label, _ in rows)) + 2
    columns = width - margin

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (columns - 1))

    lines = []
    for (label, _), (left, mean, right) in zip(rows, ranges, strict=True):
        cells = [" "] * columns
        if right > left:
            cells[place(left) : place(right) + 1] = signs[1] * (place(right) - place(left) + 1)
            cells[place(left)], cells[place(right)] = signs[0], signs[2]
        cells[place(baseline)] = signs[4] if cells[place(baseline)] == " " else signs[5]
        cells[place(mean)] = signs[3]
        lines.append(f"{_shorten(label):{margin}}{''.join(cells)}".rstrip())
    ends = decimal(low), decimal(high)
    return [*lines, " " * margin + ends[0] + ends[1].rjust(columns - len(ends[0]))]


def _range(mean: Mean) -> tuple[float, float, float]:
    assert mean.mean is not None, "a setting without a trial is not in the analysis"
    if mean.n < LEAST_SEEDS or mean.low is None or mean.high is None:
        return mean.mean, mean.mean, mean.mean
    return mean.low, mean.mean, mean.high


def _shorten(label: str) -> str:
    return label if len(label) <= _WIDEST_LABEL else f"{label[: _WIDEST_LABEL - 3]}..."
