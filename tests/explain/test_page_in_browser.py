"""The page in a real browser: what it computes at a place is what torch's layers do; skipped where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bearcnn.explain.canvas import plain
from bearcnn.explain.convolution import take_step
from bearcnn.explain.formulas import shorten, spell_out, written
from bearcnn.explain.lesson import Lesson
from bearcnn.explain.page import render
from bearcnn.explain.subject import Focus, Place
from tests.helpers.subjects import make_lesson
from tests.report.test_browser import CONTRAST, Opened, browser, pytestmark

__all__ = ["browser", "pytestmark"]

KINDS = ("default", "max", "no norm", "wide")


@pytest.fixture(scope="module")
def lessons() -> dict[str, Lesson]:
    return {name: make_lesson(name, size=32) for name in KINDS}


@pytest.fixture(scope="module")
def pages(lessons, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lessons")
    for name, lesson in lessons.items():
        (folder / f"{name}.html").write_text(render(lesson), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in lessons}


def said(page, selector: str) -> str:
    return " ".join(page.inner_text(selector).split())


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark"), (390, "dark"), (1280, "light")])
def test_it_fits_is_silent_asks_nobody_and_can_be_read(browser, pages, width: int, scheme: str) -> None:
    opened = Opened(browser, pages["default"], width, scheme)
    assert opened.said == []
    assert {url for url in opened.asked if not url.startswith("data:")} == {pages["default"].as_uri()}
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.evaluate(CONTRAST) == []
    opened.page.close()


@pytest.mark.parametrize("name", KINDS)
def test_every_number_that_it_computes_is_the_layers(browser, pages, lessons, name: str) -> None:
    page = Opened(browser, pages[name], 1280, "light").page
    lesson = lessons[name]
    with torch.no_grad():
        maps = (
            lesson.subject.network.blocks[0]
            .convolution(lesson.subject.network.normalize(lesson.subject.batch()))[0]
            .numpy()
        )
    count = maps.shape[-1]
    places = [(row, column) for row in range(0, count, 3) for column in range(0, count, 5)] + [(count - 1, count - 1)]
    computed = page.evaluate(
        "([kernels, places]) => kernels.map(each => places.map(place => lesson.valueAt(each + 1, ...place)))",
        [list(range(len(maps))), [list(each) for each in places]],
    )
    expected = np.array([[one[each] for each in places] for one in maps])
    assert np.array(computed) == pytest.approx(expected, rel=1e-4, abs=2e-5)
    page.close()


@pytest.mark.parametrize("name", KINDS)
def test_pointing_at_a_place_shows_its_window_and_the_sum(browser, pages, lessons, name: str) -> None:
    page, lesson = Opened(browser, pages[name], 1280, "light").page, lessons[name]
    first, count = lesson.traced.convolved[0], len(lesson.step.map)
    for row, column in [(count // 2, count // 3), (0, count - 1)]:
        area = page.locator("#step-map")
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        across, down = ((each + 0.5) / count for each in (column, row))
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        step = take_step(lesson.subject, first, Place(lesson.place.kernel, row, column))
        assert page.text_content("#step-place") == f"row {row + 1}, column {column + 1}"
        shown = float(page.text_content("#step-value"))
        assert shown == pytest.approx(step.value, rel=6e-4, abs=6e-7), "to the four digits that are shown"
        assert page.locator("#step-lines b").all_inner_texts() == [formula for _, formula in spell_out(step)]
        sums = page.locator("#step-products tbody > tr > td.number").all_inner_texts()
        assert sums == [written(shorten(float(each))) for each in step.sums]
        if step.kernel.shape[-1] <= 5:
            cells = page.locator("#step-products .matrix").first.locator("td").all_inner_texts()
            assert cells == [plain(each) for each in step.window[0].ravel()]
        mark = page.evaluate(
            "(({left, width}) => ({left, width}))(document.querySelector('#step-photo .frame-mark').style)"
        )
        left, right = step.field.span(column)
        assert float(mark["left"].rstrip("%")) == pytest.approx(max(0, left) / 32 * 100, abs=0.01)
        width = (min(32, right) - max(0, left)) / 32 * 100
        assert float(mark["width"].rstrip("%")) == pytest.approx(width, abs=0.01)
    page.close()


def test_without_pointing_it_shows_what_the_file_says(browser, pages, lessons) -> None:
    with_scripts = Opened(browser, pages["default"], 1280, "light").page
    without = Opened(browser, pages["default"], 1280, "light", java_script_enabled=False).page
    for selector in ("#step-lines", "#step-products", "#step-value", "#step-place", "#step-kernel"):
        assert said(with_scripts, selector) == said(without, selector)
    assert without.locator("noscript").first.is_visible()
    assert not without.locator("#step-next").is_visible()
    with_scripts.close()
    without.close()


def test_keys_next_step_and_another_kernel_move_it(browser, pages, lessons) -> None:
    page, lesson = Opened(browser, pages["default"], 390, "light").page, lessons["default"]
    row, column, count = lesson.place.row, lesson.place.column, len(lesson.step.map)

    def place() -> str:
        return page.text_content("#step-place")

    page.focus("#step-map")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    row, column = max(0, row - 1), min(count - 1, column + 1)
    assert place() == f"row {row + 1}, column {column + 1}"
    page.click("#step-next")
    column, row = ((column + 1), row) if column + 1 < count else (0, row + 1)
    assert place() == f"row {row + 1}, column {column + 1}"
    other = next(kernel for kernel in range(4) if kernel != lesson.place.kernel)
    page.click(f'#choose button[data-kernel="{other + 1}"]')
    assert page.text_content("#step-kernel") == str(other + 1)
    value = float(lesson.traced.convolved[0].maps[other, row, column])
    assert page.text_content("#step-value") == written(shorten(value))
    assert page.locator('#choose button[aria-pressed="true"]').get_attribute("data-kernel") == str(other + 1)
    page.close()


def test_a_tap_shows_a_place_and_a_click_holds_it(browser, pages, lessons) -> None:
    page = Opened(browser, pages["default"], 390, "light", has_touch=True).page
    area = page.locator("#step-photo")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.52, box["y"] + box["height"] * 0.77)
    field, count = lessons["default"].step.field, len(lessons["default"].step.map)
    column, row = (int(np.abs(field.centres(count, 32) - share).argmin()) for share in (0.52, 0.77))
    assert page.text_content("#step-place") == f"row {row + 1}, column {column + 1}"
    page.touchscreen.tap(box["x"] + 5, box["y"] + 5)
    assert page.text_content("#step-place") == "row 1, column 1"
    page.close()
    page = Opened(browser, pages["default"], 1280, "light").page
    area = page.locator("#step-map")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + 3)
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 3)
    assert page.text_content("#step-place") == "row 1, column 1", "held"
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + 3)
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 6)
    assert page.text_content("#step-place") == f"row 1, column {count}"
    page.close()


def test_windows_show_their_scores(browser, pages, lessons) -> None:
    page, lesson = Opened(browser, pages["default"], 1280, "light").page, lessons["default"]
    row, column = lesson.windows.best
    assert page.text_content("#window").startswith(f"window in row {row + 1}, column {column + 1}: bear ")
    page.focus("#windows")
    for _ in range(len(lesson.windows.scores)):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowUp")
    assert page.text_content("#window") == f"window in row 1, column 1: bear {lesson.windows.scores[0, 0]:.3f}"
    page.close()


def test_a_given_place_is_where_it_begins(browser, tmp_path: Path) -> None:
    lesson = make_lesson("default", Focus(kernel=1, at=(0.9, 0.2)), size=32)
    (tmp_path / "page.html").write_text(render(lesson), encoding="utf-8")
    page = Opened(browser, tmp_path / "page.html", 1280, "light").page
    assert page.text_content("#step-kernel") == "2"
    assert page.text_content("#step-value") == written(shorten(lesson.step.value))
    page.close()
