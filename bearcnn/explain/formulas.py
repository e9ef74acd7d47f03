"""Formulas that add up as they are printed: each is computed from its printed numbers, which have four digits."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import zip_longest

from bearcnn.explain.contributions import HeadParts
from bearcnn.explain.convolution import COLORS, ConvolutionStep

DIGITS = 4
_MOST_DECIMALS = 6
OTHERS, BIAS = "of the others", "(bias)"


def shorten(value: float | Decimal) -> Decimal:
    """Round to four significant digits, and at most six decimals."""
    exact = value if isinstance(value, Decimal) else Decimal(float(value))  # float: numpy's numbers, too
    decimals = min(_MOST_DECIMALS, DIGITS - 1 - exact.adjusted()) if exact else 0
    rounded = exact.quantize(Decimal(1).scaleb(-decimals))
    return rounded if rounded else Decimal(0)


def written(value: Decimal) -> str:
    """Write a number with a real minus, never with an exponent."""
    return f"{value:f}".replace("-", "−")


def following(value: Decimal) -> str:
    """Write a number as it follows another in a sum: `+ 0.5000` or `− 0.5000`."""
    return f"{'−' if value < 0 else '+'} {written(abs(value))}"


def add_up(parts: Sequence[float], words: Sequence[str] = ()) -> tuple[str, Decimal]:
    """Write the sum of some numbers, each followed by its word if there is one; return the text and the sum."""
    numbers = [shorten(part) for part in parts]
    total = shorten(sum(numbers, Decimal(0)))
    spelled = [written(numbers[0]), *(following(number) for number in numbers[1:])]
    spelled = [f"{text} {word}".rstrip() for text, word in zip_longest(spelled, words, fillvalue="")]
    return f"{' '.join(spelled)} = {written(total)}", total


def apply_norm(total: Decimal, *, mean: float, deviation: float, scale: float, shift: float) -> tuple[str, Decimal]:
    """Write batch norm's formula for a number; return the text and the result."""
    mean_, deviation_, scale_, shift_ = (shorten(each) for each in (mean, deviation, scale, shift))
    result = shorten((total - mean_) / deviation_ * scale_ + shift_)
    factor = written(scale_) if scale_ >= 0 else f"({written(scale_)})"
    text = f"({written(total)} {following(-mean_)}) / {written(deviation_)} × {factor} {following(shift_)}"
    return f"{text} = {written(result)}", result


def spell_out(step: ConvolutionStep) -> list[tuple[str, str]]:
    """Write how one number of a map is computed: (what, formula) for the sum, batch norm if there is one, and ReLU."""
    summands, words = [float(each) for each in step.sums], [""] * len(step.sums)
    if step.others:
        summands, words = [*summands, step.rest], [*words, OTHERS]
    if step.bias:
        summands, words = [*summands, step.bias], [*words, BIAS]
    sums, total = add_up(summands, words)
    lines = [("all three colours" if step.names == COLORS else "the sums", sums)]
    if step.norm is not None:
        norm = step.norm
        formula, total = apply_norm(total, mean=norm.mean, deviation=norm.deviation, scale=norm.scale, shift=norm.shift)
        lines.append(("batch norm: scaled by the kernel's usual mean and deviation", formula))
    relu = f"max(0, {written(total)}) = {written(max(total, Decimal(0)))}"
    return [*lines, ("ReLU: numbers below zero become zero; this is the number in the map", relu)]


def spell_out_part(head: HeadParts, number: int) -> tuple[list[tuple[str, str]], Decimal]:
    """Write how a last map's pooled numbers and the head's weights make its part of the answer; return it, too."""
    lines, parts = [], []
    for word, value, weight in zip(head.words, head.features[:, number], head.weights[:, number], strict=True):
        value_, weight_ = shorten(value), shorten(weight)
        parts.append(shorten(value_ * weight_))
        factor = written(weight_) if weight_ >= 0 else f"({written(weight_)})"
        lines.append((f"{word} × weight", f"{written(value_)} × {factor} = {written(parts[-1])}"))
    if len(parts) > 1:
        formula, total = add_up([float(each) for each in parts])
        return [*lines, (f"map {number + 1}'s part", formula)], total
    return lines, parts[0]


def spell_out_answer(head: HeadParts, shown: Sequence[int]) -> list[tuple[str, str]]:
    """Write how the parts of the last maps make the answer, those of `shown` maps written out."""
    parts = [float(head.by_map[number]) for number in shown]
    rest = float(head.by_map.sum()) - sum(parts)
    words = [f"(map {number + 1})" for number in shown]
    others = len(head.by_map) - len(parts)
    if others:
        parts, words = [*parts, rest], [*words, f"({others} others)"]
    sums, log_odds = add_up([*parts, head.constant], [*words, "(constant)"])
    lines = [("the log odds", sums)]
    if head.temperature != 1:
        temperature = shorten(head.temperature)
        divided = shorten(log_odds / temperature)
        lines.append(("calibrated", f"{written(log_odds)} / {written(temperature)} = {written(divided)}"))
        log_odds = divided
    answer = shorten(1 / (1 + (-log_odds).exp()))
    exponent = written(-log_odds) if log_odds > 0 else f"{written(abs(log_odds))}"
    return [*lines, ("the answer", f"1 / (1 + exp({exponent})) = {written(answer)}")]
