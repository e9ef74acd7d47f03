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
    """A function as `writers.base.TextWriter` or `FolderWriter`, or its name as "package.module:name"."""
    suffix: str
    """The end of the names of its files; "" for a folder."""
    extendable: bool = False
    """Whether later predictions can be written behind earlier ones."""
    streams: bool = True
    """Whether each prediction is written as soon as it is there."""

    @property
    def is_folder(self) -> bool:
        """Whether the result is a folder of files."""
        return not self.suffix


PREDICTION_FORMATS: Registry[PredictionFormat] = Registry(
    "prediction format",
    [
        PredictionFormat(
            "csv", "one line for each photo", "bearcnn.inference.writers.csv:write_csv", ".csv", extendable=True
        ),
        PredictionFormat("json", "one list", "bearcnn.inference.writers.json:write_json", ".json"),
        PredictionFormat(
            "jsonl", "one JSON object a line", "bearcnn.inference.writers.json:write_jsonl", ".jsonl", extendable=True
        ),
        PredictionFormat(
            "megadetector",
            "for Timelapse and other tools that read MegaDetector's results",
            "bearcnn.inference.writers.megadetector:write_megadetector",
            ".json",
            streams=False,
        ),
        PredictionFormat(
            "camtrap-dp",
            "a folder in the exchange format of camera-trap projects",
            "bearcnn.inference.writers.camtrap_dp:write_package",
            "",
            streams=False,
        ),
    ],
)


def format_of(name: str) -> PredictionFormat | None:
    """Return the first format whose files' names end like this one; None if there is none."""
    return next((row for row in PREDICTION_FORMATS if row.suffix and name.lower().endswith(row.suffix)), None)
