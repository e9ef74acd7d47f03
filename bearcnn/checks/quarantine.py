"""Copies of the photos that checks found, in a folder of their own: to look at, and to sort out elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from bearcnn.checks.run import CheckResult
from bearcnn.data.photos import read_photo
from bearcnn.errors import DataError, PhotoError
from bearcnn.files import write_atomically


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The number of copied files, and the photos that couldn't be read."""

    copied: int
    failed: tuple[str, ...]


def quarantine(result: CheckResult, directory: Path) -> Quarantined:
    """Copy each photo that was found to `directory`/check/its path below the root; the originals stay as they are.

    Raises:
        DataError: the directory isn't empty, or lies among the photos.
        BearcnnError: it can't be written to.
    """
    root = result.collection.root
    if directory.resolve().is_relative_to(root.resolve()):
        raise DataError(f"`quarantine` {directory} is among the photos, which would have copies then: name another")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if next(directory.iterdir(), None) is not None:
            raise DataError(
                f"`quarantine` {directory} isn't empty, and nothing in it is overwritten: name a new folder"
            )
    except OSError as error:
        raise DataError(f"`quarantine` {directory} can't be used: {error.strerror or error}") from error
    copied, failed = 0, []
    for found in result.found:
        for photo in {finding.photo.row: finding.photo for finding in found.findings if finding.photo}.values():
            target = directory / found.check.name / photo.path.relative_to(root)
            try:
                content = read_photo(photo.path)
                target.parent.mkdir(parents=True, exist_ok=True)
            except PhotoError:
                failed.append(photo.name)
                continue
            except OSError as error:
                raise DataError(f"`quarantine` {target.parent} can't be made: {error.strerror or error}") from error
            write_atomically(target, content)
            copied += 1
    return Quarantined(copied, tuple(failed))
