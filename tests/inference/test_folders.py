from pathlib import Path

import pytest

from bearcnn.inference.folders import common_folder, name_site, relative_path, stay_outside


def test_no_folder_has_no_common_folder():
    assert common_folder([]) is None
    assert common_folder(["/x/a", "/x/b/c"]) == Path("/x")


def test_a_photo_outside_the_folder_keeps_its_whole_path_below_it():
    assert relative_path("/x/a/1.jpg", Path("/x")).as_posix() == "a/1.jpg"
    assert relative_path("/y/../z/1.jpg", Path("/x")).as_posix() == "z/1.jpg"
    assert relative_path("/x/a/1.jpg", None).as_posix() == "x/a/1.jpg"


@pytest.mark.parametrize(
    ("folder", "common", "site"),
    [
        ("/s/cam1/DCIM/100RECNX", "/s", "cam1"),
        ("/s/DCIM/cam2/101EK113", "/s", "cam2"),
        ("/s/cam3/DCIM/100RECNX", "/s/cam3/DCIM/100RECNX", "cam3"),
        ("/s", "/s", "s"),
        ("/", "/", "photos"),
    ],
)
def test_a_site_is_the_first_folder_that_names_a_place(folder, common, site):
    assert name_site(folder, Path(common)) == site


def test_photos_inside_a_folder_and_behind_links_into_it_stay_out(tmp_path):
    (tmp_path / "sorted" / "bear").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "sorted")
    inside = [tmp_path / "sorted" / "bear" / "a.jpg", tmp_path / "link" / "b.jpg"]
    outside = [tmp_path / "a.jpg", tmp_path / "sorted2" / "a.jpg", Path("nul\0/a.jpg")]
    assert list(stay_outside([*inside, *outside], tmp_path / "sorted")) == outside
