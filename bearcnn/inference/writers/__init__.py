"""Formats in which predictions are written for programs: one file and one row each."""

from dataclasses import dataclass
from typing import Any

from bearcnn.registry import Registry


@dataclass(frozen=True, slots=True)
class PredictionFormat:
    """One format for predictions."""

    name: str
    words: str
    """The format's use, in a few words for the command line's help."""
    writer: Any
    """A function as `writers.base.TextWriter`, or its name as "package.module:name"."""


PREDICTION_FORMATS: Registry[PredictionFormat] = Registry(
    "prediction format",
    [
        PredictionFormat("csv", "one line for each photo", "bearcnn.inference.writers.csv:write_csv"),
        PredictionFormat("json", "one list", "bearcnn.inference.writers.json:write_json"),
        PredictionFormat("jsonl", "one JSON object a line", "bearcnn.inference.writers.json:write_jsonl"),
    ],
)
