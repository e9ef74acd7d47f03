"""Photos sorted into folders by their answer, as copies or links; the originals stay as they are."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bearcnn.errors import BearcnnError
from bearcnn.files import copy_atomically, write_atomically
from bearcnn.inference.csv_lines import csv_line
from bearcnn.inference.folders import relative_path
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.tally import UNREADABLE

MARK = "sorted.json"
"""Says which model has sorted the photos of a folder, and by which thresholds."""

REASONS = "unreadable.csv"


@dataclass(slots=True)
class SortedPhotos:
    """A folder with a subfolder for each label, in which photos keep their place below their common folder."""

    directory: Path
    folder: Path | None
    link: str | None = None  # symbolic or hard; None for copies
    placed: int = 0
    found: int = 0
    """The number of photos that were there already."""
    _reasons: list[tuple[str, str]] = field(default_factory=list)

    def place(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Place each photo before its prediction is yielded; at the end, write down why some are unreadable.

        Raises:
            BearcnnError: a photo can't be copied or linked.
        """
        for prediction in predictions:
            self._place(Path(prediction.path), prediction.label or UNREADABLE)
            if prediction.error is not None:
                self._reasons.append((prediction.path, prediction.error))
            yield prediction
        if self._reasons:
            self._write_reasons()

    def _place(self, photo: Path, label: str) -> None:
        try:
            if not os.path.isfile(photo):  # noqa: PTH113 - as Path.is_file, but a name that is too long is no file
                return
            target = self.directory / label / relative_path(photo, self.folder)
            for number in count(2):
                if not (target.exists() or target.is_symlink()):
                    break
                if self._is_same(photo, target):
                    self.found += 1
                    return
                target = target.with_name(f"{photo.stem}-{number}{photo.suffix}")
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.link == "symbolic":
                target.symlink_to(os.path.abspath(photo))  # noqa: PTH100 - a link to a link stays one
            elif self.link == "hard":
                target.hardlink_to(photo.resolve())
            else:
                copy_atomically(photo, target)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BearcnnError(f"{photo} can't be placed in {self.directory}: {reason}") from None
        self.placed += 1

    def _is_same(self, photo: Path, target: Path) -> bool:
        if self.link is not None:
            return target.exists() and target.samefile(photo)
        if not target.is_file():
            return False
        there, here = target.stat(), photo.stat()
        # FAT keeps times to two seconds.
        return there.st_size == here.st_size and abs(there.st_mtime - here.st_mtime) <= 2

    def _write_reasons(self) -> None:
        lines = "".join(map(csv_line, [("path", "error"), *self._reasons]))
        write_atomically(self.directory / REASONS, lines.encode("utf-8", "backslashreplace"), overwrite=True)


def open_sorted(directory: Path, folder: Path | None, link: str | None, settings: Mapping[str, Any]) -> SortedPhotos:
    """Open a folder for sorted photos: a new or empty one, or one that was sorted with the same settings.

    Args:
        directory: the folder.
        folder: the one that all photos lie in.
        link: the kind of links to make, symbolic or hard; None for copies.
        settings: all that decides a photo's label, as JSON: with others, a photo could be in two places.

    Raises:
        BearcnnError: the folder holds something else, or can't be made.
    """
    mark = directory / MARK
    wanted = dict(settings)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            before = json.loads(mark.read_bytes())
            if before != wanted:
                differing = sorted(key for key in {*before, *wanted} if before.get(key) != wanted.get(key))
                raise BearcnnError(
                    f"{directory} was sorted otherwise ({', '.join(differing)}): a photo could be in two places; "
                    "choose another folder"
                )
        elif any(directory.iterdir()):
            raise BearcnnError(f"{directory} is not empty; nothing is ever overwritten: choose another folder")
        else:
            write_atomically(mark, json.dumps(wanted, indent=1).encode() + b"\n")
    except OSError as error:
        raise BearcnnError(f"{directory} can't be made: {error.strerror or error}; choose another folder") from None
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise BearcnnError(f"{mark} is damaged; choose another folder") from None
    return SortedPhotos(directory, folder, link)
