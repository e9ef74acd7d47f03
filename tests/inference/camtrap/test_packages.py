"""Whole packages: written from photos, checked by frictionless, and read again with a person's observations in them."""

import json
from pathlib import Path

import pytest

from bearcnn.data.metadata import Metadata, time_in_name
from bearcnn.errors import DataError
from bearcnn.files import write_folder_atomically
from bearcnn.inference.camtrap.existing import is_package, open_package
from bearcnn.inference.camtrap.new import plan_package
from bearcnn.inference.camtrap.tables import OBSERVATIONS, read_table, write_table
from bearcnn.inference.camtrap.times import parse_zone
from bearcnn.inference.labels import UNSURE, Labelling
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext
from bearcnn.inference.writers.camtrap_dp import write_package
from tests.helpers.camtrap import check_package, read_rows
from tests.helpers.onnx_models import make_manifest, write_model

LABELLING = Labelling(("not_bear", "bear"), 0.2, 0.8)
PHOTOS = {
    "cam1/20240501_120000.jpg": (0.9, "bear"),
    "cam1/20240501_120010.jpg": (0.5, UNSURE),
    "cam2/20240501_130000.JPG": (0.1, "not_bear"),
    "cam2/20240501_140000.jpg": (None, None),
    "cam2/holiday.jpg": (0.95, "bear"),
}


def make_context(folder: Path, plan, **fields) -> PredictionContext:
    model = write_model(folder / "model.onnx", **fields)
    return PredictionContext(model, make_manifest(**fields), LABELLING, package=plan)


