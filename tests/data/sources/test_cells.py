"""Times, splits and ids in tables and JSON."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.data.sources.cells import clean, parse_moment, parse_split, parse_time, quote, to_text

LATE = datetime(2024, 1, 31, 23, 59, 5)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-31 23:59:05", LATE),
        (" 2024-01-31T23:59:05Z ", LATE),
        ("2024-01-31T23:59:05+02:00", LATE),
        ("2024-01-31T23:59:05.25", LATE.replace(microsecond=250_000)),
        ("20240131T235905", LATE),
        ("2024:01:31 23:59:05", LATE),
        ("2024:01:31 23:59", LATE.replace(second=0)),
        ("", None),
        ("0000:00:00 00:00:00", None),
        ("0000-00-00 00:00:00", None),
    ],
)
def test_a_time_is_what_the_cameras_clock_showed(text, time):
    assert parse_time(text) == time


def test_a_moment_keeps_its_time_zone():
    assert parse_moment("2024-01-31T23:59:05+02:00") == LATE.replace(tzinfo=timezone(timedelta(hours=2)))
    assert parse_moment("2024-01-31T23:59:05Z") == LATE.replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["31/01/2024 23:59", "2024-13-01 00:00:00", "yesterday", "1706745545", "2024:01:31"])
def test_another_form_of_time_is_refused_with_the_forms_that_are_known(text):
    with pytest.raises(ValueError, match=r"isn't known; write it as 2024-01-31 23:59:00 .*ISO 8601.*EXIF"):
        parse_time(text)


def test_a_date_alone_is_refused_because_a_day_is_no_burst():
    with pytest.raises(ValueError, match="a date alone"):
        parse_time("2024-01-31")


@given(st.datetimes(min_value=datetime(1, 1, 2)))
def test_every_time_that_python_writes_is_read_back(time):
    assert parse_time(time.isoformat()) == parse_time(time.isoformat(sep=" ")) == time


def test_splits_have_their_usual_names():
    assert [parse_split(name) for name in ("Train", "training", "val", "VALID", "validation", " test ", "")] == [
        "train",
        "train",
        "valid",
        "valid",
        "valid",
        "test",
        None,
    ]
    with pytest.raises(
        ValueError, match=r"no split 'tset': expected train, valid \(val\) or test; did you mean test\?"
    ):
        parse_split("tset")


def test_ids_are_text_whatever_json_made_of_them():
    assert [to_text(value) for value in (12, 12.0, "12", " a\nb ", 1.5)] == ["12", "12", "12", "a b", "1.5"]
    assert [to_text(value) for value in (None, math.nan, math.inf, True, "", " ", [], {})] == [None] * 8


@given(st.text(st.characters(codec=None)))
def test_a_clean_name_is_one_line_that_utf8_can_encode(text):
    assert len(clean(text).encode().splitlines()) <= 1
    assert clean("a\ud800\udcf6") == r"a\ud800\udcf6"
    assert clean(clean(text)) == clean(text)
    assert len(quote(text).splitlines()) == 1
