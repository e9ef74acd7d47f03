"""A table of photos and labels as a source: CSV, with commas, semicolons or tabs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_args

from bearcnn.config import ColumnRole
from bearcnn.data import OnProgress
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.cells import clean, parse_split, parse_time
from bearcnn.data.sources.gathering import Problem, Row, base_folder, locate, make_listing
from bearcnn.data.sources.labels import check_classes, choose_label, positive_words
from bearcnn.data.sources.tables import Table, has_stray_bytes, read_table
from bearcnn.data.splits import Split

_ROLES: tuple[ColumnRole, ...] = get_args(ColumnRole)
Parsed = TypeVar("Parsed")
_REQUIRED: tuple[ColumnRole, ...] = ("filepath", "label")


@dataclass(frozen=True, slots=True)
class _Columns:
    """The places of the columns in a table."""

    filepath: tuple[int, ...]  # folders first, the file's name last
    others: Mapping[ColumnRole, int]  # none for a column that the table doesn't have

    def path(self, cells: Sequence[str]) -> str:
        *folders, name = (cells[place] for place in self.filepath)
        return "/".join([*(folder for folder in folders if folder.strip()), name]) if name.strip() else ""

    def text(self, cells: Sequence[str], role: ColumnRole) -> str:
        return cells[self.others[role]] if role in self.others else ""


def list_csv(
    file: Path,
    positive: Sequence[str],
    on_progress: OnProgress | None = None,
    *,
    columns: Mapping[ColumnRole, Sequence[str]] | None = None,
) -> Listing:
    """Return the photos of a table with a row for each, labelled by its cells.

    The columns are `filepath` and `label` and, where there are any, `subclass`, `split`, `site`, `sequence` and
    `datetime`; `columns` gives other names for them. Paths start from the table's folder. A photo is positive if its
    label is one of `positive`, in upper or lower case; the subclass is the label unless it has a cell of its own.

    A row without label, and one labelled unknown, is skipped, and so is a photo that isn't there. A split column counts
    if it has any entry, and rows without one are for training. Wrong rows are an error that names them all: without
    path, with an unknown split or time, with more or fewer cells than columns, or one photo in rows that differ.

    Raises:
        DataError: the table can't be used.
    """
    words = positive_words(positive)
    names = {role: tuple((columns or {}).get(role, (role,))) for role in _ROLES}
    table = read_table(file, [name for each in names.values() for name in each])
    places = _find_columns(table, names, {*_REQUIRED, *(columns or {})})
    base = base_folder(file)
    rows: list[Row] = []
    labels: set[str] = set()
    splits: set[Split] = set()
    for line, cells in table.rows:
        if isinstance(cells, Problem):
            rows.append((f"line {line}", cells))
            continue
        item, split = _read_row(cells, places, base, words)
        rows.append((f"line {line}", item))
        labels.add(clean(places.text(cells, "label")))
        splits |= {split} if split else set()
    if splits:
        rows = [(where, _train_if_unsplit(item)) for where, item in rows]
        splits |= {item.split for _, item in rows if isinstance(item, LabelledPhoto) and item.split}
    listing = make_listing(file, rows, splits)
    check_classes(file, {photo.label for photo in listing.labelled}, labels - {""}, positive)
    return listing


def _find_columns(table: Table, names: Mapping[ColumnRole, tuple[str, ...]], needed: Collection[str]) -> _Columns:
    wanted = [(role, name) for role in _ROLES if role in needed for name in names[role]]
    missing = dict.fromkeys(role for role, name in wanted if not table.has(name))
    options = " ".join(f"`column` {role}=NAME" for role in missing)
    table.require([name for _, name in wanted], f"; say what yours are called: {options}")
    others: dict[ColumnRole, int] = {
        role: table.find(name) for role, (name, *_) in names.items() if role != "filepath" and table.has(name)
    }
    return _Columns(tuple(map(table.find, names["filepath"])), others)


def _read_row(
    cells: Sequence[str], columns: _Columns, base: Path, words: Mapping[str, str]
) -> tuple[LabelledPhoto | SkippedPhoto | Problem, Split | None]:
    """Return what a row says, and the split that it names."""
    faults: list[str] = []

    def attempt(parse: Callable[[str], Parsed | None], text: str, hint: str = "") -> Parsed | None:
        try:
            return parse(text)
        except ValueError as error:
            faults.append(f"{error}{hint}")
            return None

    path = locate(base, columns.path(cells))
    if path is None:
        faults.append("its path can't be a file's name" if columns.path(cells) else "no path")
    split: Split | None = attempt(parse_split, columns.text(cells, "split"))
    taken = attempt(parse_time, columns.text(cells, "datetime"), ", or rename the column")
    label, subclass = columns.text(cells, "label"), columns.text(cells, "subclass")
    site, sequence = columns.text(cells, "site"), columns.text(cells, "sequence")
    stray = has_stray_bytes("".join((label, subclass, site, sequence)))
    if stray or (path is not None and has_stray_bytes(columns.path(cells)) and not path.exists()):
        faults.append('not in UTF-8; save the table as "CSV UTF-8"')
    if faults or path is None:
        return Problem("; ".join(faults)), split
    if not label.strip():
        return SkippedPhoto(path, "no label", unread=True), split
    chosen = choose_label([clean(label)], words)
    if isinstance(chosen, str):
        return SkippedPhoto(path, chosen, unread=True), split
    number, name = chosen
    return LabelledPhoto(
        path, number, clean(subclass) or name, split, clean(site) or None, clean(sequence) or None, taken
    ), split


def _train_if_unsplit(item: LabelledPhoto | SkippedPhoto | Problem) -> LabelledPhoto | SkippedPhoto | Problem:
    return replace(item, split="train") if isinstance(item, LabelledPhoto) and item.split is None else item
