import pytest

from bearcnn.evaluation.intervals import UNDEFINED, Estimate
from bearcnn.report.svg import STYLES, Axis, Dot, Mark, Series, draw_histogram, draw_lines, draw_whisker, nice_range


def test_charts_place_their_points_and_escape_their_names() -> None:
    axis = Axis("x", 0, 1)
    chart = str(
        draw_lines("<t>", "d", axis, axis, [Series("<s>", [0, 1], [0, 1], STYLES[0])], [Dot(1, 0, "", "first")])
    )
    assert 'points="46.0,190.0 352.0,10.0"' in chart and 'cx="352.0" cy="190.0"' in chart
    assert "<t>" not in chart and "&lt;s&gt;" in chart
    assert "None" not in str(draw_lines("t", "d", axis, axis, [Series("s", [0, 1, 2], [0.5, None, 0.2], "first")]))
    bars = str(
        draw_histogram("t", "d", axis, [0.5, 0.5], [1.0, 0.0], ("a", "b"), Mark(Estimate(0.5, 0.5, 0.5), "threshold"))
    )
    assert bars.count("<rect") == 4
    assert str(draw_whisker(None, None, None, "")) == ""
    assert 'cx="60.0"' in str(draw_whisker(0.5, 0.2, 0.8, "half"))


@pytest.mark.parametrize(("values", "expected"), [([0.2, 0.71], (0.2, 0.8)), ([3.0], (2.5, 3.5)), ([], (0.0, 1.0))])
def test_axes_hold_their_values_and_end_on_round_numbers(values, expected) -> None:
    assert nice_range(values) == pytest.approx(expected)


def test_a_mark_stands_at_its_estimates_and_hides_where_one_is_undefined() -> None:
    axis = Axis("x", 0, 1)
    half = Estimate(0.5, 0.25, 0.75)
    chart = str(draw_lines("t", "d", axis, axis, mark=Mark(half, "recall", half, "precision")))
    assert '<g class="mark" data-x="recall" data-y="precision" data-scale="46 352 0 1 190 10 0 1">' in chart
    assert 'cx="199.0" cy="100.0"' in chart and 'x1="122.5" y1="100.0" x2="275.5"' in chart
    hidden = str(draw_lines("t", "d", axis, axis, mark=Mark(half, "recall", UNDEFINED, "precision")))
    assert '<g class="mark" display="none"' in hidden
