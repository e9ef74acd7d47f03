"""A new package, made from photos and from what is known about their cameras."""

import csv
import json
import mimetypes
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bearcnn._version import __version__
from bearcnn.data.metadata import Metadata, read_metadata
from bearcnn.errors import BearcnnError, DataError
from bearcnn.inference.camtrap.plan import Medium, PackagePlan
from bearcnn.inference.camtrap.tables import (
    DEPLOYMENTS,
    MEDIA,
    OBSERVATIONS,
    PROFILE,
    Row,
    read_table,
    schema_address,
    write_table,
)
from bearcnn.inference.camtrap.times import CameraClock, iso
from bearcnn.inference.folders import common_folder, name_site, relative_path

# The standard's own pattern of media.filePath: no hidden file, no absolute path, no two dots in a row.
_FILE_PATH = re.compile(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$")
_UNSTATED = "not stated; fill in before publishing"

Coordinates = tuple[float, float]
"""Latitude and longitude in degrees."""


@dataclass(slots=True)
class NewPackage(PackagePlan):
    """A package of photos that no package describes yet; each camera site becomes a deployment."""

    clock: CameraClock = field(default_factory=CameraClock)
    folder: Path | None = None
    deployments: dict[str, Row] = field(default_factory=dict)

    def files(self, observations: Sequence[Row], errors: Mapping[str, str]) -> dict[str, bytes]:
        """Return datapackage.json and the three tables."""
        media = [self._media_row(each, errors.get(each.media_id)) for each in self.photos.values()]
        return {
            "datapackage.json": json.dumps(self._describe(observations), indent=2).encode() + b"\n",
            "deployments.csv": write_table(DEPLOYMENTS, self.deployments.values()),
            "media.csv": write_table(MEDIA, media),
            "observations.csv": write_table(OBSERVATIONS, observations),
        }

    def notes(self) -> list[str]:
        """Name the guessed time zone, the place that media paths begin in, and what is to be filled in."""
        notes = [f"the paths in media.csv begin in {self.folder}"]
        if self.clock.guessed:
            zone = datetime.now().astimezone().tzname()
            notes.append(
                f"the cameras' clocks are taken to be in this computer's time zone ({zone}), and deployments.csv says "
                "so (timestampIssues); if it isn't, give `timezone`"
            )
        notes.append(
            "before publishing, fill in datapackage.json: title, contributors, and the project's samplingDesign, "
            "captureMethod and individualAnimals, which are not known here"
        )
        return notes

    def _media_row(self, photo: Medium, error: str | None) -> Row:
        return {
            "mediaID": photo.media_id,
            "deploymentID": photo.deployment,
            "timestamp": iso(photo.taken),
            "filePath": photo.media_id,
            "filePublic": "false",
            "fileName": photo.path.name,
            "fileMediatype": _media_type(photo.path),
            "mediaComments": f"unreadable: {error}" if error else "",
        }

    def _describe(self, observations: Sequence[Row]) -> dict[str, Any]:
        names = sorted({row["scientificName"] for row in observations if row.get("scientificName")})
        starts = [row["deploymentStart"] for row in self.deployments.values()]
        ends = [row["deploymentEnd"] for row in self.deployments.values()]
        return {
            "resources": [
                {
                    "name": table,
                    "path": f"{table}.csv",
                    "profile": "tabular-data-resource",
                    "format": "csv",
                    "mediatype": "text/csv",
                    "encoding": "utf-8",
                    "schema": schema_address(table),
                }
                for table in ("deployments", "media", "observations")
            ],
            "profile": PROFILE,
            "name": "camera-trap-photos",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "title": f"Camera-trap photos classified by bearcnn (title {_UNSTATED})",
            "contributors": [{"title": f"bearcnn {__version__} (people {_UNSTATED})", "role": "contributor"}],
            "project": {
                "title": _UNSTATED,
                "samplingDesign": "opportunistic",
                "captureMethod": ["activityDetection"],
                "individualAnimals": False,
                "observationLevel": ["media"],
                "description": f"samplingDesign, captureMethod and individualAnimals {_UNSTATED}",
            },
            "spatial": _cover(self.deployments.values()),
            "temporal": {"start": min(starts)[:10], "end": max(ends)[:10]},
            "taxonomic": [{"scientificName": name} for name in names or [self.scientific_name]],
        }


def plan_package(
    paths: Iterable[Path],
    *,
    scientific_name: str,
    clock: CameraClock,
    folder: Path | None = None,
    coordinates: Coordinates | None = None,
    deployments: Mapping[str, Row] | None = None,
    read: Callable[[Path], Metadata] = read_metadata,
) -> NewPackage:
    """Plan a package: read the photos' times, and find the place of each camera site.

    Args:
        paths: the photos.
        scientific_name: of the positive class.
        clock: the zone of the cameras' clocks.
        folder: the folder that all photos lie in; found from the photos unless given.
        coordinates: the place of every site that `deployments` doesn't name.
        deployments: rows of deployments.csv, by deploymentID.
        read: reads a photo's time.

    Raises:
        DataError: no photo has a time, or a site's place is unknown; Camtrap DP requires both.
    """
    photos = list(dict.fromkeys(paths))
    folder = folder or common_folder({path.parent for path in photos})
    plan = NewPackage(scientific_name, clock=clock, folder=folder)
    times: dict[str, list[datetime]] = defaultdict(list)
    for path in photos:
        taken, media_id = read(path).taken, relative_path(path, folder).as_posix()
        if taken is None:
            plan.left_out[str(path)] = "it has no time, neither in its EXIF data nor in its name"
        elif not _is_allowed(media_id):
            plan.left_out[str(path)] = "its name is not allowed in Camtrap DP"
        else:
            photo = Medium(media_id, name_site(path.parent, folder), clock.place(taken), path)
            plan.photos[str(path)] = photo
            times[photo.deployment].append(photo.taken)
    if photos and not plan.photos:
        raise DataError(
            "none of the photos has a time, in its EXIF data or its name, and Camtrap DP requires one; "
            "another format has all answers, such as csv"
        )
    given = deployments or {}
    unplaced = [site for site in times if site not in given and coordinates is None]
    if unplaced:
        raise DataError(
            "Camtrap DP requires the place of each camera: give `coordinates` such as 46.05,14.51 for all of them, or "
            f"`deployments` with a CSV file of the columns deploymentID, latitude and longitude; for {_some(unplaced)}"
        )
    plan.deployments = {
        site: {
            "deploymentID": site,
            "deploymentStart": iso(min(taken)),
            "deploymentEnd": iso(max(taken)),
            "timestampIssues": "true" if clock.guessed else "",
            **_at(coordinates),
            **{name: cell for name, cell in given.get(site, {}).items() if cell},
        }
        for site, taken in times.items()
    }
    return plan


def parse_coordinates(text: str) -> Coordinates:
    """Read latitude and longitude in degrees, such as 46.05,14.51.

    Raises:
        BearcnnError: they are no such numbers.
    """
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        latitude = longitude = float("nan")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise BearcnnError(f"`coordinates` {text}: expected latitude and longitude in degrees, such as 46.05,14.51")
    return latitude, longitude


def read_deployments(file: Path) -> dict[str, Row]:
    """Read what is known about cameras: a CSV file with deploymentID, latitude, longitude, and any other column.

    Raises:
        DataError: it can't be read, lacks one of these columns, or has one that Camtrap DP doesn't know.
    """
    try:
        columns, rows = read_table(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{file} is no CSV file: {error}") from None
    missing = [name for name in ("deploymentID", "latitude", "longitude") if name not in columns]
    unknown = [name for name in columns if name not in DEPLOYMENTS]
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}, which Camtrap DP lacks"
        raise DataError(f"{file} {problem}; the columns are {', '.join(DEPLOYMENTS)}")
    for number, row in enumerate(rows, 2):
        try:
            parse_coordinates(f"{row['latitude']},{row['longitude']}")
        except BearcnnError:
            raise DataError(
                f"{file}, line {number}: expected latitude and longitude in degrees, not {row['latitude']!r} and "
                f"{row['longitude']!r}"
            ) from None
    return {row["deploymentID"]: row for row in rows}


def _is_allowed(media_id: str) -> bool:
    try:
        media_id.encode()
    except UnicodeEncodeError:  # bytes that are no text could not be found again
        return False
    return bool(_FILE_PATH.match(media_id)) and not set("\r\n") & set(media_id)


def _at(coordinates: Coordinates | None) -> Row:
    return {} if coordinates is None else {"latitude": f"{coordinates[0]:g}", "longitude": f"{coordinates[1]:g}"}


def _cover(deployments: Iterable[Row]) -> dict[str, Any]:
    """Return the box around all cameras as GeoJSON; a point for one place."""
    places = [(float(row["longitude"]), float(row["latitude"])) for row in deployments]
    (west, east), (south, north) = ((min(side), max(side)) for side in zip(*places, strict=True))
    if (west, south) == (east, north):
        return {"type": "Point", "coordinates": [west, south]}
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return {"type": "Polygon", "bbox": [west, south, east, north], "coordinates": [[list(each) for each in corners]]}


def _media_type(path: Path) -> str:
    found = mimetypes.guess_type(path.name)[0] or ""
    return found if found.startswith("image/") else f"image/{path.suffix.lower().removeprefix('.') or 'jpeg'}"


def _some(names: list[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
