from datetime import UTC, datetime
from pathlib import Path

import pytest

from bearcnn.data.metadata import Metadata, time_in_name
from bearcnn.errors import BearcnnError, DataError
from bearcnn.inference.camtrap.new import parse_coordinates, plan_package, read_deployments
from bearcnn.inference.camtrap.times import CameraClock

CARD = Path("/card")
UTC_CLOCK = CameraClock(UTC)


def plan(*names: str, **settings):
    defaults = {"scientific_name": "Ursus arctos", "clock": UTC_CLOCK, "folder": CARD, "coordinates": (46.05, 14.51)}
    paths = [CARD / name for name in names]
    return plan_package(paths, **{**defaults, **settings}, read=lambda path: Metadata(time_in_name(path.name)))


def test_each_site_is_a_deployment_from_its_first_to_its_last_photo():
    found = plan("a/20240501_120000.jpg", "a/20240502_130000.jpg", "b/DCIM/100RECNX/20240503_000001.jpg")
    assert [
        (row["deploymentID"], row["deploymentStart"], row["deploymentEnd"]) for row in found.deployments.values()
    ] == [
        ("a", "2024-05-01T12:00:00+00:00", "2024-05-02T13:00:00+00:00"),
        ("b", "2024-05-03T00:00:01+00:00", "2024-05-03T00:00:01+00:00"),
    ]
    medium = found.photos["/card/b/DCIM/100RECNX/20240503_000001.jpg"]
    assert (medium.media_id, medium.deployment) == ("b/DCIM/100RECNX/20240503_000001.jpg", "b")
    assert medium.taken == datetime(2024, 5, 3, 0, 0, 1, tzinfo=UTC)


def test_a_guessed_zone_is_said_in_the_package_and_a_given_one_is_no_issue():
    assert plan("20240501_120000.jpg").deployments["card"]["timestampIssues"] == ""
    guessed = plan("20240501_120000.jpg", clock=CameraClock())
    assert guessed.deployments["card"]["timestampIssues"] == "true"
    assert any("`timezone`" in note for note in guessed.notes())


def test_photos_without_a_time_or_with_a_name_that_is_not_allowed_are_left_out_with_the_reason():
    found = plan(
        "20240501_120000.jpg",
        "holiday.jpg",
        "20240501_120000..jpg",
        "line\n20240501_120000.jpg",
        "b\udce4r_20240501_120000.jpg",
    )
    assert list(found.photos) == ["/card/20240501_120000.jpg"]
    assert list(found.left_out.values()) == [
        "it has no time, neither in its EXIF data nor in its name",
        *["its name is not allowed in Camtrap DP"] * 3,
    ]


def test_a_package_of_photos_without_any_time_is_refused():
    with pytest.raises(DataError, match="none of the photos has a time"):
        plan("a.jpg", "b.jpg")


def test_a_camera_whose_place_is_unknown_is_refused_by_name():
    with pytest.raises(DataError, match=r"give `coordinates`.*or `deployments`.*for a, b$"):
        plan(
            "a/20240501_120000.jpg",
            "b/20240501_120000.jpg",
            "c/20240501_120000.jpg",
            coordinates=None,
            deployments={"c": {"latitude": "1", "longitude": "2"}},
        )


def test_a_file_of_deployments_wins_over_coordinates_and_photos(tmp_path):
    file = tmp_path / "cameras.csv"
    file.write_text(
        "deploymentID,latitude,longitude,locationName,deploymentEnd\n"
        "a,-12.5,30,Spring,2024-06-01T00:00:00+00:00\nunused,0,0,,\n"
    )
    found = plan("a/20240501_120000.jpg", "b/20240501_120000.jpg", deployments=read_deployments(file))
    assert found.deployments["a"] == {
        "deploymentID": "a",
        "latitude": "-12.5",
        "longitude": "30",
        "locationName": "Spring",
        "timestampIssues": "",
        "deploymentStart": "2024-05-01T12:00:00+00:00",
        "deploymentEnd": "2024-06-01T00:00:00+00:00",
    }
    assert found.deployments["b"]["latitude"] == "46.05"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("deploymentID,latitude\na,1\n", "lacks longitude"),
        ("deploymentID,latitude,longitude,colour\na,1,2,red\n", "has colour, which Camtrap DP lacks"),
        ("deploymentID,latitude,longitude\na,1,2\nb,100,2\n", "line 3: expected latitude and longitude"),
        ("deploymentID,latitude,longitude\na,1,2,3\n", "is no CSV file: a row has more cells"),
    ],
)
def test_a_file_of_deployments_with_a_problem_is_refused(tmp_path, content, reason):
    (tmp_path / "cameras.csv").write_text(content)
    with pytest.raises(DataError, match=reason):
        read_deployments(tmp_path / "cameras.csv")


def test_a_missing_file_of_deployments_says_so(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        read_deployments(tmp_path / "cameras.csv")


@pytest.mark.parametrize("text", ["46.05", "91,0", "0,181", "a,b", "nan,0", ""])
def test_coordinates_are_two_numbers_on_the_globe(text):
    assert parse_coordinates("-46.05, 14.51") == (-46.05, 14.51)
    with pytest.raises(BearcnnError, match="`coordinates`"):
        parse_coordinates(text)
