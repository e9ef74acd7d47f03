"""An existing package, to which observations are added in a copy of its tables."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from bearcnn.data.sources.camtrap_dp import DESCRIPTOR
from bearcnn.errors import DataError
from bearcnn.inference.camtrap.plan import Medium, PackagePlan
from bearcnn.inference.camtrap.tables import OBSERVATIONS, Row, read_table, write_table

_TABLES = ("deployments", "media", "observations")
MEDIA_READ = ("mediaID", "deploymentID", "timestamp", "filePath", "fileMediatype")
OBSERVATION_PREFIX = "bearcnn:"
"""The start of the ids of bearcnn's own observations."""


@dataclass(slots=True)
class ExtendedPackage(PackagePlan):
    """A copy of a package's tables with new observations; ids of deployments and media stay."""

    directory: Path = Path()
    descriptor: dict[str, Any] = field(default_factory=dict)
    copied: dict[str, bytes] = field(default_factory=dict)  # all but the descriptor and the observations
    observations_file: str = "observations.csv"
    columns: list[str] = field(default_factory=list)
    earlier: list[dict[str, str]] = field(default_factory=list)
    replaced: int = 0

    def files(self, observations: Sequence[Row], errors: Mapping[str, str]) -> dict[str, bytes]:
        """Return the package's files; observations of an earlier bearcnn to the same photos are replaced."""
        answered = {row["mediaID"] for row in observations}
        kept = [row for row in self.earlier if not (_is_ours(row) and row["mediaID"] in answered)]
        self.replaced = len(self.earlier) - len(kept)
        unnamed = [name for name in OBSERVATIONS if name not in self.columns]
        columns = [*self.columns, *(name for name in unnamed if any(row.get(name) for row in observations))]
        return {
            **self.copied,
            DESCRIPTOR: json.dumps(self._describe(observations), indent=2, ensure_ascii=False).encode() + b"\n",
            self.observations_file: write_table(columns, [*kept, *observations]),
        }

    def notes(self) -> list[str]:
        """Say where the photos are, and what became of earlier observations."""
        notes = [
            f"the tables are a copy of those of {self.directory}, whose photos stay there: {len(self.earlier):,} "
            "observations of it, and the new ones behind them"
        ]
        if self.replaced:
            notes.append(f"{self.replaced:,} observations of an earlier prediction are replaced")
        return notes

    def _describe(self, observations: Sequence[Row]) -> dict[str, Any]:
        described = {**self.descriptor, "created": datetime.now(UTC).isoformat(timespec="seconds")}
        taxa = [each for each in described.get("taxonomic") or [] if isinstance(each, dict)]
        known = {each.get("scientificName") for each in taxa}
        found = sorted({row["scientificName"] for row in observations if row.get("scientificName")} - known)
        described["taxonomic"] = [*taxa, *({"scientificName": name} for name in found)]
        project = described.get("project")
        if isinstance(project, dict) and "media" not in (levels := list(project.get("observationLevel") or [])):
            described["project"] = {**project, "observationLevel": [*levels, "media"]}
        return described


def is_package(directory: Path) -> bool:
    """Check whether a folder is a Camtrap DP package."""
    try:
        described = json.loads((directory / DESCRIPTOR).read_bytes())
        return "camtrap-dp" in str(described["profile"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def open_package(directory: Path, scientific_name: str, media_folder: Path | None = None) -> ExtendedPackage:
    """Open a package for new observations.

    Args:
        directory: the package's.
        scientific_name: of the positive class.
        media_folder: the folder that the paths of its photos begin in; the package itself unless given.

    Raises:
        DataError: it is of another version, damaged, or has tables in a form that isn't read.
    """
    described = json.loads(_read(directory / DESCRIPTOR))
    if "camtrap-dp/1." not in str(described["profile"]):
        raise DataError(f"{directory} is of another version than Camtrap DP 1 ({described['profile']})")
    places: dict[str, str] = {}
    copied: set[str] = set()
    for resource in described.get("resources") or []:
        if not isinstance(resource, dict):
            raise DataError(f"{directory / DESCRIPTOR} is damaged: one of its resources is no table")
        name = str(resource.get("name"))
        paths: Any = resource.get("path")
        if name in _TABLES:
            if not _is_inside(paths) or paths.endswith((".gz", ".zip")):
                raise DataError(f"{directory}: the table {name} lies in {paths!r}, and not in one file of the package")
            places[name] = paths
        copied.update(path for path in (paths if isinstance(paths, list) else [paths]) if _is_inside(path))
    if missing := [name for name in _TABLES if name not in places]:
        raise DataError(f"{directory} has no table {' and no table '.join(missing)} in {DESCRIPTOR}")
    columns, earlier = _read_rows(directory / places["observations"], ("observationID", "mediaID"))
    _, media = _read_rows(directory / places["media"], MEDIA_READ)
    package = ExtendedPackage(
        scientific_name,
        directory=directory,
        descriptor=described,
        copied={path: _read(directory / path) for path in sorted(copied - {places["observations"]})},
        observations_file=places["observations"],
        columns=columns,
        earlier=earlier,
    )
    for row in media:
        _add_medium(package, row, media_folder or directory)
    return package


def _add_medium(package: ExtendedPackage, row: dict[str, str], folder: Path) -> None:
    """Add a photo, or the reason why it isn't looked at."""
    place = row["filePath"]
    if "://" in place:
        package.left_out[place] = "it lies at an address, and nothing is downloaded"
    elif not row["fileMediatype"].startswith("image/"):
        package.left_out[place] = f"it is no photo but {row['fileMediatype'] or 'unknown'}"
    elif not _is_inside(place):
        package.left_out[place] = "its path leads out of the package"
    elif str(folder / place) in package.photos:
        package.left_out[place] = "two rows of media name it, and the first one is answered"
    else:
        try:
            taken = datetime.fromisoformat(row["timestamp"])
        except ValueError:
            package.left_out[place] = f"its timestamp is {row['timestamp']!r}"
            return
        path = folder / place
        package.photos[str(path)] = Medium(row["mediaID"], row["deploymentID"], taken, path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from None


def _read_rows(path: Path, required: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    try:
        columns, rows = read_table(_read(path))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file: {error}") from None
    if missing := [name for name in required if name not in columns]:
        raise DataError(f"{path} has no column {', '.join(missing)}")
    return columns, rows


def _is_inside(path: Any) -> bool:
    """Check that a path names one file inside the package."""
    if not isinstance(path, str) or "://" in path:
        return False
    parts = PurePosixPath(path)
    return bool(path) and not parts.is_absolute() and ".." not in parts.parts


def _is_ours(row: Row) -> bool:
    return row.get("observationID", "").startswith(OBSERVATION_PREFIX)
