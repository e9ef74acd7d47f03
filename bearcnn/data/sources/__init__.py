"""Sources of labelled photos: an input format is one file in this package and one row in `SOURCES`.

A source turns a path into plain rows (`base.Listing`) and decides the labels. The rest (unreadable files,
contradictions, exact copies, splits, the fingerprint) is the same for all sources, in `dataset.py` and `splits.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bearcnn.config import ColumnRole
from bearcnn.data import OnProgress
from bearcnn.data.sources.base import Listing
from bearcnn.data.sources.camtrap_dp import is_camtrap_dp
from bearcnn.errors import DataError
from bearcnn.registry import Registry, load, one_of

Lister = Callable[..., Listing]
"""Takes a path, the names of the positive class and a progress callback, by place, and `columns` if its row says that
it does; returns the listing or raises DataError."""


@dataclass(frozen=True, slots=True)
class Source:
    """A row of the registry."""

    name: str
    words: str  # for help and messages
    recognizes: Callable[[str], bool]  # whether a path, as the user wrote it, is of this source
    lister: Lister | str  # or its name as "package.module:function", imported when it is used
    takes_columns: bool = False  # whether it has columns that `data.columns` can name


def _ends_with(*suffixes: str) -> Callable[[str], bool]:
    return lambda path: path.lower().endswith(suffixes) and not Path(path).is_dir()


_HERE = "bearcnn.data.sources"
SOURCES: Registry[Source] = Registry(
    "source of photos",
    [
        Source("scenes", "empty for the built-in drawn scenes", lambda path: not path, f"{_HERE}.scenes:list_scenes"),
        Source(
            "csv",
            "a CSV file",
            _ends_with(".csv", ".tsv"),
            f"{_HERE}.csv_table:list_csv",
            takes_columns=True,
        ),
        Source(
            "camtrap_dp",
            "a Camtrap DP package",
            lambda path: is_camtrap_dp(Path(path)),
            f"{_HERE}.camtrap_dp:list_camtrap_dp",
        ),
        Source("coco", "a COCO Camera Traps file (.json)", _ends_with(".json"), f"{_HERE}.coco:list_coco"),
        Source("folders", "a folder of class folders", lambda path: True, f"{_HERE}.folders:list_folders"),
    ],
)
"""The first source that recognizes a path lists it; the last one takes every path, and says what is wrong with it."""


def find_source(path: str) -> Source:
    """Return the source that recognizes a path.

    Raises:
        DataError: it is a file of a kind that none of them knows.
    """
    source = next(source for source in SOURCES if source.recognizes(path))
    if source.name == "folders" and Path(path).is_file():
        accepted = one_of(source.words for source in SOURCES if source.name != "scenes")
        raise DataError(f"{path} is a file of a kind that can't list photos: expected {accepted}")
    return source


def list_source(
    path: str,
    positive: Sequence[str],
    on_progress: OnProgress | None = None,
    *,
    columns: Mapping[ColumnRole, Sequence[str]] | None = None,
    source: Source | None = None,
) -> Listing:
    """Return the rows of a path, from the source that recognizes it unless one is given.

    Raises:
        DataError: the path can't be used, or has no columns that could have the names of `columns`.
    """
    source = source or find_source(path)
    lister: Lister = load(source.lister)
    if source.takes_columns:
        return lister(Path(path), positive, on_progress, columns=columns)
    if columns:
        raise DataError(f"data.columns names the columns of a CSV file, and {path} is {source.words}: omit it")
    return lister(Path(path), positive, on_progress)
