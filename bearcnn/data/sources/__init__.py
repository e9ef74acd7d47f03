"""Sources of labelled photos: an input format is one file in this package and one row in `SOURCES`.

A source turns a path into plain rows (`base.Listing`) and decides the labels. The rest (unreadable files,
contradictions, exact copies, splits, the fingerprint) is the same for all sources, in `dataset.py` and `splits.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bearcnn.data import OnProgress
from bearcnn.data.sources.base import Listing
from bearcnn.registry import Registry, load

Lister = Callable[[Path, Sequence[str], OnProgress | None], Listing]
"""Takes a path, the names of the positive class and a progress callback; returns the listing or raises DataError."""


@dataclass(frozen=True, slots=True)
class Source:
    """A row of the registry."""

    name: str
    words: str  # for help and messages
    recognizes: Callable[[str], bool]  # whether a path, as the user wrote it, is of this source
    lister: Lister | str  # or its name as "package.module:function", imported when it is used


_HERE = "bearcnn.data.sources"
SOURCES: Registry[Source] = Registry(
    "source of photos",
    [
        Source("scenes", "empty for the built-in drawn scenes", lambda path: not path, f"{_HERE}.scenes:list_scenes"),
        Source("folders", "a folder of class folders", lambda path: True, f"{_HERE}.folders:list_folders"),
    ],
)
"""The first source that recognizes a path lists it; the last one takes every path, and says what is wrong with it."""


def list_source(path: str, positive: Sequence[str], on_progress: OnProgress | None = None) -> Listing:
    """Return the rows of a path, from the source that recognizes it.

    Raises:
        DataError: the path can't be used.
    """
    source = next(source for source in SOURCES if source.recognizes(path))
    lister: Lister = load(source.lister)
    return lister(Path(path), positive, on_progress)
