"""The groups that `data.group` finds in the photos' paths."""

import re
from pathlib import Path

from bearcnn.data.names import readable
from bearcnn.data.splits import SPLIT_FOLDERS

AUTO, NONE = "auto", "none"
"""The values of `data.group` that are neither a level nor a pattern."""


def name_group(path: Path, setting: int | str) -> str | None:
    """Return the name that `data.group` gives to the group of a photo; None if it gives none.

    Args:
        path: the photo, below the data's folder.
        setting: a level of folders, 1 for those in the data's folder (or in its train, valid or test) and -1 for the
            photo's own; or a regular expression, whose first group or else whole match is the name.
    """
    _, name = _find_group(path, setting)
    return name


def name_group_folder(path: Path, setting: int | str) -> str | None:
    """Return the whole name of the folder that `data.group` finds the group's name in; None if there is none."""
    place, _ = _find_group(path, setting)
    folders = path.parts[:-1]
    return readable(folders[place]) if place is not None and place < len(folders) else None


def _find_group(path: Path, setting: int | str) -> tuple[int | None, str | None]:
    """Return the place among the path's parts where the group's name is or begins, and the name."""
    if isinstance(setting, int):
        folders = path.parts[:-1]
        of_split = bool(folders) and folders[0].casefold() in SPLIT_FOLDERS
        place = setting - 1 + of_split if setting > 0 else len(folders) + setting
        return (place, readable(folders[place])) if 0 <= place < len(folders) else (None, None)
    if setting in (AUTO, NONE):
        return None, None
    text = readable(path.as_posix())
    found = re.search(setting, text)
    number = 1 if found and found.re.groups else 0
    if not found or not found[number]:
        return None, None
    return text.count("/", 0, found.start(number)), found[number]
