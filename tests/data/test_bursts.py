"""Bursts of one camera."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bearcnn.data.bursts import find_bursts

NOON = datetime(2024, 6, 1, 12)
SECOND = timedelta(seconds=1)


def test_a_pause_longer_than_the_gap_ends_a_burst_and_cameras_are_apart():
    places = [("a", NOON), ("a", NOON + 60 * SECOND), ("a", NOON + 121 * SECOND), ("b", NOON), ("a", None), ("a", None)]
    assert find_bursts(places, 60 * SECOND) == [0, 0, 1, 2, 3, 4]


def test_a_burst_may_last_longer_than_the_gap_and_come_in_any_order():
    places = [("a", NOON + number * SECOND) for number in (40, 0, 20, 90)]
    assert find_bursts(places, 30 * SECOND) == [0, 0, 0, 1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 200)), max_size=30), st.randoms())
def test_the_order_of_the_photos_does_not_matter(photos, random):
    places = [(camera, None if at is None else NOON + at * SECOND) for camera, at in photos]
    rows = list(range(len(places)))
    random.shuffle(rows)
    whole = find_bursts(places, 10 * SECOND)
    mixed = find_bursts([places[row] for row in rows], 10 * SECOND)
    for place, row in enumerate(rows):
        for other_place, other in enumerate(rows):
            assert (whole[row] == whole[other]) == (mixed[place] == mixed[other_place])
