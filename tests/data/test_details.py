"""Details of photo files."""

import os

import pytest
from PIL import Image

from bearcnn.data.details import SUFFIXES, FileDetails, read_all_details, read_details
from bearcnn.data.photos import FORMATS, PHOTO_SUFFIXES


@pytest.mark.parametrize(("name", "form"), [("a.jpg", "PNG"), ("a.png", "JPEG"), ("a.gif", "GIF")])
def test_the_content_decides_the_format(tmp_path, name, form):
    Image.new("RGB", (20, 10)).save(tmp_path / name, form)
    details = read_details(tmp_path / name)
    assert (details.format, details.width, details.height) == (form, 20, 10)


def test_what_is_no_picture_has_no_details_and_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "page.jpg").write_text("<html>")
    for name in ("pipe.jpg", "page.jpg", "none.jpg", "zero\0.jpg"):
        assert read_details(tmp_path / name) == FileDetails()


def test_all_are_read_in_their_order_and_counted(tmp_path):
    paths = [tmp_path / f"{side}.png" for side in (30, 10, 20)]
    for path in paths:
        Image.new("RGB", (int(path.stem), 5)).save(path)
    counted = []
    assert [each.width for each in read_all_details(paths, lambda *each: counted.append(each))] == [30, 10, 20]
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_every_format_that_is_read_has_suffixes_that_are_found():
    assert {*FORMATS} <= {*SUFFIXES}
    assert {suffix for suffixes in SUFFIXES.values() for suffix in suffixes} <= PHOTO_SUFFIXES
