"""A reader with a calculator gets what is printed."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.explain import figures
from bearcnn.explain.activations import take_step
from bearcnn.explain.formulas import add_up, apply_norm, shorten, written
from tests.explain.test_activations import make_subject

numbers = st.floats(-500, 500).map(lambda value: round(value, 7))


def calculate(formula: str) -> tuple[float, float, str]:
    """Calculate the left side of a printed formula; return it with the right side, and that as it is printed."""
    left, _, right = re.sub(r" of the others", "", formula).replace("−", "-").replace("×", "*").rpartition(" = ")
    return eval(left, {"max": max}), float(right), right


def assert_adds_up(formula: str) -> None:
    calculated, printed, text = calculate(formula)
    digits = max(0.5000001 * 10 ** -len(text.partition(".")[2]), 0.0005 * abs(printed))
    assert calculated == pytest.approx(printed, abs=digits), formula


@given(parts=st.lists(numbers, min_size=2, max_size=5))
def test_a_printed_sum_is_the_sum_of_the_printed_numbers(parts):
    text, total = add_up(parts)
    assert_adds_up(text)
    assert float(total) == pytest.approx(
        math.fsum(parts), rel=1e-3, abs=1e-3 * max(map(abs, parts)) * len(parts) + 1e-5
    )


@given(total=numbers, mean=numbers, deviation=st.floats(0.003, 100), scale=st.floats(-5, 5), shift=numbers)
def test_a_printed_norm_is_that_of_the_printed_numbers(total, mean, deviation, scale, shift):
    assert_adds_up(apply_norm(shorten(total), mean=mean, deviation=deviation, scale=scale, shift=shift)[0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (15.2314, "15.23"),
        (-0.00012345, "−0.000123"),
        (0.0, "0"),
        (1234567.0, "1235000"),
        (0.5, "0.5000"),
        (9.99996, "10.000"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert written(shorten(value)) == text


@pytest.mark.parametrize("kind", ["default", "max", "avg", "wide"])
def test_every_formula_of_the_picture_adds_up_to_the_number_in_the_map(kind):
    subject = make_subject(kind)
    step = take_step(subject)
    formulas = [text.get_text() for text in figures.draw_convolution(subject, step).texts if " = " in text.get_text()]
    assert len(formulas) == 3
    for formula in formulas:
        assert_adds_up(formula)
    scale = abs(step.scale / step.deviation) * max(abs(step.sums)) + abs(step.shift)
    assert calculate(formulas[-1])[1] == pytest.approx(step.value, abs=float(2e-3 * scale))
