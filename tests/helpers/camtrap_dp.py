"""Small Camtrap DP packages, with every column of the specification (1.0.2)."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_FIELDS = {
    "deployments": """
        deploymentID locationID locationName latitude longitude coordinateUncertainty deploymentStart deploymentEnd
        setupBy cameraID cameraModel cameraDelay cameraHeight cameraDepth cameraTilt cameraHeading detectionDistance
        timestampIssues baitUse featureType habitat deploymentGroups deploymentTags deploymentComments
    """,
    "media": """
        mediaID deploymentID captureMethod timestamp filePath filePublic fileName fileMediatype exifData favorite
        mediaComments
    """,
    "observations": """
        observationID deploymentID mediaID eventID eventStart eventEnd observationLevel observationType
        cameraSetupType scientificName count lifeStage sex behavior individualID individualPositionRadius
        individualPositionAngle individualSpeed bboxX bboxY bboxWidth bboxHeight classificationMethod classifiedBy
        classificationTimestamp classificationProbability observationTags observationComments
    """,
}
FIELDS = {name: fields.split() for name, fields in _FIELDS.items()}
REQUIRED = {
    "deployments": {"deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd"},
    "media": {"mediaID", "deploymentID", "timestamp", "filePath", "filePublic", "fileMediatype"},
    "observations": {
        "observationID",
        "deploymentID",
        "eventStart",
        "eventEnd",
        "observationLevel",
        "observationType",
    },
}
TIMES = {"deploymentStart", "deploymentEnd", "timestamp", "eventStart", "eventEnd", "classificationTimestamp"}
ENUMS = {
    "observationLevel": ["media", "event"],
    "observationType": ["animal", "human", "vehicle", "blank", "unknown", "unclassified"],
}
KEYS = {"deployments": "deploymentID", "media": "mediaID", "observations": "observationID"}
PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
FILLED: dict[str, dict[str, Any]] = {
    "deployments": {
        "latitude": 46.5,
        "longitude": 11.3,
        "deploymentStart": "2024-05-01T00:00:00+02:00",
        "deploymentEnd": "2024-06-01T00:00:00+02:00",
    },
    "media": {"deploymentID": "d1", "filePublic": "true", "fileMediatype": "image/png"},
    "observations": {
        "deploymentID": "d1",
        "eventStart": "2024-05-01T00:00:00Z",
        "eventEnd": "2024-05-01T00:00:00Z",
        "observationLevel": "media",
        "observationType": "animal",
    },
}
"""What a row has unless it says otherwise."""


def schema(name: str) -> dict[str, Any]:
    """The table schema, as far as frictionless can check these tables without the network."""
    fields = [
        {
            "name": field,
            "type": "datetime" if field in TIMES else "string",
            **({"format": "%Y-%m-%dT%H:%M:%S%z"} if field in TIMES else {}),
            "constraints": {"required": field in REQUIRED[name], **({"enum": ENUMS[field]} if field in ENUMS else {})},
        }
        for field in FIELDS[name]
    ]
    keys = [] if name == "deployments" else ["deployments"] if name == "media" else ["deployments", "media"]
    foreign = [{"fields": [KEYS[table]], "reference": {"resource": table, "fields": [KEYS[table]]}} for table in keys]
    return {"fields": fields, "primaryKey": [KEYS[name]], "foreignKeys": foreign, "missingValues": ["", "NaN", "nan"]}


def write_package(
    folder: Path,
    deployments: Sequence[dict[str, Any]],
    media: Sequence[dict[str, Any]],
    observations: Sequence[dict[str, Any]],
    **descriptor: Any,
) -> Path:
    """Write a package; each row has only what it says and what it must have. Return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("deployments", deployments), ("media", media), ("observations", observations)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS[name], restval="")
            writer.writeheader()
            writer.writerows({KEYS[name]: f"{name}-{place}"} | FILLED[name] | row for place, row in enumerate(rows))
    resources = [
        {"name": name, "path": f"{name}.csv", "profile": "tabular-data-resource", "schema": schema(name)}
        for name in FIELDS
    ]
    package = {"name": "bears", "profile": PROFILE, "resources": resources} | descriptor
    (folder / "datapackage.json").write_text(json.dumps(package), encoding="utf-8")
    return folder
