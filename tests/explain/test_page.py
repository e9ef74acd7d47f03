"""The page: one file, well formed, with the numbers of the network."""

import json
import re
from html import unescape

import numpy as np
import pytest

from bearcnn.explain import tool
from bearcnn.explain.canvas import plain
from bearcnn.explain.formulas import spell_out, spell_out_answer, spell_out_part
from bearcnn.explain.page import render
from bearcnn.explain.pictures import color_signed, draw_map, shrink
from bearcnn.explain.subject import Focus
from bearcnn.explain.tool import gather_step, gather_windows
from tests.helpers.pages import Page
from tests.helpers.subjects import VARIANTS, make_lesson


def read(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.slow  # draws the pages of eight networks
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_it_is_one_small_file_that_loads_nothing(name):
    lesson = make_lesson(name)
    text = render(lesson)
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        source = attributes.get("src") or attributes.get("href") or ""
        assert source.startswith(("data:", "#")) or not source, source
    assert len(text) < 1_500_000
    headings = re.findall(r"<h2 id=\"(\w+)\">(\d)\. ", text)
    assert headings == [
        ("photo", "1"),
        ("kernels", "2"),
        ("convolution", "3"),
        ("features", "4"),
        ("answer", "5"),
        ("dropout", "6"),
    ]
    said = read(text)
    assert lesson.subject.describe() in said
    formulas = [*spell_out(lesson.step), *spell_out(lesson.following), *spell_out_part(lesson.head, lesson.feature)[0]]
    formulas += spell_out(lesson.features.step) if lesson.features else []
    for _, formula in formulas:
        assert formula in said


def test_the_products_numbers_are_in_the_table():
    lesson = make_lesson("default")
    table = re.search(r'<table class="product">.*?</table>', render(lesson), re.S)[0]
    cells = re.findall(r'<td class="number(?: here)?">([^<]+)</td>', table)
    assert cells == [plain(each) for each in lesson.product.product.ravel()]
    marked = re.findall(r'<td class="number here">([^<]+)</td>', table)
    assert marked == [plain(lesson.product.product[lesson.product.step])]


def test_the_answer_is_spelled_out():
    lesson = make_lesson("max", output_classes=(0, 1), temperature=1.0)
    said = read(render(lesson))
    for _, formula in spell_out_answer(
        lesson.head, sorted(np.argsort(-np.abs(lesson.head.by_map))[:4], key=lambda each: -lesson.head.by_map[each])
    ):
        assert formula in said


def test_names_cannot_become_tags():
    lesson = make_lesson("default")
    object.__setattr__(lesson.subject, "name", "<script>alert(1)</script>.jpg")
    object.__setattr__(lesson.subject, "run", "</p><b>")
    text = render(lesson)
    Page(text)
    assert "<script>alert" not in text and "</p><b>" not in text


def test_a_network_that_is_too_large_for_the_page_is_said_to_be(monkeypatch):
    monkeypatch.setattr(tool, "MOST_PIXELS", 23)
    text = render(make_lesson("default"))
    assert "too many numbers for the page to compute with" in read(text)
    numbers = json.loads(re.search(r'id="numbers">(.*?)</script>', text, re.S)[1])
    assert numbers["step"] is None and numbers["windows"]["scores"]


def test_the_pages_numbers_are_the_networks():
    lesson = make_lesson("default", Focus(kernel=2))
    found, convolution = gather_step(lesson), lesson.subject.network.blocks[0].convolution[0]
    assert json.loads(json.dumps(found)) == found
    chosen = [number - 1 for number in found["kernels"]]
    assert sorted(chosen) == [0, 1, 2, 3] and chosen[found["start"][0]] == 2
    windows = gather_windows(lesson)
    assert np.array_equal(np.float32(windows["scores"]), lesson.windows.scores)
    assert tuple(windows["start"]) == lesson.windows.best
    import base64

    weights = np.frombuffer(base64.b64decode(found["weights"]), np.float32).reshape(4, 3, 3, 3)
    assert np.array_equal(weights, convolution.weight[chosen].detach().numpy())
    pixels = np.frombuffer(base64.b64decode(found["image"]), np.uint8).reshape(3, 24, 24)
    assert np.array_equal(pixels, lesson.subject.pixels.transpose(2, 0, 1))


def test_large_maps_shrink_by_averages_and_small_ones_stay():
    values = np.arange(100 * 100, dtype=np.float32).reshape(100, 100)
    assert shrink(values) == pytest.approx(values.reshape(50, 2, 50, 2).mean((1, 3)))
    odd = np.ones((99, 99), np.float32)
    assert shrink(odd) == pytest.approx(np.ones((50, 50)))
    assert shrink(values[:96, :96]) is not None and shrink(values[:96, :96]).shape == (96, 96)


def test_zero_is_white_above_orange_below_violet_and_a_flat_map_can_be_drawn():
    above, zero, below = color_signed(np.array([1.0, 0, -1]), 1).astype(int)
    assert (zero == 247).all()
    assert above[0] > above[2] and below[2] > below[1]
    assert draw_map(np.zeros((3, 3), np.float32)).startswith("data:image/png;base64,")
