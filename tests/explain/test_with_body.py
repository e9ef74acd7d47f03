"""Pictures and pages of networks on a pretrained body: their words, what they frame, and that they add up."""

import numpy as np
import pytest

from bearcnn.config import ModelConfig
from bearcnn.explain import answer_figures, figures
from bearcnn.explain.contributions import sort_by_part
from bearcnn.explain.convolution import take_step
from bearcnn.explain.explain import SECTIONS
from bearcnn.explain.formulas import spell_out, spell_out_answer
from bearcnn.explain.lesson import Lesson
from bearcnn.explain.page import render
from bearcnn.explain.subject import Focus, Subject
from bearcnn.geometry import ReceptiveField
from bearcnn.model.network import build_model
from tests.explain.test_formulas import assert_adds_up
from tests.helpers.onnx_models import make_manifest
from tests.helpers.pages import Page

SIZE = 224


@pytest.fixture(
    scope="module",
    params=[(-1, 1, (16,)), (-1, 3, (16, 8)), (-2, 1, (16,)), (-2, 3, (16, 8))],
    ids=lambda each: "stage {} kernel {} widths {}".format(*each),
)
def lesson(request) -> Lesson:
    stage, kernel_size, widths = request.param
    model = ModelConfig(
        body="efficientnet_lite0", body_stage=stage, kernel_size=kernel_size, widths=widths, stride=1, pool_size=1
    )
    network = build_model(model).eval()
    config = {"model": model.model_dump(mode="json")}
    manifest = make_manifest(image_size=SIZE, classes=("not_bear", "bear"), config=config)
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Lesson(Subject(network, manifest, model, pixels, "photo.jpg"), Focus())


@pytest.fixture(scope="module")
def subject(lesson) -> Subject:
    return lesson.subject


def words(figure) -> str:
    texts = [text.get_text() for text in figure.texts]
    texts += [title for axes in figure.axes for title in (axes.get_title(), axes.get_title(loc="left"))]
    return " ".join(" ".join(texts).split())


@pytest.mark.slow  # draws pictures of four networks
def test_a_window_that_sees_more_than_the_photo_is_not_called_larger_than_it(lesson: Lesson) -> None:
    subject = lesson.subject
    seen = "all of the photo" if subject.model.body_stage == -1 else "most of the photo"
    field = subject.fields[-1][1]
    assert (field.size >= 2 * SIZE - 1) == (seen == "all of the photo")
    for what in ("windows", "kernels", "convolution", "features"):
        assert f"{field.size} ×" not in words(SECTIONS[what](lesson))
    assert f"it sees {seen}; windows overlap" in words(answer_figures.draw_windows(subject, lesson.windows))


def test_the_frame_is_the_part_that_a_place_stands_for(subject: Subject) -> None:
    count = subject.network.stem(subject.batch()).shape[2]
    for fields in subject.fields:
        spans = [subject.frame(fields[1]).span(place) for place in range(count)]
        assert spans == [(number * SIZE // count, (number + 1) * SIZE // count) for number in range(count)]
    assert subject.frame(ReceptiveField(51, 32, 15.5)) == ReceptiveField(51, 32, 15.5)  # smaller than the photo


def test_windows_of_a_body_are_spread_evenly(lesson: Lesson) -> None:
    found = lesson.windows
    count = len(found.windows.centres)
    assert found.windows.centres == pytest.approx((np.arange(count) + 0.5) / count)


def test_the_photo_leads_to_the_body_as_one_box(lesson: Lesson) -> None:
    subject = lesson.subject
    said = words(figures.draw_photo(subject, lesson.traced))
    assert "EfficientNet-Lite0, trained on ImageNet" in said
    assert "efficientnet_lite0 (pretrained)" in said
    channels = subject.network.body.out_width
    assert f"{channels} maps of" in said
    assert "Its layers aren't taken apart here" in said


@pytest.mark.slow  # draws pictures of four networks
def test_nothing_is_drawn_beyond_the_edges(lesson: Lesson) -> None:
    for draw in SECTIONS.values():
        for axes in draw(lesson).axes:
            box = axes.get_position()
            assert box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1


def test_sums_of_the_shown_maps_and_the_others_add_up(lesson: Lesson) -> None:
    step = lesson.step
    assert step.others == lesson.subject.network.body.out_width - 3
    for _, formula in [*spell_out(step), *spell_out_answer(lesson.head, sort_by_part(lesson.head.by_map, 4))]:
        assert_adds_up(formula)
    again = take_step(lesson.subject, lesson.traced.convolved[0], lesson.place, shown=10_000)
    assert step.sums == pytest.approx(again.sums[list(step.inputs)])
    assert sorted(abs(again.sums))[-3:] == pytest.approx(sorted(abs(step.sums)))
    assert step.rest == pytest.approx(again.sums.sum() - step.sums.sum(), abs=1e-4)
    product = lesson.product
    assert product.rows @ product.columns + product.rest == pytest.approx(product.product, abs=1e-4)
    assert product.product[product.step] == pytest.approx(step.total, abs=1e-4)


@pytest.mark.slow
def test_the_page_says_what_the_body_is_and_stays_small(lesson: Lesson) -> None:
    page = render(lesson)
    Page(page)
    assert len(page) < 1_500_000
    assert "Its layers aren&#39;t taken apart here" in page
    assert "of the others" in page
