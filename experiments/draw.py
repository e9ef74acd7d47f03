"""Draw the picture of a finding from its kept results: changes from a baseline, or accuracy against cost.

    python experiments/draw.py pooling --title "Average pooling is worse than max" --out pooling.png

Results are experiments/results/NAME.json, written by the experiment. The title says the finding, so whoever has new
results writes it anew in docs/pictures/pictures.toml. Up is better in every panel. Thin lines are single seeds: all
settings of a seed have the same photos in the same order. Results without them show intervals alone.
"""

import argparse
import json
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bearcnn.plotting import BLACK, BLUE, GREEN, ORANGE

RESULTS = Path(__file__).resolve().parent / "results"
SERIES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), ("#CC79A7", "D"), (BLACK, "v"))
SCORES = {"valid.roc_auc": "change of validation AUC", "train.log_loss": "change of training loss"}
LOSSES = ("train.log_loss", "valid.log_loss")
TICKS = [digit * 10**power for power in range(4) for digit in (1, 3)]
Point = dict[str, Any]


def main() -> None:
    """Draw one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of a file in experiments/results, without .json")
    parser.add_argument("--title", required=True, help="the finding, in one sentence")
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    content = json.loads((RESULTS / f"{options.name}.json").read_text(encoding="utf-8"))
    draw = draw_cost if "cost" in content["points"][0] else draw_changes
    figure = draw(plt, content, options.title)
    figure.savefig(options.out, dpi=110, metadata={"Software": None})
    plt.close(figure)


def draw_changes(plt: Any, content: dict[str, Any], title: str) -> Any:
    """Draw changes from a baseline with 95% intervals: a column per panel, a row per score, a colour per series."""
    points: list[Point] = content["points"]
    panels, scores = _unique(points, "panel"), [score for score in SCORES if score in _unique(points, "score")]
    width = max(6.0, 1.2 + 2.5 * len(panels))
    figure, grid = plt.subplots(
        len(scores),
        len(panels),
        figsize=(width, 1.5 + 2.5 * len(scores)),
        layout="constrained",
        sharey="row",
        sharex="col",
        squeeze=False,
    )
    names = _unique(points, "series")
    for row, score in enumerate(scores):
        for column, panel in enumerate(panels):
            axes = grid[row, column]
            own = [point for point in points if point["panel"] == panel and point["score"] == score]
            ticks = [own[0]["against"], *_unique(own, "x")]
            axes.axhline(0, color="grey", linewidth=1)
            axes.plot(0, 0, "o", color="grey", markersize=5)
            for number, name in enumerate(names):
                color, marker = SERIES[number % len(SERIES)]
                found = [point for point in own if point["series"] == name]
                shift = 0.16 * (number - (len(names) - 1) / 2)
                places = [ticks.index(point["x"]) + shift for point in found]
                for line in zip(*(point["by_seed"] for point in found), strict=True):
                    axes.plot([0, *places], [0, *line], color=color, alpha=0.3, linewidth=0.7)
                _mark(axes, places, found, color=color, marker=marker, linestyle="", label=name)
            axes.set_xticks(range(len(ticks)), ticks)
            axes.set_xlim(-0.5, len(ticks) - 0.5)
            axes.grid(alpha=0.25)
            if row == 0 and panel:
                axes.set_title(panel, fontsize=11)
            if row == len(scores) - 1:
                axes.set_xlabel(content["axis"])
        if score in LOSSES:
            grid[row, 0].invert_yaxis()  # up is better
        _name_axis(grid[row, 0], SCORES[score])
    if len(names) > 1:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=len(names), frameon=False, fontsize=9)
    _set_title(figure, title, content, width)
    return figure


def draw_cost(plt: Any, content: dict[str, Any], title: str) -> Any:
    """Draw validation AUC with 95% intervals against the multiply-adds for one picture: a colour per series."""
    points: list[Point] = content["points"]
    width = 7.5
    figure, axes = plt.subplots(figsize=(width, 4.6), layout="constrained")
    for number, name in enumerate(_unique(points, "series")):
        color, marker = SERIES[number % len(SERIES)]
        found = [point for point in points if point["series"] == name]
        places = [point["cost"] for point in found]
        for line in zip(*(point["by_seed"] for point in found), strict=True):
            axes.plot(places, line, color=color, alpha=0.3, linewidth=0.7)
        _mark(axes, places, found, color=color, marker=marker, linestyle="-", label=name)
        for point, following in zip_longest(found, found[1:]):
            away = -14 if following and following["mean"] > point["mean"] else 6  # from the line
            at = (point["cost"], point["mean"])
            axes.annotate(f"{point['x']} × {point['x']}", at, (6, away), textcoords="offset points", color=color)
    axes.set(xscale="log", xlabel=content["axis"])
    costs = [point["cost"] for point in points]
    axes.set_xticks([tick for tick in TICKS if min(costs) <= tick * 1.1 and tick <= max(costs) * 1.1])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.12)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    _name_axis(axes, "validation AUC")
    _set_title(figure, title, content, width)
    return figure


def _mark(axes: Any, places: Sequence[float], points: Sequence[Point], **style: Any) -> None:
    middle = [point["mean"] for point in points]
    reach = [max(0.0, (point["mean"] if point["high"] is None else point["high"]) - point["mean"]) for point in points]
    axes.errorbar(places, middle, reach, capsize=3, markersize=6, linewidth=1.2, elinewidth=1.4, **style)


def _name_axis(axes: Any, name: str) -> None:
    axes.set_ylabel(f"← worse        better →\n{name}", fontsize=10)


def _set_title(figure: Any, title: str, content: dict[str, Any], width: float) -> None:
    lines = textwrap.wrap(title, round(width * 9.4))
    kept = any(point["by_seed"] for point in content["points"])
    note = f"mean of {content['seeds']} seeds, 95% interval" + ("; thin lines: single seeds" if kept else "")
    figure.suptitle("\n".join(lines), fontsize=12, fontweight="bold", x=0.02, ha="left")
    figure.text(0.99, 0.005, note, ha="right", va="bottom", fontsize=8, color="#555555")


def _unique(points: Sequence[Point], key: str) -> list[Any]:
    return list(dict.fromkeys(point[key] for point in points))


if __name__ == "__main__":
    main()
