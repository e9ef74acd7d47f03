"""Copies whose labels, splits and times differ."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bearcnn.checks.copies import (
    find_copies,
    find_copies_across_splits,
    find_copies_of_other_label,
    find_near_copies_across_splits,
    find_near_copies_of_other_label,
    find_near_copies_within,
)
from tests.checks.conftest import fill, save_smaller

NEAR = (find_near_copies_of_other_label, find_near_copies_across_splits, find_near_copies_within)


def test_two_frames_of_a_burst_are_no_contradiction(tmp_path, collect):
    scenes = fill(tmp_path / "photos", 12)
    fox = next(path for path in scenes if path.match("train/fox/*"))
    save_smaller(fox, tmp_path / "photos/train/bear/next.jpg")
    collection = collect(tmp_path / "photos")
    assert len(list(find_near_copies_of_other_label(collection))) == 2
    start = datetime(2026, 1, 1, 12)
    pair = (fox.name, "next.jpg")
    for apart, expected in ((timedelta(seconds=3), 0), (timedelta(0), 2)):
        times = dict(zip(pair, (start, start + apart), strict=True))
        photos = tuple(replace(photo, taken=times.get(photo.path.name)) for photo in collection.photos)
        timed = replace(collection, photos=photos)
        assert len(list(find_near_copies_of_other_label(timed))) == expected
        within = list(find_near_copies_within(timed))
        assert len(within) == 1 - expected // 2
        assert all("taken 3 s apart" in finding.reason for finding in within)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_copy_is_named_at_most_once_among_exact_and_once_among_near_copies(messy_collection, data):
    """Whatever the labels, splits and times are."""
    labels = st.sampled_from([0, 1, None])
    splits = st.sampled_from(["train", "valid", "test", None])
    changed = []
    for photo in messy_collection.photos:
        split = data.draw(splits)
        changed.append(replace(photo, label=data.draw(labels), split=split, given_split=split))
    collection = replace(messy_collection, photos=tuple(changed))
    for finders in ((find_copies_of_other_label, find_copies_across_splits, find_copies), NEAR):
        named = [finding.photo.row for finder in finders for finding in finder(collection) if finding.photo]
        assert len(named) == len(set(named))
    exact = [
        finding
        for finder in (find_copies_of_other_label, find_copies_across_splits, find_copies)
        for finding in finder(collection)
    ]
    assert all(each.photo and each.related and each.photo.digest == each.related.digest for each in exact)
    assert all(each.photo != each.related for each in exact)
