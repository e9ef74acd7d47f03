"""The picture of a learning curve."""

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from bearcnn.evaluation.formats import decimal, target_percent
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.learning_curve import FALSE_ALARMS, LearningCurve
from bearcnn.plotting import BLACK, BLUE, ORANGE


def draw_curve(curve: LearningCurve) -> bytes:
    """Draw AUC and recall against the number of training photos as a PNG, with the curve up to twice as many.

    A dot is a training run; a larger mark is the mean of a size's runs with its 95% interval.
    """
    points, guess = curve.points, curve.extrapolation
    photos = [point.photos for point in points]
    ticks = [*photos, guess.photos] if guess else photos
    with matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(9, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for point in points:
            left.plot([point.photos] * point.runs, point.aucs, ".", color=BLUE, alpha=0.4, markersize=5)
        _draw(left, photos, [point.roc_auc for point in points], BLUE, "o", "measured")
        if guess:
            at, line, low, high = zip(*guess.band, strict=True)
            left.plot(at, line, color=ORANGE, linewidth=1.4, zorder=1)
            left.fill_between(at, low, high, color=ORANGE, alpha=0.15, linewidth=0, label="power law, 95% band")
            _draw(
                left,
                [guess.photos],
                [guess.roc_auc],
                ORANGE,
                "D",
                f"a guess for twice as many: {decimal(guess.roc_auc.value)}",
            )
        left.set(title="ROC AUC", xlabel="training photos")
        left.legend(frameon=False, loc="lower right")
        _draw(right, photos, [point.recall for point in points], BLACK, "s", "")
        right.set(title=f"recall at {target_percent(FALSE_ALARMS)} false alarms", xlabel="training photos")
        for axes in (left, right):
            axes.set_xscale("log")
            shown = ticks if axes is left else photos
            axes.set_xticks(shown, [f"{number:,}" for number in shown], rotation=0 if len(shown) <= 6 else 45)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3)
        runs = max(point.runs for point in points)
        figure.suptitle(
            f"Would more photos help? {runs} runs of each size, {curve.validation_photos:,} validation photos\n"
            "dots: training runs; marks: means with 95% intervals over photos and seeds",
            fontsize=10,
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _draw(axes: Any, photos: list[int], values: list[Estimate], color: str, marker: str, label: str) -> None:
    middle = [value.value for value in values]
    reach = [
        [0.0 if end is None or value.value is None else abs(end - value.value) for value, end in ends]
        for ends in ([(value, value.low) for value in values], [(value, value.high) for value in values])
    ]
    axes.errorbar(
        photos,
        middle,
        reach,
        color=color,
        marker=marker,
        markersize=6,
        capsize=3,
        linestyle="" if label else "-",
        linewidth=1.2,
        elinewidth=1.2,
        label=label or None,
    )
