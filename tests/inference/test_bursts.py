import math
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.data.bursts import find_bursts
from bearcnn.data.metadata import Metadata
from bearcnn.errors import BearcnnError
from bearcnn.inference.bursts import MOST_HELD, Bursts, parse_gap
from bearcnn.inference.labels import Labelling
from bearcnn.inference.prediction import Prediction

START = datetime(2024, 5, 1, 12)
LABELLING = Labelling(("not_bear", "bear"), 0.5, 0.5)
GAP = timedelta(seconds=60)


def make_bursts(places: dict[str, tuple[str | None, int | None]], gap: timedelta = GAP, answer: str = "mean") -> Bursts:
    """Bursts whose photos have these cameras and seconds."""

    def read(path: Path) -> Metadata:
        camera, second = places[str(path)]
        return Metadata(None if second is None else START + timedelta(seconds=second), camera)

    return Bursts(gap, LABELLING, answer, read)


def make_predictions(probabilities: dict[str, float | None]) -> list[Prediction]:
    return [
        Prediction(path, p, None if p is None else LABELLING.label(p), "file is damaged" if p is None else None)
        for path, p in probabilities.items()
    ]


def test_frames_of_a_burst_share_the_mean_of_their_log_odds_and_keep_their_own_probability():
    bursts = make_bursts({"a/1": (None, 0), "a/2": (None, 50), "a/3": (None, 100), "a/4": (None, 161)})
    shared = list(bursts.share(make_predictions({"a/1": 0.9, "a/2": 0.2, "a/3": 0.9, "a/4": 0.3})))
    mean = (2 * math.log(9) + math.log(0.25)) / 3
    assert [row.probability for row in shared] == pytest.approx([1 / (1 + math.exp(-mean))] * 3 + [0.3])
    assert [row.label for row in shared] == ["bear", "bear", "bear", "not_bear"]
    assert [row.own_probability for row in shared] == [0.9, 0.2, 0.9, 0.3]
    assert [row.burst for row in shared] == [1, 1, 1, 2]
    assert (bursts.found, bursts.photos) == (1, 3)


def test_a_bear_in_one_frame_of_many_is_counted_by_the_mean_and_kept_by_the_highest():
    places = {"a/1": (None, 0), "a/2": (None, 1), "a/3": (None, 2)}
    rows = make_predictions({"a/1": 0.001, "a/2": 0.999, "a/3": 0.001})
    for answer, label, lowered in (("mean", "not_bear", 1), ("highest", "bear", 0)):
        bursts = make_bursts(places, answer=answer)
        shared = list(bursts.share(rows))
        assert {row.label for row in shared} == {label}
        assert [row.own_probability for row in shared] == [0.001, 0.999, 0.001]
        assert bursts.lowered == lowered
    assert {row.probability for row in shared} == {0.999}


def test_a_photo_alone_keeps_its_probability_to_the_bit():
    bursts = make_bursts({"a/1": (None, 0), "a/2": (None, None), "a/3": (None, None)})
    rows = make_predictions({"a/1": 0.1, "a/2": 1.0, "a/3": 1e-30})
    assert [row.probability for row in bursts.share(rows)] == [0.1, 1.0, 1e-30]
    assert bursts.without_time == 2


def test_cameras_and_folders_are_bursts_of_their_own():
    places = {"a/1": ("north", 0), "a/2": ("south", 1), "a/3": ("north", 2), "b/1": ("north", 3)}
    shared = list(make_bursts(places).share(make_predictions(dict.fromkeys(places, 0.5))))
    assert [row.path for row in shared] == list(places)
    assert [row.burst for row in shared] == [1, 2, 1, 3]


def test_an_unreadable_photo_has_no_part_in_the_burst_around_it():
    places = {"a/1": (None, 0), "a/2": (None, 1), "a/3": (None, 2)}
    first, bad, last = make_bursts(places).share(make_predictions({"a/1": 0.9, "a/2": None, "a/3": 0.5}))
    assert (first.burst, bad.burst, last.burst) == (1, None, 1)
    assert (bad.error, bad.label, bad.own_probability) == ("file is damaged", None, None)
    assert first.probability == last.probability == pytest.approx(0.75)


def test_a_burst_is_given_out_once_the_next_one_begins():
    bursts = make_bursts({"a/1": (None, 0), "a/2": (None, 1), "a/3": (None, 500), "a/4": (None, 501)})
    taken: list[str] = []

    def watched():
        for row in make_predictions(dict.fromkeys(("a/1", "a/2", "a/3", "a/4"), 0.5)):
            taken.append(row.path)
            yield row

    shared = bursts.share(watched())
    assert next(shared).path == "a/1"
    assert taken == ["a/1", "a/2", "a/3"]


def test_a_time_lapse_without_end_is_divided_and_not_held_for_ever():
    places = {f"a/{i:05}": (None, i) for i in range(3 * MOST_HELD)}
    held = 0

    def counted():
        nonlocal held
        for row in make_predictions(dict.fromkeys(places, 0.5)):
            held += 1
            yield row

    numbers = []
    for row in make_bursts(places).share(counted()):
        held -= 1
        assert held <= MOST_HELD + 1
        numbers.append(row.burst)
    assert len(numbers) == len(places)
    assert len(set(numbers)) == 3


def test_names_in_another_order_than_times_are_counted():
    bursts = make_bursts({"a/1": (None, 0), "a/10": (None, 900), "a/2": (None, 10)})
    assert [row.burst for row in bursts.share(make_predictions({"a/1": 0.5, "a/10": 0.5, "a/2": 0.5}))] == [1, 2, 3]
    assert bursts.backwards == 1


@given(
    st.lists(st.tuples(st.sampled_from(["x", "y"]), st.none() | st.integers(0, 300), st.floats(0, 1)), max_size=30),
    st.integers(0, 90),
)
def test_photos_in_the_order_of_time_get_the_bursts_of_the_whole_list(photos, gap):
    photos.sort(key=lambda photo: -1 if photo[1] is None else photo[1])
    places = {f"a/{i:03}": (camera, second) for i, (camera, second, _) in enumerate(photos)}
    rows = make_predictions({f"a/{i:03}": p for i, (_, _, p) in enumerate(photos)})
    shared = list(make_bursts(places, timedelta(seconds=gap)).share(rows))
    assert [row.path for row in shared] == list(places)
    times = [(camera, None if second is None else START + timedelta(seconds=second)) for camera, second, _ in photos]
    assert [row.burst for row in shared] == [number + 1 for number in find_bursts(times, timedelta(seconds=gap))]
    for row in shared:
        others = [each.own_probability for each in shared if each.burst == row.burst]
        assert min(others) - 1e-6 <= row.probability <= max(others) + 1e-6


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("90", 90), ("2m", 120), ("1.5min", 90), ("1h", 3600), (" 0 ", 0)]
)
def test_a_time_has_a_unit_or_is_in_seconds(text, seconds):
    assert parse_gap(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "s", "-5", "5 days", "1e3", "9" * 30])
def test_another_time_is_refused(text):
    with pytest.raises(BearcnnError, match=r"`bursts`.*such as 60s"):
        parse_gap(text)
