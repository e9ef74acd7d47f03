"""dataset.json: the photos of a run as JSON, from which the same data set is made again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from bearcnn.data.groups import Grouping
from bearcnn.data.regions import Box, absolute
from bearcnn.data.sources.base import SkippedPhoto
from bearcnn.data.splits import Example
from bearcnn.errors import DataError


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """All of a data set but its pixels; the examples' rows among these aren't recorded, and are 0 when read."""

    root: Path
    positive: tuple[str, ...]
    classes: tuple[str, str]
    fingerprint: str
    grouping: Grouping | None
    examples: tuple[Example, ...]
    skipped: tuple[SkippedPhoto, ...]
    boxes: Mapping[str, tuple[Box, ...] | None]
    """The boxes of a photo's animals by its absolute path, where a detector's were used."""

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes; paths are below the root."""
        return {
            "format": 1,
            "root": str(self.root.absolute()),
            "positive": list(self.positive),
            "classes": list(self.classes),
            "fingerprint": self.fingerprint,
            **_known(grouping=self.grouping and asdict(self.grouping)),
            "examples": [
                {
                    "path": self._below(example.path),
                    "label": example.label,
                    "subclass": example.subclass,
                    "split": example.split,
                    "digest": example.digest,
                    **_known(
                        boxes=self._boxes(example.path),
                        site=example.site,
                        sequence=example.sequence,
                        taken=example.taken and example.taken.isoformat(),
                        group=example.group,
                    ),
                }
                for example in self.examples
            ],
            "skipped": [
                {
                    "path": self._below(photo.path),
                    "reason": photo.reason,
                    **_known(boxes=self._boxes(photo.path), unread=photo.unread or None),
                }
                for photo in self.skipped
            ],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], root: Path | None = None) -> Self:
        """Read a record, also of earlier versions; `root` is the photos' folder if they have moved.

        Raises:
            DataError: the record is damaged.
        """
        try:
            root = root or Path(record["root"])
            kept = record.get("grouping")  # absent from older records, and from those of drawn scenes
            return cls(
                root=root,
                positive=tuple(record["positive"]),
                classes=(record["classes"][0], record["classes"][1]),
                fingerprint=str(record["fingerprint"]),
                grouping=Grouping(kept["by"], dict(kept["warnings"])) if kept else None,
                examples=tuple(
                    Example(
                        root / row["path"],
                        int(row["label"]),
                        row["subclass"],
                        row["split"],
                        0,
                        row["digest"],
                        site=row.get("site"),
                        sequence=row.get("sequence"),
                        group=row.get("group"),
                        taken=datetime.fromisoformat(row["taken"]) if "taken" in row else None,
                    )
                    for row in record["examples"]
                ),
                skipped=tuple(
                    SkippedPhoto(root / row["path"], row["reason"], bool(row.get("unread")))
                    for row in record["skipped"]
                ),
                boxes={
                    absolute(root / row["path"]): tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in each)
                    for row in [*record["examples"], *record["skipped"]]
                    if (each := row.get("boxes"))
                },
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError("the list of photos in the run (dataset.json) is damaged: train again") from error

    def _below(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _boxes(self, path: Path) -> tuple[Box, ...] | None:
        return self.boxes.get(absolute(path)) or None


def _known(**values: Any) -> dict[str, Any]:
    """Return the values that are known: a record has no keys for what a data set doesn't have."""
    return {name: value for name, value in values.items() if value is not None}
