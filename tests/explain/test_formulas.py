"""A reader with a calculator gets what is printed."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.explain.contributions import sort_by_part
from bearcnn.explain.formulas import (
    add_up,
    apply_norm,
    shorten,
    spell_out,
    spell_out_answer,
    spell_out_part,
    written,
)
from tests.helpers.subjects import VARIANTS, make_lesson

numbers = st.floats(-500, 500).map(lambda value: round(value, 7))


def calculate(formula: str) -> tuple[float, float, str]:
    """Calculate the left side of a printed formula; return it with the right side, and that as it is printed."""
    formula = re.sub(r" of the others| \((bias|constant|map \d+|\d+ others)\)", "", formula)
    left, _, right = formula.replace("−", "-").replace("×", "*").rpartition(" = ")
    return eval(left, {"max": max, "exp": math.exp}), float(right), right


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


@pytest.mark.parametrize("kind", sorted(VARIANTS))
@pytest.mark.parametrize("which", ["step", "following"])
def test_every_formula_of_a_step_adds_up_to_the_number_in_the_map(kind, which):
    step = getattr(make_lesson(kind), which)
    formulas = [formula for _, formula in spell_out(step)]
    assert len(formulas) == 2 + (step.norm is not None)
    for formula in formulas:
        assert_adds_up(formula)
    # Each line goes on with the result of the one before.
    assert all(
        f"({left.rpartition(' = ')[2]}" in right or f", {left.rpartition(' = ')[2]})" in right
        for left, right in pairwise(formulas)
    )
    scale = max(abs(step.sums)) + abs(step.bias)
    if step.norm is not None:
        scale = abs(step.norm.scale / step.norm.deviation) * scale + abs(step.norm.shift)
    assert calculate(formulas[-1])[1] == pytest.approx(step.value, abs=float(2e-3 * scale))


@pytest.mark.parametrize("kind", [kind for kind, model in VARIANTS.items() if len(model.widths) > 1])
def test_features_of_features_add_up(kind):
    step = make_lesson(kind).features.step
    for _, formula in spell_out(step):
        assert_adds_up(formula)


@pytest.mark.parametrize("kind", sorted(VARIANTS))
@pytest.mark.parametrize("outputs", [(0, 1), (0, 0, 1)])
def test_the_parts_of_the_answer_add_up_to_it(kind, outputs):
    lesson = make_lesson(kind, output_classes=outputs)
    lines, part = spell_out_part(lesson.head, lesson.feature)
    for _, formula in lines:
        assert_adds_up(formula)
    assert float(part) == pytest.approx(float(lesson.head.by_map[lesson.feature]), abs=2e-3 * abs(float(part)) + 1e-4)
    shown = spell_out_answer(lesson.head, sort_by_part(lesson.head.by_map, 4))
    for _, formula in shown:
        assert_adds_up(formula)
    assert [what for what, _ in shown] == ["the log odds", "calibrated", "the answer"]
    assert calculate(shown[-1][1])[1] == pytest.approx(lesson.subject.answer(), abs=2e-3)


def test_the_edges_formula_adds_up():
    edge = make_lesson("default").edge
    formula, total = add_up([float(each) for each in edge.parts])
    assert_adds_up(formula)
    assert float(total) == pytest.approx(edge.total, abs=1e-3)
