"""Formulas that add up as they are printed: each is computed from its printed numbers, which have four digits."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import zip_longest

DIGITS = 4
_MOST_DECIMALS = 6


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
