"""Camtrap DP packages as a source."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import frictionless
import pytest

from bearcnn.config import DataConfig
from bearcnn.data.dataset import Dataset
from bearcnn.data.sources import find_source
from bearcnn.data.sources.base import LabelledPhoto, Listing
from bearcnn.data.sources.camtrap_dp import list_camtrap_dp
from bearcnn.errors import DataError
from tests.helpers.camtrap_dp import write_package
from tests.helpers.folders import fill

DEPLOYMENTS = [
    {"deploymentID": "d1", "locationID": "l1", "locationName": "creek"},
    {"deploymentID": "d2", "locationID": "l2", "locationName": "ridge"},
    {"deploymentID": "d3", "locationID": "l3", "locationName": "ridge"},
    {"deploymentID": "d4", "locationName": "dam"},
    {"deploymentID": "d5"},
]
TAXA = [
    {"scientificName": "Ursus arctos", "vernacularNames": {"deu": "Braunbär"}, "family": "Ursidae"},
    {"scientificName": "Canis lupus", "vernacularNames": {"eng": "wolf"}, "family": "Canidae", "order": "Carnivora"},
    {"scientificName": "Canidae", "taxonRank": "family"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "package", {"media": 20})


def medium(number: int, second: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "mediaID": f"m{number}",
        "filePath": f"media/{number}.png",
        "timestamp": f"2024-05-01T12:00:{second:02}+02:00",
    } | more


def seen(number: int, kind: str = "animal", name: str = "", **more: Any) -> dict[str, Any]:
    return {"mediaID": f"m{number}", "observationType": kind, "scientificName": name} | more


def event(start: str, end: str, kind: str = "animal", name: str = "", **more: Any) -> dict[str, Any]:
    return {
        "observationLevel": "event",
        "eventStart": start,
        "eventEnd": end,
        "observationType": kind,
        "scientificName": name,
    } | more


def listed(root: Path, media: list[Any], observations: list[Any], positive: tuple[str, ...] = ("bear",)) -> Listing:
    return list_camtrap_dp(write_package(root, DEPLOYMENTS, media, observations, taxonomic=TAXA), positive)


def labels(listing: Listing) -> dict[str, tuple[int, str]]:
    return {photo.path.stem: (photo.label, photo.subclass) for photo in listing.labelled}


def reasons(listing: Listing) -> dict[str, str]:
    return {photo.path.stem: photo.reason for photo in listing.skipped}


def refusal(root: Path, positive: tuple[str, ...] = ("bear",)) -> str:
    with pytest.raises(DataError) as caught:
        list_camtrap_dp(root, positive)
    return str(caught.value)


def test_a_package_that_frictionless_accepts_is_read(root: Path) -> None:
    media = [
        medium(0),
        medium(1, deploymentID="d2"),
        medium(2, deploymentID="d4"),
        medium(3, deploymentID="d5"),
    ]
    observations = [
        seen(0, name="Ursus arctos", eventID="e1"),
        seen(1, "blank", deploymentID="d2"),
        seen(2, "human", deploymentID="d4", scientificName="Homo sapiens"),
        seen(3, name="Canis lupus", deploymentID="d5"),
    ]
    listing = listed(root, media, observations)
    descriptor = json.loads((root / "datapackage.json").read_text())
    del descriptor["profile"]  # it is on the web
    report = frictionless.Package.from_descriptor(descriptor, basepath=str(root)).validate()
    assert report.valid, report.flatten(["title", "message"])
    noon = datetime(2024, 5, 1, 12)
    assert listing.labelled == (
        LabelledPhoto(root / "media/0.png", 1, "Ursus arctos", None, "creek", "e1", noon),
        LabelledPhoto(root / "media/1.png", 0, "empty", None, "l2", None, noon),  # two locations are called ridge
        LabelledPhoto(root / "media/2.png", 0, "human", None, "dam", None, noon),
        LabelledPhoto(root / "media/3.png", 0, "Canis lupus", None, "d5", None, noon),
    )
    assert (listing.root, listing.skipped, listing.splits) == (root, (), frozenset())


def test_an_event_labels_the_photos_taken_in_it_by_that_deployment_in_any_time_zone(root: Path) -> None:
    media = [medium(n, second=10 * n) for n in range(5)] + [medium(5, second=20, deploymentID="d2")]
    observations = [
        event("2024-05-01T10:00:10Z", "2024-05-01T10:00:30Z", name="Ursus arctos", eventID="e1"),
        event("2024-05-01T12:00:00+02:00", "2024-05-01T12:00:00+02:00", "blank", eventID="e0"),
    ]
    listing = listed(root, media, observations)
    assert labels(listing) == {"0": (0, "empty"), **dict.fromkeys("123", (1, "Ursus arctos"))}
    assert reasons(listing) == {"4": "no observation", "5": "no observation"}
    assert [photo.sequence for photo in listing.labelled] == ["e0", "e1", "e1", "e1"]


def test_what_was_seen_on_a_photo_comes_before_what_was_seen_in_its_event(root: Path) -> None:
    bear = event("2024-05-01T12:00:00+02:00", "2024-05-01T12:00:59+02:00", name="Ursus arctos", eventID="e")
    media = [medium(n, second=n) for n in range(4)]
    observations = [bear, seen(0, "blank"), seen(1, "unclassified"), seen(2, name="Canis lupus"), seen(2, name="Ursus")]
    assert labels(listed(root, media, observations)) == {
        "0": (0, "empty"),
        "1": (1, "Ursus arctos"),
        "2": (1, "Ursus"),
        "3": (1, "Ursus arctos"),
    }


def test_what_may_be_a_bear_is_skipped_and_so_is_what_is_no_photo_here(root: Path) -> None:
    media = [medium(n) for n in range(8)] + [
        medium(8, fileMediatype="video/mp4"),
        medium(9, filePath="https://example.org/9.jpg"),
    ]
    observations = [
        seen(0, name="Ursus arctos"),
        seen(1, name="Canis lupus"),
        seen(2, "unknown"),
        seen(3, "unclassified"),
        seen(4),
        seen(5, name="Mammalia"),
        seen(6, name="Canis lupus"),
        seen(6, "unknown"),
        seen(8, name="Ursus arctos"),
        seen(9, name="Ursus arctos"),
    ]
    listing = listed(root, media, observations)
    assert labels(listing) == {"0": (1, "Ursus arctos"), "1": (0, "Canis lupus")}
    assert reasons(listing) == {
        "2": "labelled unknown, perhaps bear",
        "3": "labelled unclassified, perhaps bear",
        "4": "labelled unidentified, perhaps bear",
        "5": "labelled Mammalia, perhaps bear",
        "6": "labelled unknown, perhaps bear",
        "7": "no observation",
        "8": "not a photo (video/mp4)",
        "9": "on the web, not on this computer",
    }
    assert all(photo.unread for photo in listing.skipped)


@pytest.mark.parametrize(
    ("positive", "subclass"),
    [
        ("wolf", "Canis lupus"),  # a vernacular name in the package's list of taxa
        ("canis LUPUS", "canis LUPUS"),
        ("BRAUNBÄR", "Ursus arctos"),
        ("ursidae", "Ursus arctos"),  # a group that the list names
    ],
)
def test_the_positive_class_may_have_any_name_that_the_package_knows(root: Path, positive: str, subclass: str) -> None:
    media = [medium(0), medium(1), medium(2)]
    observations = [seen(0, name="Ursus arctos"), seen(1, name="Canis lupus"), seen(2, "blank")]
    listing = listed(root, media, observations, (positive,))
    assert {name for label, name in labels(listing).values() if label} == {subclass}


def test_a_group_that_positives_belong_to_says_nothing(root: Path) -> None:
    media = [medium(0), medium(1), medium(2)]
    observations = [seen(0, name="Canis lupus"), seen(1, name="Canidae"), seen(2, "blank")]
    assert reasons(listed(root, media, observations, ("wolf",))) == {"1": "labelled unidentified, perhaps wolf"}


def test_all_wrong_rows_of_all_tables_are_named(root: Path) -> None:
    media = [medium(0), medium(0, filePath="media/1.png"), medium(2, timestamp="noon"), medium(3, timestamp="NaN")]
    observations = [
        seen(0, "beast"),
        event("", "2024-05-01T12:00:00Z"),
        event("1.5.", "2024-05-01T12:00:00Z"),
        seen(0, name="Ursus arctos"),
    ]
    write_package(root, DEPLOYMENTS, media, observations)
    (root / "deployments.csv").write_text("deploymentID,locationID\nd1\n")
    lines = refusal(root).splitlines()
    assert lines[0] == f"{root}/datapackage.json has 7 problems to correct before it can be used"
    assert [line.partition(": ")[0] for line in lines[1:]] == [
        "deployments.csv, line 2",
        "media.csv, line 3",
        "media.csv, line 4",
        "media.csv, line 5",
        "observations.csv, line 2",
        "observations.csv, line 3",
        "observations.csv, line 4",
    ]
    assert "its mediaID 'm0' is that of media.csv, line 2 as well" in lines[2]
    assert "no observationType 'beast': expected one of animal, blank, human" in lines[5]


def test_a_package_that_is_none_says_why(root: Path, tmp_path: Path) -> None:
    def change(**descriptor: Any) -> str:
        write_package(root, DEPLOYMENTS, [medium(0)], [seen(0, name="Ursus arctos")], **descriptor)
        return refusal(root)

    tables = [{"name": name, "path": f"{name}.csv"} for name in ("deployments", "media", "observations")]
    assert "all photos" in change()  # of one class
    assert "no list of resources" in change(resources={})
    assert "no table observations: expected Camtrap DP, with deployments, media, observations" in change(
        resources=tables[:2]
    )
    assert "leads out of the folder" in change(resources=[tables[0] | {"path": "../x.csv"}, *tables[1:]])
    assert "isn't one file beside it" in change(resources=[tables[0] | {"path": ["a.csv", "b.csv"]}, *tables[1:]])
    assert "isn't one file beside it" in change(resources=[{"name": "deployments", "data": []}, *tables[1:]])
    assert "isn't one file beside it" in change(resources=[tables[0] | {"path": "https://x.org/a"}, *tables[1:]])
    assert "and none can have that name" in change(resources=[tables[0] | {"path": "\0"}, *tables[1:]])
    old = "https://raw.githubusercontent.com/tdwg/camtrap-dp/0.6/camtrap-dp-profile.json"
    assert "is of version 0.6 of Camtrap DP: export it as 1.0" in change(profile=old)
    (root / "media.csv").write_text("mediaID,filePath\n")
    descriptor = json.loads((root / "datapackage.json").read_text()) | {"profile": "tabular-data-package"}
    (root / "datapackage.json").write_text(json.dumps(descriptor))
    assert "media.csv has no columns 'deploymentID' and 'timestamp'" in refusal(root)
    write_package(root, DEPLOYMENTS, [medium(0, filePath="https://x.org/0.jpg")], [])
    assert "all photos of" in refusal(root) and "are on the web" in refusal(root)
    assert "there is no file" in refusal(tmp_path)


def test_the_folder_and_its_descriptor_are_the_same_data_set(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    media = [medium(n) for n in range(20)]
    observations = [seen(n, name=("Ursus arctos", "Canis lupus")[n % 2]) for n in range(19)]
    write_package(root, DEPLOYMENTS, media, observations)
    config = DataConfig(path=str(root), image_size=8, group="none")  # there are two sites alone
    dataset = Dataset.from_config(config)
    assert set(dataset.counts()) == {"train", "valid", "test"}
    for same in (root, root / "datapackage.json"):
        assert find_source(str(same)).name == "camtrap_dp"
        assert Dataset.from_camtrap_dp(same, image_size=8, group="none") == dataset
    assert Dataset.from_record(json.loads(json.dumps(dataset.to_json())), config) == dataset


def test_another_data_package_among_class_folders_changes_nothing(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"bear": 3, "wolf": 3})
    (root / "datapackage.json").write_text('{"resources": [{"name": "photos"}]}')
    assert find_source(str(root)).name == "folders"
