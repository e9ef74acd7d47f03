import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from bearcnn.explain import answer_figures, figures
from bearcnn.explain.canvas import fill_rectangle, tile
from bearcnn.explain.dropout import try_dropout
from tests.helpers.subjects import make_lesson


@given(half=st.integers(1, 600), parts=st.sampled_from([1, 2]))
def test_cells_fill_a_rectangle_and_each_part_fills_whole_rows(half, parts):
    across = fill_rectangle(parts * half, parts)
    sheet = tile(np.ones((parts * half, 1, 1), np.float32), 0, across)
    assert not np.isnan(sheet).any(), "no cell looks dropped that is none"
    assert sheet.shape[0] % parts == 0


def test_the_features_of_the_default_network_are_16_rows_of_32():
    assert fill_rectangle(512, 2) == 32


def test_the_picture_of_dropout_names_the_halves_of_concat_pooling():
    lesson = make_lesson("default")
    figure = answer_figures.draw_dropout(lesson.subject, try_dropout(lesson.subject, masks=3), lesson.traced)
    named = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert named.count(["max", "average"]) == 4  # without a mask, and under three
    assert "at rate 0.5 it counts double" in " ".join(figure.texts[1].get_text().split())


def test_red_green_and_blue_have_titles_in_their_colours():
    lesson = make_lesson("default")
    figure = figures.draw_photo(lesson.subject, lesson.traced)
    titles = {axes.get_title(loc="left"): axes for axes in figure.axes}
    for number, name in enumerate(("red", "green", "blue")):
        color = to_rgb(titles[f"its {name}"]._left_title.get_color())
        assert int(np.argmax(color)) == number
        assert max(color) > 0.4


@pytest.mark.parametrize("kind", ["default", "dots"])
def test_the_picture_of_windows_calls_a_score_a_clue(kind):
    lesson = make_lesson(kind)
    figure = answer_figures.draw_windows(lesson.subject, lesson.windows)
    said = " ".join(figure.texts[1].get_text().split())
    assert "a window's score is a clue, not a measurement" in said
    assert "the frame is all that the best window sees" in said
