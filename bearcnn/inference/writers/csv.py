r"""Predictions as comma-separated values, with a header.

Lines end in `\n`; cells with separators, quotes or line breaks are quoted (RFC 4180). Bytes of a file's name that
aren't UTF-8 are written as `\udcf6`; JSON keeps such a name as it is. A spreadsheet computes what begins like a
formula: a path that does begins with "./" instead, which is the same file, and other text with an apostrophe.
"""

from collections.abc import Iterable, Iterator

from bearcnn.inference.csv_lines import csv_line
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext


def write_csv(predictions: Iterable[Prediction], context: PredictionContext) -> Iterator[str]:
    """Yield a header, and a line for each prediction; probabilities have six decimals."""
    if not context.continued:
        yield csv_line(context.columns)
    for prediction in predictions:
        yield csv_line([_cell(column, getattr(prediction, column)) for column in context.columns])


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"./{value}" if column == "path" else f"'{value}"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.6f}" if isinstance(value, float) else str(value)
