"""Copies of the photos found."""

import os

import pytest

from bearcnn.checks.quarantine import quarantine
from bearcnn.checks.run import run_checks
from bearcnn.errors import DataError


def snapshot(root):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()}


def test_photos_are_copied_by_finding_and_the_originals_stay(messy, collect, tmp_path):
    before = snapshot(messy)
    result = run_checks(collect(messy), ["tiny", "near-copies", "certainty"])
    done = quarantine(result, tmp_path / "out" / "deep")
    assert snapshot(messy) == before
    copies = {path.relative_to(tmp_path / "out/deep").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert copies == {"tiny/train/bear/tiny.png", "near-copies/train/fox/again.jpg"}
    assert (done.copied, done.failed) == (2, ())
    assert (tmp_path / "out/deep/tiny/train/bear/tiny.png").read_bytes() == (messy / "train/bear/tiny.png").read_bytes()


def test_nothing_is_overwritten_and_nothing_put_among_the_photos(messy, collect, tmp_path):
    result = run_checks(collect(messy), ["tiny"])
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="isn't empty"):
        quarantine(result, tmp_path)
    with pytest.raises(DataError, match="can't be used"):
        quarantine(result, tmp_path / "mine.txt")
    (tmp_path / "link").symlink_to(messy)
    for place in (messy, messy / "new", tmp_path / "link" / "new"):
        with pytest.raises(DataError, match="among the photos"):
            quarantine(result, place)
    assert not (messy / "new").exists()


def test_a_photo_that_vanished_is_named(tmp_path, collect, messy):
    result = run_checks(collect(messy), ["unreadable"])
    gone = next(each.photo for each in result.found[0].findings if each.photo)
    content = gone.path.read_bytes()
    state = gone.path.stat()
    gone.path.unlink()
    try:
        done = quarantine(result, tmp_path / "out")
    finally:
        gone.path.write_bytes(content)
        os.utime(gone.path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert done.failed == (gone.name,)
    assert done.copied == 1
