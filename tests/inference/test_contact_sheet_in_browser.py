"""The contact sheet in a real browser, at the width of a phone and of a desk; skipped where there is none."""

from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from bearcnn.inference.contact_sheet import ContactSheet, Entry
from tests.helpers.onnx_models import make_manifest
from tests.report.test_browser import CONTRAST, Opened, browser, pytestmark

__all__ = ["browser", "pytestmark"]


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    names = ['<b>bold</b> & "quoted".jpg', "a#1?x%20.jpg", "x" * 200 + ".jpg", "new\nline.jpg"]
    names += [f"camera {number % 3}/{number}.jpg" for number in range(300)]
    entries = ContactSheet(make_manifest(classes=("not_bear", "bear")))
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (420, 300 + number), (number % 256, 90, 90)).save(folder / name)
        entries.add(Entry(1 - number / 400, name, PurePosixPath(name)))
    (folder / "index.html").write_bytes(entries.render())
    return folder / "index.html"


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (390, "light"), (1280, "dark")])
def test_it_fits_is_silent_can_be_read_and_loads_what_is_seen(browser, sheet: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, sheet, width, scheme, java_script_enabled=True)
    page = opened.page
    page.wait_for_load_state("networkidle")
    assert opened.said == []
    assert all(url.startswith(sheet.parent.as_uri()) for url in opened.asked)
    assert 5 < len(opened.asked) < 200  # of 304 pictures
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("[...document.images].filter(each => each.complete && !each.naturalWidth).length") == 0
    assert page.evaluate("document.images[0].getBoundingClientRect().width") > 150
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    for _ in range(100):  # the page's rules forbid a wait for a function, which is made from text
        if page.evaluate("[...document.images].at(-1).naturalWidth > 0"):
            break
        page.wait_for_timeout(50)
    else:
        pytest.fail("the last picture isn't loaded")
    page.close()
