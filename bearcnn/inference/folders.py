"""Folders of photos: the one that all lie in, and the camera site that a path names."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

# DCF (JEITA CP-3461): cameras write into DCIM/100ABCDE, DCIM/101ABCDE ..., which name no place.
_CAMERA_FOLDER = re.compile(r"DCIM|\d{3}[A-Z0-9_]{5}", re.IGNORECASE)


def common_folder(folders: Iterable[Path | str]) -> Path | None:
    """Return the folder that all folders lie in, absolute; None without folders, or on several drives."""
    places = {os.path.abspath(folder) for folder in folders}  # noqa: PTH100 - links stay
    try:
        return Path(os.path.commonpath(places)) if places else None
    except ValueError:
        return None


def relative_path(path: Path | str, folder: Path | None) -> PurePath:
    """Return a photo's path below a folder; outside it, the whole path without its root and without `..`."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 - links stay
    if folder is not None and place.is_relative_to(folder):
        return place.relative_to(folder)
    return place.relative_to(place.anchor)


def name_site(folder: Path | str, common: Path | None) -> str:
    """Return the camera site of photos in a folder: its first part below the common folder that names a place.

    Where there is none, it is the last such name of the common folder.
    """
    place = relative_path(folder, common)
    below = [part for part in place.parts if not _CAMERA_FOLDER.fullmatch(part)]
    if below:
        return below[0]
    above = [part for part in (common or Path()).parts[1:] if not _CAMERA_FOLDER.fullmatch(part)]
    return above[-1] if above else "photos"


def stay_outside(paths: Iterable[Path], directory: Path) -> Iterator[Path]:
    """Yield the paths outside a folder, which bearcnn itself fills with photos; also where links lead into it."""
    inside = directory.resolve()
    known: dict[Path, bool] = {}
    for path in paths:
        folder = path.parent
        if folder not in known:
            known[folder] = _lies_in(folder, inside)
        if not known[folder]:
            yield path


def _lies_in(folder: Path, inside: Path) -> bool:
    try:
        return folder.resolve().is_relative_to(inside)
    except (OSError, RuntimeError, ValueError):  # circular links, a zero byte: reading it gives the reason
        return False
