import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.evaluation.formats import decimal, per_thousand, percent, signed, target_percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "50%"),
        (0.984, "98%"),
        (1.0, "100%"),
        (0.994, "99%"),
        (0.996, ">99%"),
        (0.9999, ">99%"),
        (0.0001, "<0.1%"),
        (0, "0%"),
        (None, "undefined"),
        (0.034, "3.4%"),
        (0.0994, "9.9%"),
        (0.0996, "10%"),
        (0.1, "10%"),
    ],
)
def test_a_share_is_never_rounded_to_certainty(value, text: str) -> None:
    assert percent(value) == text


@given(st.floats(0, 1))
def test_a_number_that_is_not_certain_is_never_written_as_certain(value: float) -> None:
    assert (percent(value) == "100%") == (value == 1)
    assert (percent(value) == "0%") == (value == 0)
    assert (decimal(value) == "1.000") == (value == 1)
    assert (decimal(value) == "0.000") == (value == 0)


@given(st.floats(-10, 10))
def test_no_zero_has_a_sign(value: float) -> None:
    for text in (decimal(value), signed(value)):
        assert text not in ("-0.000", "+0.000")
    assert float(signed(value)) == pytest.approx(value, abs=0.0005001)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (decimal(0.9434), "0.943"),
        (decimal(0.99996), ">0.999"),
        (decimal(-0.0001), "0.000"),
        (decimal(math.nan), "undefined"),
        (decimal(None), "undefined"),
        (signed(0.0124), "+0.012"),
        (signed(-0.0001), "0.000"),
        (signed(None), "undefined"),
        (target_percent(0.98), "98%"),
        (target_percent(0.995), "99.5%"),
        (per_thousand(0.8675), "868"),
        (per_thousand(None), "undefined"),
    ],
)
def test_numbers_as_text(written: str, text: str) -> None:
    assert written == text
