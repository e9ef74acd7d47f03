"""The columns of Camtrap DP 1.0's three tables, in their order, and tables as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from bearcnn.inference.csv_lines import csv_line

VERSION = "1.0.2"
_ADDRESS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
PROFILE = f"{_ADDRESS}/camtrap-dp-profile.json"

DEPLOYMENTS = (
    "deploymentID",
    "locationID",
    "locationName",
    "latitude",
    "longitude",
    "coordinateUncertainty",
    "deploymentStart",
    "deploymentEnd",
    "setupBy",
    "cameraID",
    "cameraModel",
    "cameraDelay",
    "cameraHeight",
    "cameraDepth",
    "cameraTilt",
    "cameraHeading",
    "detectionDistance",
    "timestampIssues",
    "baitUse",
    "featureType",
    "habitat",
    "deploymentGroups",
    "deploymentTags",
    "deploymentComments",
)
MEDIA = (
    "mediaID",
    "deploymentID",
    "captureMethod",
    "timestamp",
    "filePath",
    "filePublic",
    "fileName",
    "fileMediatype",
    "exifData",
    "favorite",
    "mediaComments",
)
OBSERVATIONS = (
    "observationID",
    "deploymentID",
    "mediaID",
    "eventID",
    "eventStart",
    "eventEnd",
    "observationLevel",
    "observationType",
    "cameraSetupType",
    "scientificName",
    "count",
    "lifeStage",
    "sex",
    "behavior",
    "individualID",
    "individualPositionRadius",
    "individualPositionAngle",
    "individualSpeed",
    "bboxX",
    "bboxY",
    "bboxWidth",
    "bboxHeight",
    "classificationMethod",
    "classifiedBy",
    "classificationTimestamp",
    "classificationProbability",
    "observationTags",
    "observationComments",
)

Row = Mapping[str, str]
"""One row of a table; a column that it lacks is empty."""


def schema_address(table: str) -> str:
    """Return the address of a table's schema, which the profile requires in place of the schema itself."""
    return f"{_ADDRESS}/{table}-table-schema.json"


def write_table(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Return a table as CSV."""
    lines = [csv_line(columns), *(csv_line(row.get(name) or "" for name in columns) for row in rows)]
    return "".join(lines).encode("utf-8", "backslashreplace")


def read_table(content: bytes) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the rows of a CSV file; raises ValueError or csv.Error for another."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True, restval="")
    rows = list(reader)
    if any(None in row for row in rows):
        raise ValueError("a row has more cells than the header")
    return list(reader.fieldnames or []), rows
