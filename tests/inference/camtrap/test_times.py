from datetime import datetime

import pytest

from bearcnn.errors import BearcnnError
from bearcnn.inference.camtrap.times import iso, parse_zone

NOON = datetime(2024, 7, 1, 12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Europe/Ljubljana", "2024-07-01T12:00:00+02:00"),
        ("UTC", "2024-07-01T12:00:00+00:00"),
        ("z", "2024-07-01T12:00:00+00:00"),
        ("+01:00", "2024-07-01T12:00:00+01:00"),
        ("-0330", "2024-07-01T12:00:00-03:30"),
    ],
)
def test_a_zone_is_a_name_or_an_offset(text, expected):
    clock = parse_zone(text)
    assert not clock.guessed
    assert iso(clock.place(NOON)) == expected


def test_without_a_zone_it_is_this_computers_and_a_guess():
    clock = parse_zone(None)
    assert clock.guessed
    assert clock.place(NOON) == NOON.astimezone()


@pytest.mark.parametrize("text", ["Ljubljana", "+25:00", "", "../etc/passwd", "1", "Europe"])
def test_another_zone_is_refused(text):
    with pytest.raises(BearcnnError, match=r"`timezone`.*Europe/Ljubljana"):
        parse_zone(text)
