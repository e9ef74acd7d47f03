"""COCO Camera Traps files as a source."""

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bearcnn.config import DataConfig
from bearcnn.data.dataset import Dataset
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.coco import list_coco
from bearcnn.errors import DataError
from tests.helpers.folders import fill

CATEGORIES = [
    {"id": 0, "name": "empty"},
    {"id": 1, "name": "Bear"},
    {"id": 2, "name": "wolf"},
    {"id": "3", "name": "unknown"},
    {"id": 4, "name": "Ursus americanus"},
    {"id": 5, "name": "blank"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "data", {"img": 20})


def write(root: Path, document: Any) -> Path:
    (root / "labels.json").write_text(json.dumps(document), encoding="utf-8")
    return root / "labels.json"


def listed(root: Path, images: list[Any], annotations: list[Any], categories: Any = None) -> Listing:
    document = {"info": {}, "images": images, "annotations": annotations, "categories": categories or CATEGORIES}
    return list_coco(write(root, document), ["bear"])


def image(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"img/{number}.png"} | more


def note(image_id: Any, category: Any, **more: Any) -> dict[str, Any]:
    return {"id": f"{image_id}-{category}", "image_id": image_id, "category_id": category} | more


def refusal(root: Path, document: Any) -> str:
    with pytest.raises(DataError) as caught:
        list_coco(write(root, document), ["bear"])
    return str(caught.value)


def test_a_file_with_every_oddity_gives_the_labels_that_it_has(root: Path) -> None:
    nan = math.nan
    images = [
        image(0, location=7, seq_id=12, datetime="2024-05-01 12:00:00", width=6, height=6, seq_num_frames=3),
        image(1, location=nan, seq_id=nan, datetime=nan, corrupt=nan, frame_num=nan),
        image(2, location="north\ncreek", seq_id="s 1", datetime="31.5.2024"),
        image(3, corrupt=True),
        image(4, corrupt=False),
        image(5, corrupt=None),
        image(6),
        image(7),
        image(8),
        image(9),
        image(10) | {"id": "ten"},
        image(11) | {"id": 11.0},
        {"id": "win", "file_name": "img\\12.png"},
    ]
    annotations = [
        note(0, 2),
        note(0, 1),
        note(0, 2),  # any bear makes it a bear
        note(1, 0, bbox=nan, count=nan),
        note("2", "2", sequence_level_annotation=True),  # ids as text
        note(3, 1),
        note(4, 3),
        note(5, 3),
        note(5, 1),
        note(7, 0),
        note(7, 2),
        note(8, 5),
        note(9, 4),
        note("ten", 2),
        note(11, 1),
        note("win", 2),
        note("of a photo that isn't listed", 2),
    ]
    listing = listed(root, images, annotations)
    path = root / "img"
    assert listing.labelled == (
        LabelledPhoto(path / "0.png", 1, "bear", None, "7", "12", datetime(2024, 5, 1, 12)),
        LabelledPhoto(path / "1.png", 0, "empty"),
        LabelledPhoto(path / "2.png", 0, "wolf", None, "north creek", "s 1"),
        LabelledPhoto(path / "5.png", 1, "bear"),
        LabelledPhoto(path / "7.png", 0, "wolf"),
        LabelledPhoto(path / "8.png", 0, "empty"),
        LabelledPhoto(path / "9.png", 1, "Ursus americanus"),
        LabelledPhoto(path / "10.png", 0, "wolf"),
        LabelledPhoto(path / "11.png", 1, "bear"),
        LabelledPhoto(path / "12.png", 0, "wolf"),
    )
    assert listing.skipped == (
        SkippedPhoto(path / "3.png", "marked as corrupt", unread=True),
        SkippedPhoto(path / "4.png", "labelled unknown, perhaps bear", unread=True),
        SkippedPhoto(path / "6.png", "no annotation", unread=True),
    )
    assert (listing.root, listing.splits) == (root, frozenset())


def test_the_name_of_category_0_counts_and_none_means_empty(root: Path) -> None:
    two = [image(0), image(1)]
    named = [{"id": 0, "name": "bear"}, {"id": 1, "name": "wolf"}]
    assert [photo.label for photo in listed(root, two, [note(0, 0), note(1, 1)], named).labelled] == [1, 0]
    nameless = [{"id": 0}, {"id": 1, "name": "bear"}]
    listing = listed(root, two, [note(0, 0), note(1, 1)], nameless)
    assert [photo.subclass for photo in listing.labelled] == ["empty", "bear"]


def test_what_cannot_be_right_is_all_named_by_its_place_in_the_list(root: Path) -> None:
    images = [
        image(0),
        {"id": 1},
        "x",
        image(0),
        {"id": None, "file_name": "a.jpg"},
        image(5) | {"file_name": "\ud800"},
    ]
    annotations = [note(0, 1), note(0, 99), note(None, 1), 7]
    document = {"images": [*images, image(7), image(8) | {"file_name": "img/7.png"}], "annotations": annotations}
    document["annotations"] += [note(7, 1), note(8, 2)]
    assert refusal(root, document | {"categories": CATEGORIES}).splitlines() == [
        f"{root}/labels.json has 9 problems to correct before it can be used",
        "annotation 2 of the list: there is no category '99'",
        "annotation 3 of the list: no image_id or no category_id",
        "annotation 4 of the list: no image_id or no category_id",
        "image 2 of the list: no id, or no file_name that can be a file's name",
        "image 3 of the list: no id, or no file_name that can be a file's name",
        "image 4 of the list: its id '0' is that of image 1 as well",
        "image 5 of the list: no id, or no file_name that can be a file's name",
        "image 6 of the list: no id, or no file_name that can be a file's name",
        "image 8 of the list: '7.png' is in image 7 of the list as well, with another label "
        "('bear', positive there, 'wolf', not positive here)",
    ]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([{"file_name": "a.jpg"}], "a bare list, as in Microsoft's new JSON format"),
        ({"images": [], "detection_categories": {"1": "animal"}}, "MegaDetector.*it belongs to `detections`"),
        ({"predictions": [{"filepath": "a.jpg"}]}, "SpeciesNet"),
        ({"resources": []}, "call it datapackage.json"),
        ({"images": [], "annotations": []}, "lacks the names of the labels: it has no list of categories"),
        ({"type": "FeatureCollection"}, "no list of images and annotations and categories; expected COCO Camera Traps"),
        (3, "is not COCO Camera Traps"),
        ({"images": [], "annotations": [], "categories": [{"id": 1}]}, "category 1 of the list has no id and name"),
        (
            {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]},
            "category 2 of the list",
        ),
        ({"images": [], "annotations": [], "categories": []}, "lists no photo"),
    ],
)
def test_other_formats_are_refused_by_name(root: Path, document: Any, reason: str) -> None:
    message = refusal(root, document)
    assert "\n" not in message
    with pytest.raises(DataError, match=reason):
        list_coco(root / "labels.json", ["bear"])


def test_a_file_without_bears_names_its_categories(root: Path) -> None:
    message = refusal(root, {"images": [image(0)], "annotations": [note(0, 2)], "categories": CATEGORIES[2:3]})
    assert "(found: wolf)" in message


def test_it_is_a_data_set_like_any_other(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    images = [image(number) for number in range(20)]
    (root / "img/19.png").unlink()
    file = write(
        root,
        {
            "images": images,
            "annotations": [note(n, 1 + n % 2) for n in range(18)] + [note(19, 1)],
            "categories": CATEGORIES,
        },
    )
    dataset = Dataset.from_coco(file, image_size=8, test_share=0)
    assert set(dataset.counts()) == {"train", "valid"}
    assert {photo.path.name: photo.reason for photo in dataset.skipped} == {
        "18.png": "no annotation",
        "19.png": "file not found",
    }
    assert len(dataset.pixels) == 19
    config = DataConfig(path=str(file), image_size=8, test_share=0)
    assert (
        Dataset.from_record(json.loads(json.dumps(dataset.to_json())), config) == dataset == Dataset.from_config(config)
    )
