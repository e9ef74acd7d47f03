"""The rules of Camtrap DP 1.0.2 for its three tables, inlined, so that frictionless needs no network to check them."""

from typing import Any

TIME = {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"}


def _text(name: str, *choices: str, required: bool = False, unique: bool = False, pattern: str = "") -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": required}
    if choices:
        constraints["enum"] = list(choices)
    if unique:
        constraints["unique"] = True
    if pattern:
        constraints["pattern"] = pattern
    return {"name": name, "type": "string", "constraints": constraints}


def _number(name: str, low: float | None = None, high: float | None = None, kind: str = "number", required=False):
    ends = {key: end for key, end in (("minimum", low), ("maximum", high)) if end is not None}
    return {"name": name, "type": kind, "constraints": {"required": required, **ends}}


def _time(name: str, required: bool = True) -> dict[str, Any]:
    return {"name": name, **TIME, "constraints": {"required": required}}


def _flag(name: str, required: bool = False) -> dict[str, Any]:
    return {"name": name, "type": "boolean", "constraints": {"required": required}}


_TO_DEPLOYMENT = {"fields": "deploymentID", "reference": {"resource": "deployments", "fields": "deploymentID"}}
_TO_MEDIUM = {"fields": "mediaID", "reference": {"resource": "media", "fields": "mediaID"}}

SCHEMAS: dict[str, dict[str, Any]] = {
    "deployments": {
        "fields": [
            _text("deploymentID", required=True, unique=True),
            _text("locationID"),
            _text("locationName"),
            _number("latitude", -90, 90, required=True),
            _number("longitude", -180, 180, required=True),
            _number("coordinateUncertainty", 1, kind="integer"),
            _time("deploymentStart"),
            _time("deploymentEnd"),
            _text("setupBy"),
            _text("cameraID"),
            _text("cameraModel"),
            _number("cameraDelay", 0, kind="integer"),
            _number("cameraHeight", 0),
            _number("cameraDepth", 0),
            _number("cameraTilt", -90, 90, kind="integer"),
            _number("cameraHeading", 0, 360, kind="integer"),
            _number("detectionDistance", 0),
            _flag("timestampIssues"),
            _flag("baitUse"),
            _text(
                "featureType",
                "roadPaved",
                "roadDirt",
                "trailHiking",
                "trailGame",
                "roadUnderpass",
                "roadOverpass",
                "roadBridge",
                "culvert",
                "burrow",
                "nestSite",
                "carcass",
                "waterSource",
                "fruitingTree",
            ),
            _text("habitat"),
            _text("deploymentGroups"),
            _text("deploymentTags"),
            _text("deploymentComments"),
        ],
        "primaryKey": "deploymentID",
    },
    "media": {
        "fields": [
            _text("mediaID", required=True, unique=True),
            _text("deploymentID", required=True),
            _text("captureMethod", "activityDetection", "timeLapse"),
            _time("timestamp"),
            _text("filePath", required=True, pattern=r"^(?=^[^./~])(^((?!\.{2}).)*$).*$"),
            _flag("filePublic", required=True),
            _text("fileName"),
            _text("fileMediatype", required=True, pattern="^(image|video|audio)/.*$"),
            {"name": "exifData", "type": "object"},
            _flag("favorite"),
            _text("mediaComments"),
        ],
        "primaryKey": "mediaID",
        "foreignKeys": [_TO_DEPLOYMENT],
    },
    "observations": {
        "fields": [
            _text("observationID", required=True, unique=True),
            _text("deploymentID", required=True),
            _text("mediaID"),
            _text("eventID"),
            _time("eventStart"),
            _time("eventEnd"),
            _text("observationLevel", "media", "event", required=True),
            _text("observationType", "animal", "human", "vehicle", "blank", "unknown", "unclassified", required=True),
            _text("cameraSetupType", "setup", "calibration"),
            _text("scientificName"),
            _number("count", 1, kind="integer"),
            _text("lifeStage", "adult", "subadult", "juvenile"),
            _text("sex", "female", "male"),
            _text("behavior"),
            _text("individualID"),
            _number("individualPositionRadius", 0),
            _number("individualPositionAngle", -90, 90),
            _number("individualSpeed", 0),
            _number("bboxX", 0, 1),
            _number("bboxY", 0, 1),
            _number("bboxWidth", 1e-15, 1),
            _number("bboxHeight", 1e-15, 1),
            _text("classificationMethod", "human", "machine"),
            _text("classifiedBy"),
            _time("classificationTimestamp", required=False),
            _number("classificationProbability", 0, 1),
            _text("observationTags"),
            _text("observationComments"),
        ],
        "primaryKey": "observationID",
        "foreignKeys": [_TO_DEPLOYMENT, _TO_MEDIUM],
    },
}
