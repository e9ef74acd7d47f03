import json
from pathlib import Path
from typing import Any

import pytest

from bearcnn.data.megadetector import Detection, read_detections
from bearcnn.errors import DataError
from tests.helpers.folders import paint

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}


def write(path: Path, *images: Any, **content: Any) -> Path:
    whole = {"info": {"format_version": "1.5"}, "detection_categories": CATEGORIES, "images": list(images)}
    path.write_text(json.dumps(whole | content), encoding="utf-8")
    return path


def found(file: str, *detections: tuple[float, list[float]], category: str = "1") -> dict[str, Any]:
    listed = [{"category": category, "conf": conf, "bbox": bbox} for conf, bbox in detections]
    return {"file": file, "detections": listed}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "card" / "camera"
    for number, name in enumerate(("a.jpg", "b.jpg", "sub/c.jpg")):
        paint(root / name, number)
    return root


def test_animals_come_with_the_surest_first_and_people_are_none(tmp_path):
    file = write(
        tmp_path / "md.json",
        found("a.jpg", (0.3, [0, 0, 0.5, 0.25]), (0.9, [0.5, 0.5, 0.25, 0.5])),
        found("b.jpg", (0.99, [0, 0, 1, 1]), category="2"),
        {"file": "c.jpg", "detections": []},
        {"file": "d.jpg", "detections": None, "failure": "Failure image access"},
        {"file": "e.jpg", "failure": "as version 1.0 wrote it"},
    )
    animals = read_detections(file).animals
    assert animals["a.jpg"] == (Detection(0.9, (0.5, 0.5, 0.75, 1.0)), Detection(0.3, (0, 0, 0.5, 0.25)))
    assert animals["b.jpg"] == animals["c.jpg"] == ()
    assert animals["d.jpg"] is animals["e.jpg"] is None


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", 1.6])
def test_every_version_of_the_format_is_read(tmp_path, version):
    file = write(tmp_path / "md.json", found("a.jpg", (0.5, [0, 0, 1, 1])), info={"format_version": version})
    assert len(read_detections(file).animals) == 1


def test_the_file_suggests_the_threshold(tmp_path, photos):
    image = found("a.jpg", (0.15, [0, 0, 0.5, 0.5]), (0.25, [0, 0, 1, 1]))

    def boxes(threshold: Any = "auto", **detector: Any) -> int:
        info = {"format_version": "1.5", "detector_metadata": detector}
        read = read_detections(write(tmp_path / "md.json", image, info=info)).boxes([photos], threshold)
        return len(read[str(photos / "a.jpg")] or ())

    assert boxes() == 1
    assert boxes(typical_detection_threshold=0.1) == 2
    assert boxes(typical_detection_threshold=0.3) == 0
    assert boxes(typical_detection_threshold="high") == 1
    assert boxes(0.25, typical_detection_threshold=0.9) == 1  # a detection at the threshold counts


def test_names_are_relative_to_a_folder_of_the_photos_or_one_above(tmp_path, photos):
    for prefix in ("", "camera/", "card/camera/", f"{photos}/"):
        file = write(
            tmp_path / "md.json", *(found(prefix + name, (0.5, [0, 0, 1, 1])) for name in ("a.jpg", "sub/c.jpg"))
        )
        for folder in (photos, photos / "sub"):
            assert set(read_detections(file).boxes([folder])) == {str(photos / "a.jpg"), str(photos / "sub" / "c.jpg")}


def test_a_windows_computers_names_are_found(tmp_path, photos):
    file = write(tmp_path / "md.json", found("sub\\c.jpg", (0.5, [0, 0, 1, 1])))
    assert set(read_detections(file).boxes([photos])) == {str(photos / "sub" / "c.jpg")}


def test_the_folder_with_most_of_the_photos_wins(tmp_path, photos):
    other = tmp_path / "other"
    paint(other / "a.jpg", 9)
    file = write(tmp_path / "md.json", found("a.jpg"), found("b.jpg"))
    assert str(photos / "b.jpg") in read_detections(file).boxes([other, photos])


def test_a_file_of_other_photos_is_refused_with_a_name_of_them(tmp_path, photos):
    file = write(tmp_path / "elsewhere.json", found("far/away-\ud800.jpg", (0.5, [0, 0, 1, 1])))
    with pytest.raises(DataError, match=r"elsewhere\.json: none of its photos, such as far/away-.*camera or a folder"):
        read_detections(file).boxes([photos])


def test_a_photo_listed_twice_has_the_animals_of_both(tmp_path):
    one, two = (0.5, [0, 0, 0.5, 0.5]), (0.7, [0.5, 0.5, 0.5, 0.5])
    animals = read_detections(write(tmp_path / "md.json", found("./a.jpg", one), found("a.jpg", two))).animals
    assert [each.confidence for each in animals["a.jpg"] or ()] == [0.7, 0.5]


def test_a_detector_that_rounds_stays_inside(tmp_path):
    animals = read_detections(write(tmp_path / "md.json", found("a.jpg", (0.5, [-0.001, 0.5, 1.002, 0.501])))).animals
    assert animals["a.jpg"] == (Detection(0.5, (0, 0.5, 1, 1)),)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([{"img_id": "a.jpg"}], "a bare list, as Microsoft's PytorchWildlife"),
        ({"predictions": [{"filepath": "a.jpg"}]}, "SpeciesNet's predictions"),
        ({"images": [], "annotations": [], "categories": []}, "COCO annotations"),
        ({"images": {}, "detection_categories": CATEGORIES}, "JSON without a list called images"),
        ({"images": []}, "JSON without a list called images"),
        ("text", "a single value"),
        ({"info": {"format_version": "2.0"}, "images": [], "detection_categories": {}}, "format version 2.0"),
        ({"images": [], "detection_categories": CATEGORIES}, "its list of images is empty"),
        ({"images": [], "detection_categories": {"1": "deer"}}, "no detection category called animal .it has: deer"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path, content, problem):
    file = tmp_path / "md.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"md.json .*{problem}"):
        read_detections(file)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (found("a.jpg", (1.5, [0, 0, 1, 1])), "conf 1.5 is not between 0 and 1"),
        (found("a.jpg", (float("nan"), [0, 0, 1, 1])), "conf nan"),
        (found("a.jpg", (0.5, [12, 40, 300, 200])), r"bbox .* is not .x, y, width, height. as shares"),
        (found("a.jpg", (0.5, [0.5, 0.5, -0.1, 0.1])), "bbox"),
        (found("a.jpg", (0.5, [0, 0, 1])), "expected 4"),
        ({"file": "a.jpg", "detections": [{"category": "1", "bbox": [0, 0, 1, 1]}]}, "'conf' is missing"),
        ({"file": "a.jpg", "detections": [None]}, ""),
        ({"file": "a.jpg", "detections": 7}, ""),
        ({"detections": []}, "'file' is missing"),
        ({"file": 3, "detections": []}, "its file is no name"),
        ("a.jpg", ""),
        (None, ""),
        (found("a.jpg", (10**400, [0, 0, 1, 1])), ""),  # json takes it, float doesn't
    ],
)
def test_a_damaged_entry_is_named(tmp_path, image, problem):
    with pytest.raises(DataError, match=rf"images\[1\] .*is damaged: .*{problem}"):
        read_detections(write(tmp_path / "md.json", found("good.jpg"), image))


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path, content):
    (tmp_path / "md.json").write_bytes(content)
    with pytest.raises(DataError, match=r"md\.json is not JSON"):
        read_detections(tmp_path / "md.json")


def test_a_file_that_is_not_there_or_a_folder_is_one_line(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match="can't be read"):
            read_detections(path)
