"""Copies of the photos that checks found, in a folder of their own: to look at, and to sort out elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from bearcnn.checks.run import CheckResult
from bearcnn.data.reading import read_photo
from bearcnn.errors import DataError, PhotoError
from bearcnn.files import write_atomically


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The number of copied files, and the photos that couldn't be read."""

    copied: int
    failed: tuple[str, ...]


def check_quarantine(directory: Path, source: Path) -> None:
    """Check that photos can be copied into a directory: it is new or empty, and not among those of the source.

    Raises:
        DataError: it isn't.
    """
    try:
        if source.is_dir() and directory.resolve().is_relative_to(source.resolve()):
            raise DataError(
                f"`quarantine` {directory} is among the photos, which would have copies then: name another folder"
            )
        if directory.exists() and next(directory.iterdir(), None) is not None:
            raise DataError(f"`quarantine` {directory} isn't empty, and nothing is overwritten: name a new folder")
    except OSError as error:
        raise DataError(f"`quarantine` {directory} can't be used: {(error.strerror or str(error)).lower()}") from error


def quarantine(result: CheckResult, directory: Path) -> Quarantined:
    """Copy each photo that was found to `directory`/check/its path below the root; the originals stay as they are.

    Raises:
        DataError: `check_quarantine` says no.
        BearcnnError: the directory can't be written to.
    """
    collection = result.collection
    check_quarantine(directory, Path(collection.config.data.path))
    copied, failed = 0, []
    for found in result.found:
        photos = {finding.photo.row: finding.photo for finding in found.findings if finding.photo is not None}
        for photo in photos.values():
            target = directory / found.check.name / photo.path.relative_to(collection.root)
            try:
                content = read_photo(photo.path, collection.config.data.max_megapixels)
            except PhotoError:
                failed.append(photo.name)
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DataError(f"{target.parent} can't be made: {error.strerror or error}") from error
            write_atomically(target, content)
            copied += 1
    return Quarantined(copied, tuple(failed))
