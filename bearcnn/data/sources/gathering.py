"""Rows of a file to a listing: where the photos are, rows that can't be right, and the folder that all are in."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bearcnn.data.names import readable
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.cells import quote
from bearcnn.data.splits import Split
from bearcnn.errors import DataError

_VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm", ".wmv"}
)
MOST_PROBLEMS = 20
"""Wrong rows that one error names."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that can't be right: its file must be corrected before any of it is used."""

    text: str


Row = tuple[str, LabelledPhoto | SkippedPhoto | Problem]
"""Where the row is, such as "line 7", and what it says."""


def base_folder(file: Path) -> Path:
    """Return the folder that a file's relative paths start from, absolute and without `..`."""
    return _without_dots(file.parent.absolute())


def locate(base: Path, text: str) -> Path | None:
    r"""Return the path that a row states, relative to `base` or absolute; None if it can't be a file's name.

    `..` is followed as the system does, through links. Backslashes separate folders, as in what Windows programs write,
    and spaces around the path don't count, unless there is a file of exactly that name.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return None
    if "\0" in text or not text.strip():
        return None
    spellings = dict.fromkeys((text, text.replace("\\", "/"), text.strip(), text.strip().replace("\\", "/")))
    paths = [_without_dots(base / spelling) for spelling in spellings]
    return paths[0] if len(paths) == 1 else next((path for path in paths if path.is_file()), paths[-1])


def make_listing(file: Path, rows: Iterable[Row], splits: Iterable[Split] = ()) -> Listing:
    """Check the rows of a file against each other and make them a listing.

    A photo may have several rows if all say the same. Subclasses that differ in upper and lower case alone are one.
    Videos are skipped. The root is the file's own folder if it holds all photos, else the photos' common folder.

    Args:
        file: what lists the photos, for messages.
        rows: where each row is, and what it says; paths come from `locate`.
        splits: those that the file has, even without a usable photo.

    Raises:
        DataError: rows can't be right, which are all named; or there is no photo, or no file of any.
    """
    photos: dict[Path, tuple[str, LabelledPhoto | SkippedPhoto]] = {}
    problems: list[str] = []
    for where, item in _unify_subclasses([(where, _skip_video(item)) for where, item in rows]):
        if isinstance(item, Problem):
            problems.append(f"{where}: {item.text}")
            continue
        place, first = photos.setdefault(item.path, (where, item))
        if first != item:
            name, difference = quote(readable(item.path.name)), _find_difference(first, item)
            problems.append(f"{where}: {name} is in {place} as well, {difference}")
    if problems:
        raise DataError(_list_problems(file, problems))
    if not photos:
        raise DataError(f"{file} lists no photo")
    base = base_folder(file)
    if not any(path.exists() for path in photos):
        missing = repr(readable(min(photos)))  # whole: its end is what the user must find
        raise DataError(
            f"none of the {len(photos):,} photos that {file} lists is there, such as {missing}: its paths start from "
            f"{base}; move the file to the folder that they start from, or correct them"
        )
    root = _choose_root(file, base, {path.parent for path in photos})
    labelled = tuple(item for _, item in photos.values() if isinstance(item, LabelledPhoto))
    skipped = tuple(item for _, item in photos.values() if isinstance(item, SkippedPhoto))
    return Listing(root, labelled, skipped, frozenset(splits), file)


def _skip_video(item: LabelledPhoto | SkippedPhoto | Problem) -> LabelledPhoto | SkippedPhoto | Problem:
    """Skip what is a video by its name: reading one only to find no photo in it would take long."""
    if isinstance(item, LabelledPhoto) and item.path.suffix.lower() in _VIDEO_SUFFIXES:
        return SkippedPhoto(item.path, "a video, not a photo", unread=True)
    return item


def _without_dots(path: Path) -> Path:
    if ".." not in path.parts:
        return path
    try:
        return path.resolve() if path.name == ".." else path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # links in a circle
        return Path(os.path.normpath(path))


def _choose_root(file: Path, base: Path, folders: set[Path]) -> Path:
    try:
        if Path(os.path.commonpath([base, *folders])) == base:
            return base
        return Path(os.path.commonpath(list(folders)))
    except ValueError:  # only on Windows
        raise DataError(f"the photos that {file} lists are on several drives: put them on one") from None


def _find_difference(first: LabelledPhoto | SkippedPhoto, other: LabelledPhoto | SkippedPhoto) -> str:
    """Say in what two rows of one photo differ."""
    if isinstance(first, SkippedPhoto) or isinstance(other, SkippedPhoto) or first.label != other.label:
        return f"with another label ({_describe(first)} there, {_describe(other)} here)"
    names = ("subclass", "split", "site", "sequence", "taken")
    name = next(name for name in names if getattr(first, name) != getattr(other, name))
    there, here = (quote(str(getattr(photo, name))) for photo in (first, other))
    return f"with another {'time' if name == 'taken' else name} ({there} there, {here} here)"


def _describe(photo: LabelledPhoto | SkippedPhoto) -> str:
    if isinstance(photo, SkippedPhoto):
        return photo.reason
    return f"{quote(photo.subclass)}, {'positive' if photo.label else 'not positive'}"


def _list_problems(file: Path, problems: list[str]) -> str:
    count = f"{len(problems):,} problems" if len(problems) > 1 else "1 problem"
    lines = [f"{file} has {count} to correct before it can be used", *problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS:,} more")
    return "\n".join(lines)


def _unify_subclasses(rows: list[Row]) -> Iterator[Row]:
    """Give subclasses that differ in upper and lower case alone one spelling, the first in the alphabet."""
    spellings: dict[tuple[int, str], str] = {}
    for label, name in {(item.label, item.subclass) for _, item in rows if isinstance(item, LabelledPhoto)}:
        key = (label, name.casefold())
        spellings[key] = min(name, spellings.get(key, name))
    for where, item in rows:
        if isinstance(item, LabelledPhoto):
            name = spellings[item.label, item.subclass.casefold()]
            yield where, item if name == item.subclass else replace(item, subclass=name)
        else:
            yield where, item
