"""Contact sheets of what checks found, and of a whole collection."""

import base64
import io
import os
import re

import pytest
from PIL import Image

from bearcnn.checks.collection import read_collection
from bearcnn.checks.run import run_checks
from bearcnn.config import load_config
from bearcnn.errors import BearcnnError
from bearcnn.report.contact_sheet import write_check, write_look
from bearcnn.report.thumbnails import SHEET_HEIGHT, draw_pictures
from tests.helpers.pages import Page

EVIL = "<img src=x onerror=alert(1)> & [red] \n"


@pytest.fixture
def collection(photos, tmp_path):
    """The drawn photos, with copies and with names that break pages."""
    root = tmp_path / "pho'tos"
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))):
        target = root / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        name = EVIL.replace("/", "") + f"{number}.jpg" if number < 2 else path.name
        (target.parent / name).write_bytes(path.read_bytes())
    place = root / "train/bear"
    first = next(path for path in sorted(place.rglob("*.jpg")))
    (place / "copy.jpg").write_bytes(first.read_bytes())
    (place / os.fsdecode(b"latin\xf6.jpg")).write_bytes(b"no picture")
    return read_collection(load_config(None, [f'data.path="{root}"', "data.image_size=32"]))


def pictures(text):
    return [
        Image.open(io.BytesIO(base64.b64decode(uri))) for uri in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    ]


def test_findings_are_shown_with_pairs_side_by_side_and_names_escaped(collection, tmp_path):
    result = run_checks(collection, without={"suspicious-labels"})
    write_check(result, tmp_path / "check.html", 48)
    text = (tmp_path / "check.html").read_text()
    page = Page(text)
    assert "onerror" not in {name for _, attributes in page.tags for name in attributes}
    assert "latin\\xf6.jpg" in text
    assert result.verdict() in text
    anchors = {attributes["id"] for tag, attributes in page.tags if tag == "h2"}
    assert anchors == {found.check.name for found in result.found}
    assert {f"#{name}" for name in anchors} <= {attributes.get("href") for tag, attributes in page.tags if tag == "a"}
    copies = text.partition('id="copies"')[2].partition("</ul>")[0]
    assert copies.count("data:image/jpeg") == 2
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_photos_above_the_limit_are_named(collection, tmp_path):
    result = run_checks(collection, ["tiny"])
    write_check(result, tmp_path / "check.html", 5)
    text = (tmp_path / "check.html").read_text()
    assert len(pictures(text)) == 5
    assert f"{len(collection.readable) - 5} more without a picture" in text
    assert text.count("px</li>") == len(collection.readable) - 5


def test_a_look_shows_a_sample_of_each_group_with_its_number(collection, tmp_path):
    write_look(collection, tmp_path / "look.html", 2, 0)
    text = (tmp_path / "look.html").read_text()
    Page(text)
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "train: bear",
        "train: not_bear",
        "valid: bear",
        "valid: not_bear",
        "test: bear",
        "test: not_bear",
        "not used: bear",
    ]
    for shown, of in re.findall(r'class="soft">(\d+) of (\d+)<', text):
        assert int(shown) == min(2, int(of))
    write_look(collection, tmp_path / "again.html", 2, 0)
    assert (tmp_path / "again.html").read_text() == text


def test_a_page_is_never_overwritten(collection, tmp_path):
    (tmp_path / "look.html").write_text("mine")
    with pytest.raises(BearcnnError, match="exists already"):
        write_look(collection, tmp_path / "look.html", 1, 0)
    assert (tmp_path / "look.html").read_text() == "mine"


def test_pictures_keep_their_shape_and_the_order_of_the_photos(tmp_path):
    shapes = [(300, 600), (1600, 400), (50, 40)]
    for number, shape in enumerate(shapes):
        Image.new("RGB", shape).save(tmp_path / f"{number}.png")
    drawn = draw_pictures([tmp_path / f"{number}.png" for number in (0, 1, 2, 3)])
    assert [(each.width, each.height) for each in drawn[:3]] == [
        (SHEET_HEIGHT // 2, SHEET_HEIGHT),
        (2 * SHEET_HEIGHT, SHEET_HEIGHT // 2),
        (50, 40),
    ]
    assert drawn[3].uri == ""
