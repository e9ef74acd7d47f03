"""A check of a collection of photos, and its findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the table of checks is read for every `--help`
    import numpy as np
    from numpy.typing import NDArray

    from bearcnn.checks.collection import CollectedPhoto, Collection

Severity = Literal["error", "warning", "note"]
"""error: training can't use these photos, or none; warning: look at these first; note: good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found: of a photo, of two photos, or of the whole collection."""

    reason: str
    photo: "CollectedPhoto | None" = None
    related: "CollectedPhoto | None" = None  # such as the other copy
    probability: float | None = None  # of the positive class, from a model that never saw the photo
    windows: "NDArray[np.float32] | None" = field(default=None, repr=False, compare=False)
    """The same for each part of the picture, (rows, columns)."""


Finder = Callable[["Collection"], Iterable[Finding]]
"""Takes a collection and yields what it finds; raises BearcnnError where it can't work on this collection."""


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the registry."""

    name: str
    severity: Severity
    words: str  # the heading of its findings, after their number
    advice: str  # how to fix them; empty where each finding says it
    finder: Finder | str  # or its name as "package.module:function", imported when it is used
    of_labels: bool = False  # it works on the photos that training would use, with their labels, alone
