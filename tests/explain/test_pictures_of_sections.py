"""One picture, whatever the network; what it says, frames and names is what was computed."""

import numpy as np
import pytest

import bearcnn
from bearcnn.errors import BearcnnError, ModelFileError, PhotoError, RunError
from bearcnn.explain.canvas import plain, stack
from bearcnn.explain.explain import SECTIONS, draw, explain, open_lesson, summarize
from bearcnn.explain.subject import Focus
from bearcnn.model.load import find_weights
from tests.helpers.subjects import VARIANTS, make_lesson


def words(figure) -> str:
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    titles = [title for axes in figure.axes for title in (axes.get_title(), axes.get_title(loc="left"))]
    return " ".join(" ".join([*(text.get_text() for text in texts), *titles]).split())


@pytest.mark.slow  # makes every picture of eight networks
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_part_can_be_made_of_every_network(name):
    lesson = make_lesson(name)
    for section in SECTIONS.values():
        assert section(lesson).texts


@pytest.mark.slow  # draws every picture of two networks
@pytest.mark.parametrize("name", ["both", "wide"])
def test_every_part_is_drawn_whole(name):
    lesson = make_lesson(name)
    figures = [section(lesson) for section in SECTIONS.values()]
    whose = lesson.subject.describe()
    with stack(figures, whose) as image:
        assert image.mode == "RGB"
        assert image.width == 1440
    assert [figure.texts[0].get_text().partition(".")[0] for figure in figures] == [
        str(number) for number in range(1, len(SECTIONS) + 1)
    ]
    for name, figure in zip(SECTIONS, figures, strict=True):
        assert whose in words(figure), name
        width, height = figure.get_size_inches()
        for part in [*figure.texts, *figure.axes]:  # nothing is cut off at the edge
            box = part.get_tightbbox() if part in figure.axes else part.get_window_extent()
            if box is not None:
                assert 0 <= box.x0 < box.x1 <= width * figure.dpi, (name, part)
                assert 0 <= box.y0 < box.y1 <= height * figure.dpi, (name, part)


def test_a_picture_says_whose_it_is():
    lesson = make_lesson("default")
    said = lesson.subject.describe()
    called = "bear" if lesson.subject.answer() >= 0.5 else "not_bear"
    assert said == (
        f"Answer: {called} (bear {lesson.subject.answer():.3f}) · photo photo.jpg · model brightness: 2 blocks of 4, 6 "
        "maps · 24 × 24 pixels · run run-7"
    )


def test_dots_lie_on_the_places_that_stride_2_visits():
    lesson = make_lesson("default", size=64)
    figure = SECTIONS["stride"](lesson)
    dotted = next(axes for axes in figure.axes if axes.lines)
    places = set(zip(*(each.tolist() for each in dotted.lines[0].get_data()), strict=True))
    assert places == {(x, y) for x in range(0, 12, 2) for y in range(0, 12, 2)}
    values = np.asarray(dotted.images[0].get_array())
    beside = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert values[::2, ::2] == pytest.approx(beside[2], abs=1e-5)
    assert [each.shape for each in (beside[0], beside[3])] == [(64, 64), (32, 32)]
    assert "stride 1: 64 × 64" in words(figure) and "stride 2: 32 × 32" in words(figure)


def test_the_matrix_product_prints_the_numbers_of_the_maps():
    lesson = make_lesson("default")
    figure = SECTIONS["matrix-product"](lesson)
    printed = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert printed == [plain(value) for value in lesson.product.product.ravel()]
    assert "(144 × 27) · (27 × 4) = 144 × 4 numbers" in words(figure)


def test_kernels_are_numbered_and_sorted_by_what_they_contribute():
    lesson = make_lesson("default")
    titles = [axes.get_title(loc="left") for axes in SECTIONS["kernels"](lesson).axes]
    numbers = [int(title.partition(":")[0]) - 1 for title in titles if ":" in title][:4]
    parts = lesson.traced.convolved[0].by_map
    assert sorted(numbers) == [0, 1, 2, 3]
    assert list(parts[numbers]) == sorted(parts, reverse=True)


