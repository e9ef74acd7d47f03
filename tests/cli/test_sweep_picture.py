import pytest

from bearcnn.cli.display.sweep_picture import ASCII, BOXES, draw_settings
from bearcnn.sweep.statistics import mean_interval

ROWS = [("0", mean_interval([0.90, 0.91, 0.92])), ("0.5", mean_interval([0.94, 0.95, 0.96]))]


@pytest.mark.parametrize("signs", [BOXES, ASCII])
def test_means_and_intervals_lie_where_the_scale_says(signs):
    first, second, scale = draw_settings(ROWS, 0.91, 80, signs)
    low, high = map(float, scale.split())
    assert max(map(len, (first, second, scale))) <= 80

    def value(line: str, sign: str) -> float:
        margin = len("0.5") + 2
        return low + (line.index(sign, margin) - margin) / (80 - margin - 1) * (high - low)

    step = (high - low) / 70
    for (_, mean), line in zip(ROWS, (first, second), strict=True):
        assert mean.low is not None and mean.high is not None
        assert value(line, signs[3]) == pytest.approx(mean.mean, abs=step)
        assert value(line, signs[0]) == pytest.approx(mean.low, abs=step)
        assert low + (line.rindex(signs[2]) - 5) / 74 * (high - low) == pytest.approx(mean.high, abs=step)
    assert value(second, signs[4]) == pytest.approx(0.91, abs=step)


def test_below_three_seeds_there_are_no_intervals():
    rows = [("a", mean_interval([0.9, 0.91])), ("b", mean_interval([0.93, 0.95]))]
    assert not set("".join(draw_settings(rows, 0.905, 60))) & {BOXES[0], BOXES[1], BOXES[2]}


def test_equal_means_and_long_names_are_drawn_as_well():
    same = mean_interval([0.9])
    lines = draw_settings([("pooling max, kernel_size 3, stride 1", same), ("b", same)], 0.9, 60)
    assert all(len(line) <= 60 for line in lines)
    assert lines[0].startswith("pooling max, kernel_s...")
    assert lines[0].index(BOXES[3]) == lines[1].index(BOXES[3])
