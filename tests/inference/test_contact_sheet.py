import os
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

import pytest

from bearcnn.inference import contact_sheet
from bearcnn.inference.contact_sheet import ContactSheet, Entry
from tests.helpers.onnx_models import make_manifest
from tests.helpers.pages import Page

MANIFEST = make_manifest(classes=("not_bear", "bear"), threshold=0.3, name="<night>")
ODD = [
    "a b.jpg",
    "<script>alert(1)</script>.jpg",
    "\"quote'.jpg",
    "a#b?c%20.jpg",
    "&amp;.jpg",
    "new\nline.jpg",
    os.fsdecode(b"latin\xe4.jpg"),
    "Bär 🐻.jpg",
    "javascript:x.jpg",
    "{{ x }}.jpg",
]


def render(entries) -> str:
    sheet = ContactSheet(MANIFEST)
    for probability, name in entries:
        sheet.add(Entry(probability, name, PurePosixPath(name)))
    return sheet.render().decode()


def pictures(text: str) -> list[str]:
    return [attributes["src"] for tag, attributes in Page(text).tags if tag == "img"]


def test_the_surest_is_first_and_the_threshold_divides():
    text = render([(0.1, "c.jpg"), (0.9, "a.jpg"), (0.3, "b.jpg"), (0.29, "d.jpg")])
    assert pictures(text) == ["a.jpg", "b.jpg", "d.jpg", "c.jpg"]
    assert text.index("b.jpg") < text.index('id="negative"') < text.index("d.jpg")
    assert '4 photos: <a href="#positive">2 bear</a>, <a href="#negative">2 not_bear</a>' in text
    assert "Model &lt;night&gt;, threshold 0.3." in text


def test_any_name_is_escaped_and_leads_to_its_picture(tmp_path):
    page = Page(render([(0.5, f"sub/{name}") for name in ODD]))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"][2:]
    assert sources == links
    assert sorted(unquote_to_bytes(source) for source in sources) == sorted(os.fsencode(f"sub/{name}") for name in ODD)
    assert not {tag for tag, _ in page.tags} & {"script", "b.jpg"}


def test_a_name_in_the_root_is_never_an_address_of_another_kind():
    (source,) = pictures(render([(0.5, "javascript:x.jpg")]))
    assert ":" not in source


def test_it_runs_no_script_loads_pictures_when_they_are_seen_and_nothing_else():
    page = Page(render([(0.9, "a.jpg"), (0.1, "b.jpg")]))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object"}
    assert all(attributes["loading"] == "lazy" for tag, attributes in page.tags if tag == "img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


@pytest.mark.parametrize("count", [0, 1])
def test_no_or_one_photo_is_a_page_too(count):
    text = render([(0.9, "a.jpg")] * count)
    assert f"<title>Heat maps: {count} {'photo' if count == 1 else 'photos'}</title>" in text


def test_only_the_surest_are_listed_and_the_rest_counted(monkeypatch):
    monkeypatch.setattr(contact_sheet, "LISTED", 3)
    text = render([(number / 100, f"{number}.jpg") for number in (5, 90, 1, 70, 30, 80)])
    assert pictures(text) == ["90.jpg", "80.jpg", "70.jpg"]
    assert "the pictures of 3 more lie beside it" in text
    assert "6 photos: " in text