def test_pooling_shows_windows_only_where_the_network_has_them():
    assert "Pooling in windows of 2 × 2, after block 1" in words(SECTIONS["pooling"](make_lesson("max")))
    assert "Pooling in windows of 3 × 3, after block 1" in words(SECTIONS["pooling"](make_lesson("avg")))
    for name in ("default", "mixed"):
        said = words(SECTIONS["pooling"](make_lesson(name)))
        assert "no pooling windows between its blocks" in said
        assert "Pooling in windows" not in said


def test_a_given_place_is_in_the_windows_words():
    lesson = make_lesson("default", Focus(at=(0.0, 1.0)))
    row, column = len(lesson.windows.scores) - 1, 0
    said = words(SECTIONS["windows"](lesson))
    score = f"{lesson.windows.scores[row, column]:.3f}"
    assert f"The window nearest to the given place (row {row + 1}, column 1) scores {score}" in said


class TestCalls:
    """The Python API."""

    @pytest.fixture
    def photo(self, photos):
        return sorted((photos / "test").rglob("*.jpg"))[0]

    def test_the_run_and_its_weights_alone_give_the_same_picture_but_for_its_name(self, trained, photo, tmp_path):
        run = trained[0]
        alone = tmp_path / "copy.safetensors"
        alone.write_bytes(run.weights_file.read_bytes())
        one, other = (np.asarray(explain(each, photo, "windows")) for each in (run.directory, alone))
        caption = 60  # pixels, at the bottom
        assert np.array_equal(one[:-caption], other[:-caption])
        assert open_lesson(run, photo).subject.run == run.directory.resolve().name
        assert open_lesson(alone, photo).subject.run == "copy.safetensors"

    def test_kernel_and_place_can_be_asked_for(self, trained, photo):
        lesson = open_lesson(trained[0], photo, kernel=3, at=(25, 75))
        assert lesson.place.kernel == 2
        found = summarize(lesson)
        assert found.kernel == 3 and found.chosen
        assert found.at == pytest.approx((25, 75), abs=100 / 32 + 0.1)
        plain, asked = (np.asarray(draw(each, "stride")) for each in (open_lesson(trained[0], photo), lesson))
        assert plain.shape == asked.shape and (plain != asked).any()
        again = bearcnn.explain(trained[0], photo, "stride", kernel=3, at=(25, 75))
        assert np.array_equal(np.asarray(again), asked)

    def test_the_summary_names_the_best_window(self, trained, photo):
        lesson = open_lesson(trained[0], photo)
        found = summarize(lesson)
        row, column = np.unravel_index(lesson.windows.scores.argmax(), lesson.windows.scores.shape)
        centres = 100 * lesson.windows.windows.centres
        assert found.best_window.at == pytest.approx((centres[column], centres[row]), abs=0.06)
        assert found.best_window.score == lesson.windows.scores.max()
        assert found.probability == pytest.approx(lesson.subject.answer())

    def test_an_onnx_file_cannot_be_looked_into(self, trained):
        with pytest.raises(ModelFileError, match="predict --heatmaps"):
            explain(trained[0].onnx_file, "x.jpg")

    def test_a_run_without_weights_is_not_finished(self, trained, tmp_path):
        (tmp_path / "config.toml").write_bytes(trained[0].config_file.read_bytes())
        with pytest.raises(ModelFileError, match="--resume"):
            find_weights(tmp_path)

    def test_no_run(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RunError, match="bearcnn train"):
            find_weights(None)

    def test_a_broken_photo_is_named(self, trained, tmp_path):
        (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff")
        with pytest.raises(PhotoError, match=r"x\.jpg: "):
            explain(trained[0], tmp_path / "x.jpg")

    def test_a_part_a_kernel_or_a_place_that_is_not_there_is_refused(self, trained, photo):
        with pytest.raises(BearcnnError, match="did you mean matrix-product"):
            explain(trained[0], photo, "matrix")
        with pytest.raises(BearcnnError, match="kernels 1 to 8"):
            explain(trained[0], photo, kernel=9)
        with pytest.raises(BearcnnError, match=r"`at` 120,5: expected percent"):
            explain(trained[0], photo, at=(120, 5))
