"""Camtrap DP packages, checked by frictionless without a network."""

import csv
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import frictionless

from tests.helpers.camtrap_schemas import SCHEMAS

# The profile's own rules for datapackage.json, as far as they are no web addresses.
REQUIRED = ("profile", "created", "contributors", "project", "spatial", "temporal", "taxonomic")
PROJECT = ("title", "samplingDesign", "captureMethod", "individualAnimals", "observationLevel")


def check_package(folder: Path) -> dict[str, Any]:
    """Check a package against Camtrap DP 1.0.2, and return its descriptor."""
    described: dict[str, Any] = json.loads((folder / "datapackage.json").read_text())
    assert described["profile"] == "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
    assert not [name for name in REQUIRED if name not in described]
    assert not [name for name in PROJECT if name not in described["project"]]
    assert described["contributors"] and all("scientificName" in taxon for taxon in described["taxonomic"])
    inlined = []
    for resource in described["resources"]:
        name = resource["name"]
        # The profile allows nothing else than the schema's address here.
        address = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/{name}-table-schema.json"
        assert (resource["schema"], resource["profile"]) == (address, "tabular-data-resource")
        inlined.append({**resource, "schema": SCHEMAS[name]})
    local = {name: value for name, value in described.items() if name != "profile"}
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(folder, Path(place) / "package")
        (copy / "datapackage.json").write_text(json.dumps({**local, "resources": inlined}))
        report = frictionless.validate(str(copy / "datapackage.json"))
    assert report.valid, report.flatten(["type", "title", "rowNumber", "fieldName", "note"])
    return described


def read_rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