def answer(paths: list[Path], card: Path) -> list[Prediction]:
    answers = {card / name: found for name, found in PHOTOS.items()}
    return [Prediction(str(path), *answers[path], None if answers[path][1] else "file is truncated") for path in paths]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of photos that lie beside it, in `card`."""
    card = tmp_path / "card"
    plan = plan_package(
        [card / name for name in PHOTOS],
        scientific_name="Ursus arctos",
        clock=parse_zone("+02:00"),
        coordinates=(46.05, 14.51),
        read=lambda path: Metadata(time_in_name(path.name)),
    )
    predictions = answer([card / name for name in PHOTOS], card)
    write_folder_atomically(tmp_path / "package", write_package(predictions, make_context(tmp_path, plan)))
    return tmp_path / "package"


def test_a_new_package_follows_the_standard(package):
    described = check_package(package)
    assert described["taxonomic"] == [{"scientificName": "Ursus arctos"}]
    assert described["temporal"] == {"start": "2024-05-01", "end": "2024-05-01"}
    assert is_package(package)
    assert not is_package(package.parent)


def test_a_bear_is_an_animal_an_unsure_photo_unknown_and_any_other_unclassified(package):
    rows = read_rows(package, "observations")
    assert [(row["observationType"], row["scientificName"], row["classificationProbability"]) for row in rows] == [
        ("animal", "Ursus arctos", "0.900000"),
        ("unknown", "", ""),
        ("unclassified", "", ""),
    ]
    assert {row["classificationMethod"] for row in rows} == {"machine"}
    assert all(row["classifiedBy"].startswith("bearcnn ") and "brightness" in row["classifiedBy"] for row in rows)
    assert rows[2]["observationTags"] == "label:not_bear|probability:0.100000"
    assert rows[0]["eventStart"] == rows[0]["eventEnd"] == "2024-05-01T12:00:00+02:00"


def test_an_unreadable_photo_is_a_medium_without_an_observation(package):
    media = read_rows(package, "media")
    assert [row["mediaComments"] for row in media] == ["", "", "", "unreadable: file is truncated"]
    assert media[2]["fileMediatype"] == "image/jpeg"
    assert "cam2/20240501_140000.jpg" not in {row["mediaID"] for row in read_rows(package, "observations")}


def test_the_answer_to_a_photo_without_a_time_is_kept_beside_the_tables(package):
    (row,) = read_rows(package, "left_out")
    assert (row["label"], row["probability"]) == ("bear", "0.950000")
    assert "no time" in row["reason"]


def test_frames_of_a_burst_are_one_event(tmp_path):
    card = tmp_path / "card"
    paths = [card / name for name in list(PHOTOS)[:2]]
    plan = plan_package(
        paths,
        scientific_name="Ursidae",
        clock=parse_zone("UTC"),
        coordinates=(0, 0),
        read=lambda path: Metadata(time_in_name(path.name)),
    )
    predictions = [
        Prediction(str(path), 0.9, "bear", None, 1, own) for path, own in zip(paths, (0.95, 0.8), strict=True)
    ]
    files = write_package(predictions, make_context(tmp_path, plan))
    _, rows = read_table(files["observations.csv"])
    assert {(row["eventID"], row["eventStart"], row["eventEnd"]) for row in rows} == {
        ("burst:20240501_120000.jpg", "2024-05-01T12:00:00+00:00", "2024-05-01T12:00:10+00:00")
    }
    assert rows[1]["observationTags"].endswith("|ownProbability:0.800000")


def test_a_round_trip_keeps_ids_and_a_persons_observations_and_the_old_package(package, tmp_path):
    columns, rows = read_table((package / "observations.csv").read_bytes())
    person = {
        **rows[0],
        "observationID": "h1",
        "classificationMethod": "human",
        "classifiedBy": "Ana",
        "classificationTimestamp": "",
        "observationComments": "two, with a cub",
    }
    (package / "observations.csv").write_bytes(write_table(columns, [person, *rows]))
    before = {file.name: file.read_bytes() for file in package.iterdir()}

    plan = open_package(package, "Ursidae", tmp_path / "card")
    paths = [photo.path for photo in plan.photos.values()]
    assert [path.relative_to(tmp_path / "card").as_posix() for path in paths] == list(PHOTOS)[:4]
    files = write_package(answer(paths, tmp_path / "card"), make_context(tmp_path, plan, name="second"))
    write_folder_atomically(tmp_path / "again", files)

    assert {file.name: file.read_bytes() for file in package.iterdir()} == before
    described = check_package(tmp_path / "again")
    assert [taxon["scientificName"] for taxon in described["taxonomic"]] == ["Ursus arctos", "Ursidae"]
    for table in ("deployments.csv", "media.csv"):
        assert (tmp_path / "again" / table).read_bytes() == before[table]
    found = read_rows(tmp_path / "again", "observations")
    assert found[0] == person
    assert len(found) == 1 + len(rows)
    assert {row["classifiedBy"].split(", ")[1] for row in found[1:]} == {"second"}
    assert plan.replaced == 3


def test_media_that_are_not_looked_at_are_listed_with_the_reason(package):
    columns, rows = read_table((package / "media.csv").read_bytes())
    rows[0]["filePath"] = "https://example.org/1.jpg"
    rows[1]["fileMediatype"] = "video/mp4"
    rows[2]["filePath"] = "../../secret.jpg"
    rows.append({**rows[3], "mediaID": "twin"})
    (package / "media.csv").write_bytes(write_table(columns, rows))
    plan = open_package(package, "Ursidae")
    assert list(plan.photos) == [str(package / "cam2" / "20240501_140000.jpg")]
    assert list(plan.left_out.values()) == [
        "it lies at an address, and nothing is downloaded",
        "it is no photo but video/mp4",
        "its path leads out of the package",
        "two rows of media name it, and the first one is answered",
    ]


def test_further_tables_and_columns_of_a_package_are_kept(package, tmp_path):
    described = json.loads((package / "datapackage.json").read_text())
    described["resources"].append({"name": "individuals", "path": "more/individuals.csv"})
    described["resources"].append({"name": "inline", "data": [{"a": 1}]})
    described["resources"].append({"name": "elsewhere", "path": ["https://example.org/a.csv"]})
    (package / "datapackage.json").write_text(json.dumps(described))
    (package / "more").mkdir()
    (package / "more" / "individuals.csv").write_text("id\n1\n")
    (package / "observations.csv").write_bytes(
        write_table([*OBSERVATIONS, "mood"], [{"observationID": "h1", "mood": "x"}])
    )
    plan = open_package(package, "Ursidae", tmp_path / "card")
    files = write_package(
        answer([each.path for each in plan.photos.values()], tmp_path / "card"), make_context(tmp_path, plan)
    )
    assert files["more/individuals.csv"] == b"id\n1\n"
    assert json.loads(files["datapackage.json"])["resources"] == described["resources"]
    columns, rows = read_table(files["observations.csv"])
    assert columns[-1] == "mood"
    assert [row["mood"] for row in rows] == ["x", "", "", ""]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.update(profile="https://x/camtrap-dp/0.6/profile.json"), "another version"),
        (lambda d: d["resources"].pop(), "has no table observations"),
        (lambda d: d["resources"].append("media"), "one of its resources is no table"),
        (lambda d: d["resources"][1].update(path="../media.csv"), "not in one file of the package"),
        (lambda d: d["resources"][1].update(path=["a.csv", "b.csv"]), "not in one file of the package"),
        (lambda d: d["resources"][1].update(path="media.csv.gz"), "not in one file of the package"),
        (lambda d: d["resources"][1].update(path="gone.csv"), "can't be read"),
        (lambda d: d["resources"][1].update(path="deployments.csv"), "has no column mediaID, timestamp, filePath"),
    ],
)
def test_a_package_in_a_form_that_is_not_read_is_refused(package, change, reason):
    described = json.loads((package / "datapackage.json").read_text())
    change(described)
    (package / "datapackage.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=reason):
        open_package(package, "Ursidae")
