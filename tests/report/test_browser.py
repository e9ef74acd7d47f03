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
from bearcnn.evaluation.assessment import ThresholdPolicy, assess
from bearcnn.report.comparison import write_comparison
from bearcnn.report.contact_sheet import write_check, write_look
from bearcnn.report.page import gather, render

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

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
    opened.page.close()


def test_the_slider_moves_the_numbers_by_keyboard_too(browser, pages) -> None:
    page = Opened(browser, pages["report"], 390, "light").page

    def numbers() -> dict[str, str]:
        return {name: page.text_content(f"#{name}") for name in ("at", "found", "missed", "alarms", "look", "counted")}

    page.focus("#threshold")
    page.keyboard.press("Home")
    everything = numbers()
    assert (everything["missed"], everything["look"]) == ("0", "1,000")
    page.keyboard.press("End")
    nothing = numbers()
    assert (nothing["found"], nothing["alarms"], nothing["look"]) == ("0", "0", "0")
    page.keyboard.press("ArrowLeft")
    assert numbers()["counted"] != nothing["counted"]
    page.keyboard.press("Home")
    page.fill("#frequency", "20")
    assert (page.text_content("#found"), page.text_content("#alarms")) == ("20", "980")
    assert "--threshold 0 --save-threshold" in page.text_content("#save")
    page.close()


def test_the_slider_starts_with_the_numbers_of_the_card(browser, trained, tmp_path: Path) -> None:
    data = gather(trained[0], thumbnails=False)
    # 179 of 529: of 1,000 photos 338.4 have a bear, and rounded before the sum they give another one.
    chances = np.random.default_rng(0).random(529)
    photos = [
        replace(data.predictions[0], path=f"{n}.jpg", label=int(n < 179), probability=float(chance))
        for n, chance in enumerate(chances)
    ]
    assessment = assess(photos, "test", data.assessment.choice, ThresholdPolicy(), trained_on="test")
    file = tmp_path / "report.html"
    file.write_text(render(replace(data, predictions=photos, assessment=assessment)), encoding="utf-8")
    page = Opened(browser, file, 1280, "light").page
    card = page.locator(".card", has_text="Of 1,000 photos like these")
    assert page.text_content("#look") == card.locator(".big").text_content().partition(" ")[0]
    said = " ".join(card.text_content().split())
    assert f"{page.text_content('#missed')} missed; {page.text_content('#alarms')} false alarms" in said
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
    assert not page.locator("#tool").is_visible()
    assert page.locator("noscript").is_visible()
    page.close()


def test_it_prints_on_white_with_everything_unfolded(browser, pages) -> None:
    page = Opened(browser, pages["report"], 1280, "dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("[...document.querySelectorAll('details')].every(each => each.open)")
    page.close()
