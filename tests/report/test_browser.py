"""The pages in a real browser, at the width of a phone and of a desk; skipped where there is none (`make browser`)."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bearcnn.checks.collection import read_collection
from bearcnn.checks.run import run_checks
from bearcnn.evaluation.assessment import ThresholdPolicy, assess, evaluate_predictions
from bearcnn.evaluation.formats import decimal
from bearcnn.evaluation.groups import group_errors, groups_with_photos
from bearcnn.evaluation.intervals import complement
from bearcnn.evaluation.predictions import as_arrays, as_clusters
from bearcnn.evaluation.sites import site_errors
from bearcnn.evaluation.thresholds import operating_point
from bearcnn.evaluation.wording import interval, metric_words, share
from bearcnn.report.comparison import write_comparison
from bearcnn.report.contact_sheet import write_check, write_look
from bearcnn.report.page import ReportData, gather, render
from bearcnn.report.threshold_tool import ThresholdTool, bounded, label, make_tool, of_thousand
from bearcnn.report.verdict import suggest_threshold

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CONTRAST = """() => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = each => { for (; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (color.startsWith('rgb(')) return color; } return 'rgb(255, 255, 255)'; };
  return [...document.querySelectorAll('p, th, td, h1, h2, h3, strong, li, dt, dd, code, text, summary, label')]
    .filter(each => each.getClientRects().length && each.textContent.trim() && !each.closest('.confusion td'))
    .map(each => { const style = getComputedStyle(each), isText = each.tagName == 'text';
      const a = light(isText ? style.fill : style.color), b = light(behind(each));
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), each.textContent.trim().slice(0, 40)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""


CUT_OFF = """() => [...document.querySelectorAll('th, td, li, dd, dt, svg, button, input')]
  .filter(each => each.getClientRects().length && each.getBoundingClientRect().right > innerWidth - 8)
  .map(each => each.textContent.trim().slice(0, 40))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


class Opened:
    """A page, and what it said and asked for."""

    def __init__(self, browser: Any, file: Path, width: int, scheme: str, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())


@pytest.fixture(scope="module")
def pages(trained, tmp_path_factory) -> dict[str, Path]:
    run = trained[0]
    out = tmp_path_factory.mktemp("pages") / "compare.html"
    collection = read_collection(run.config())
    check, look = out.with_name("check.html"), out.with_name("look.html")
    write_check(run_checks(collection), check, 10)
    write_look(collection, look, 4, 0)
    comparison = write_comparison([run, run], out)
    return {"report": run.report_file.absolute(), "comparison": comparison, "check": check, "look": look}


@pytest.mark.parametrize("name", ["report", "comparison", "check", "look"])
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark"), (390, "dark"), (1280, "light")])
def test_a_page_fits_is_silent_asks_nobody_and_can_be_read(browser, pages, name: str, width: int, scheme: str) -> None:
    opened = Opened(browser, pages[name], width, scheme)
    assert opened.said == []
    assert {url for url in opened.asked if not url.startswith("data:")} == {pages[name].as_uri()}
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.evaluate(CONTRAST) == []
    assert opened.page.evaluate(CUT_OFF) == []
    opened.page.close()


@pytest.fixture(scope="module")
def rich(trained, tmp_path_factory) -> tuple[Path, ReportData, ThresholdTool]:
    """A report of 529 photos of several kinds, sites and bursts, of which 179 have a bear."""
    data = gather(trained[0], thumbnails=False)
    chances = np.random.default_rng(0).random(529)
    photos = [
        replace(
            data.predictions[0],
            path=f"{n}.jpg",
            label=int(n < 179),
            subclass=("brown", "polar")[n % 2] if n < 179 else ("boar", "deer", "empty")[n % 3],
            site=f"site {n % 7}",
            group=f"burst {n // 2}",
            probability=float(chance),
        )
        for n, chance in enumerate(chances**2)
    ]
    for n in range(179):
        photos[n] = replace(photos[n], probability=float(chances[n] ** 0.4))
    assessment = assess(photos, "test", data.assessment.choice, ThresholdPolicy(), trained_on="test")
    data = replace(data, predictions=photos, validation=photos, assessment=assessment)
    file = tmp_path_factory.mktemp("rich") / "report.html"
    file.write_text(render(data), encoding="utf-8")
    suggested = suggest_threshold(assessment.choice, photos, photos)
    assert suggested is not None
    return file, data, make_tool(photos, photos, assessment, suggested[0].threshold)


SAID = (
    "Object.fromEntries([...document.querySelectorAll('[data-say]')].map(each => [each.dataset.say, each.textContent]))"
)
ROWS = "[...document.querySelectorAll('{} tbody tr')].map(row => [...row.cells].map(cell => cell.textContent.trim()))"


def move(page: Any, place: int) -> None:
    page.evaluate(
        "place => { const slider = document.getElementById('threshold'); slider.value = place;"
        " slider.dispatchEvent(new Event('input')); }",
        place,
    )


def test_cards_matrix_tables_and_charts_follow_the_slider_with_the_numbers_of_an_evaluation(browser, rich) -> None:
    file, data, tool = rich
    opened = Opened(browser, file, 1280, "light")
    page, photos = opened.page, data.predictions
    groups = groups_with_photos(photos, data.assessment.choice.threshold)
    for place in (tool.start, 0, 77, tool.suggested, 301, len(tool.thresholds) - 1):
        move(page, place)
        threshold = tool.thresholds[place]
        found = evaluate_predictions(photos, threshold)
        cells, estimates = found.confusion, found.estimates
        said = page.evaluate(SAID)
        assert said == {name: text for name, text in tool.shown_at(place).items() if name in said}
        counts = [cells.true_positive, cells.false_negative, cells.false_positive, cells.true_negative]
        assert page.locator(".confusion td b").all_text_contents() == [str(count) for count in counts]
        shares = [estimates["recall"], estimates["false_positive_rate"]]
        shares = [shares[0], complement(shares[0]), shares[1], complement(shares[1])]
        assert page.locator(".confusion td small").all_text_contents() == [bounded(share) for share in shares]
        card = " ".join(page.locator(".card", has_text="Of 1,000 photos like these").text_content().split())
        assert f"{page.text_content('#missed')} missed; {page.text_content('#alarms')} false alarms" in card
        assert f"{page.text_content('#look')} to look at" in card
        for row, (_, members) in zip(page.evaluate(ROWS.format("#group-errors")), groups, strict=True):
            expected = next(each for each in group_errors(members, threshold) if each.photos == len(members))
            assert row[2:] == [str(expected.wrong), share(expected.rate)]
        sites = {each.site: each for each in site_errors(photos, threshold)}
        for row in page.evaluate(ROWS.format("#site-errors")):
            site = sites[row[0]]
            others = site.photos - site.bears
            assert row[3:] == [f"{site.missed} of {site.bears}", f"{site.false_alarms} of {others}", share(site.rate)]
        scores = {row[0]: row[1:] for row in page.evaluate(ROWS.format("table:has([data-say=f1-value])"))}
        for name, estimate in estimates.items():
            words = metric_words(name)
            assert scores.get(words, scores.get(f"{words}\xa0*")) == [decimal(estimate.value), interval(estimate)] or (
                name in MOVED_BY_NOTHING
            )
        for mark in page.locator(".mark").all():
            x, y = mark.get_attribute("data-x"), mark.get_attribute("data-y")
            if x == "threshold":
                assert float(mark.locator("line").get_attribute("x1")) == pytest.approx(46 + 306 * threshold, abs=0.06)
            elif estimates[x].value is None or estimates[y].value is None:
                assert mark.get_attribute("display") == "none"
            else:
                dot = mark.locator("circle")
                assert float(dot.get_attribute("cx")) == pytest.approx(46 + 306 * estimates[x].value, abs=0.06)
                assert float(dot.get_attribute("cy")) == pytest.approx(190 - 180 * estimates[y].value, abs=0.06)
                assert float(mark.locator("line").first.get_attribute("x2")) == pytest.approx(
                    46 + 306 * estimates[x].high, abs=0.06
                )
    assert opened.said == []
    page.close()


MOVED_BY_NOTHING = {"roc_auc", "average_precision", "brier", "log_loss"}
"""Their intervals are drawn from the photos, in whatever order; the page shows those of the run."""


def test_photos_of_1000_have_the_intervals_of_the_operating_point(browser, rich) -> None:
    file, data, tool = rich
    page = Opened(browser, file, 390, "light").page
    labels, chances = as_arrays(data.predictions)
    for place, frequency in ((tool.start, None), (tool.suggested, 20), (0, 20), (250, 0), (250, 1000)):
        move(page, place)
        if frequency is not None:
            page.fill("#frequency", str(frequency))
        point = operating_point(
            labels,
            chances,
            tool.thresholds[place],
            clusters=as_clusters(data.predictions),
            prevalence=None if frequency is None else frequency / 1000,
        )
        look = point.photos_to_look_at
        assert page.text_content("#look") == of_thousand(1000 * look.value)
        expected = f"{of_thousand(1000 * max(0, look.low))} to {of_thousand(1000 * min(1, look.high))}"
        assert page.text_content("#look-interval") == expected
        assert page.text_content("#found") == of_thousand(1000 * point.prevalence * point.recall.value)
    page.close()


def test_the_page_says_the_same_before_its_script_has_run(browser, rich) -> None:
    with_script = Opened(browser, rich[0], 1280, "light").page
    without = Opened(browser, rich[0], 1280, "light", java_script_enabled=False).page
    texts = "[data-say], [data-rate], [data-wrong], [data-missed], [data-alarms], figure"
    assert with_script.locator(texts).all_text_contents() == without.locator(texts).all_text_contents()
    assert with_script.locator(".mark").evaluate_all(OUTER) == without.locator(".mark").evaluate_all(OUTER)
    with_script.close()
    without.close()


OUTER = "marks => marks.map(mark => mark.outerHTML)"


def test_buttons_and_keys_move_the_threshold(browser, rich) -> None:
    file, _, tool = rich
    page = Opened(browser, file, 390, "light").page
    page.click(".verdict .go")
    assert page.evaluate(CUT_OFF) == []
    label_there = label(tool.thresholds[tool.suggested])
    assert page.text_content(".card [data-say=threshold]") == label_there
    assert f"At {label_there} it finds" in page.text_content(".verdict")
    page.click("[data-moved] .go")
    assert page.text_content(".card [data-say=threshold]") == label(tool.thresholds[tool.start])
    assert page.locator(".marks .go").count() == 4 and page.locator(".tick").count() == 3
    for mark in tool.marks:
        page.click(f".marks [data-go='{mark.place}']")
        recall = page.text_content(".panel [data-say=share-found]")
        assert float(recall.partition("%")[0]) >= float(mark.words.partition("%")[0])
    page.focus("#threshold")
    page.keyboard.press("Home")
    assert (page.text_content("#missed"), page.text_content("#look")) == ("0", "1,000")
    assert "--threshold 0 --save-threshold" in page.text_content("#save")
    page.keyboard.press("End")
    assert (page.text_content("#found"), page.text_content("#alarms"), page.text_content("#look")) == ("0", "0", "0")
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#look") != "0"
    page.close()


def test_a_photo_is_enlarged_by_click_and_key_and_escape_closes_it(browser, pages) -> None:
    page = Opened(browser, pages["report"], 1280, "light").page
    photos = page.locator("button.frame")
    dialog = page.locator("#enlarged")
    photos.nth(1).click()
    assert dialog.is_visible()
    assert dialog.locator("img").first.get_attribute("src") == photos.nth(1).locator("img").first.get_attribute("src")
    assert dialog.bounding_box()["width"] > 1.5 * photos.nth(1).bounding_box()["width"]
    page.keyboard.press("ArrowLeft")
    assert dialog.locator("img").first.get_attribute("src") == photos.nth(0).locator("img").first.get_attribute("src")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    photos.nth(0).focus()
    page.keyboard.press("Enter")
    assert dialog.is_visible()
    page.click("[data-close]")
    assert not dialog.is_visible()
    page.close()


def test_window_scores_can_be_hidden(browser, pages) -> None:
    page = Opened(browser, pages["report"], 1280, "light").page
    overlay = page.locator(".overlay").first
    assert overlay.is_visible()
    page.focus("#windows")
    page.keyboard.press("Space")
    assert not overlay.is_visible()
    page.close()


def test_without_scripts_the_numbers_are_there(browser, pages) -> None:
    page = Opened(browser, pages["report"], 390, "light", java_script_enabled=False).page
    assert page.locator(".card .big").count() == 3
    assert page.locator(".tool:visible").count() == page.locator("button.go:visible").count() == 0
    assert page.locator("noscript").is_visible()
    page.close()


def test_it_prints_on_white_with_everything_unfolded(browser, pages) -> None:
    page = Opened(browser, pages["report"], 1280, "dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("[...document.querySelectorAll('details')].every(each => each.open)")
    assert page.locator("#thresholds:visible, .tool:visible, #windows:visible, button.go:visible").count() == 0
    page.set_viewport_size({"width": 718, "height": 1047})  # A4 within its margins, in CSS pixels
    assert page.locator(".settings").bounding_box()["height"] < 1047 / 2
    page.close()
