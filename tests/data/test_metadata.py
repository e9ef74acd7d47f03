"""The time and the camera of a photo."""

from datetime import datetime

import pytest
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from bearcnn.data.metadata import Metadata, read_metadata, time_in_name


def save_with_exif(path, *, original=None, changed=None, make=None, model=None, serial=None):
    exif = Image.Exif()
    for tag, value in ((ExifTags.Base.DateTime, changed), (ExifTags.Base.Make, make), (ExifTags.Base.Model, model)):
        if value is not None:
            exif[tag] = value
    details = {ExifTags.Base.DateTimeOriginal: original, ExifTags.Base.BodySerialNumber: serial}
    exif.get_ifd(ExifTags.IFD.Exif).update({tag: value for tag, value in details.items() if value is not None})
    Image.new("RGB", (16, 12)).save(path, exif=exif)
    return path


class TestReadMetadata:
    def test_the_original_time_comes_before_that_of_a_change(self, tmp_path):
        file = save_with_exif(tmp_path / "a.jpg", original="2024:01:31 23:59:58", changed="2025:02:03 04:05:06")
        assert read_metadata(file).taken == datetime(2024, 1, 31, 23, 59, 58)

    @pytest.mark.parametrize("with_exif", [True, False])
    def test_the_picture_itself_is_not_decoded(self, tmp_path, monkeypatch, with_exif):
        changed = "2025:02:03 04:05:06" if with_exif else None
        files = [save_with_exif(tmp_path / f"a.{suffix}", changed=changed) for suffix in ("png", "jpg", "webp", "tif")]
        for plugin in (PngImagePlugin.PngImageFile, ImageFile.ImageFile):
            monkeypatch.setattr(plugin, "load", None)
        taken = datetime(2025, 2, 3, 4, 5, 6) if with_exif else None
        assert [read_metadata(file).taken for file in files] == [taken] * 4

    def test_the_time_of_a_change_is_better_than_none(self, tmp_path):
        file = save_with_exif(tmp_path / "a.jpg", changed="2025:02:03 04:05:06")
        assert read_metadata(file).taken == datetime(2025, 2, 3, 4, 5, 6)

    def test_a_clock_that_was_never_set_leaves_the_time_in_the_name(self, tmp_path):
        file = save_with_exif(tmp_path / "IMG_20240131_235958.jpg", original="0000:00:00 00:00:00")
        assert read_metadata(file).taken == datetime(2024, 1, 31, 23, 59, 58)

    @pytest.mark.parametrize(
        ("original", "unset"),
        [("0000:00:00 00:00:00", True), ("    :  :     :  :  ", True), ("2024:01:31 23:59:58", False), (None, False)],
    )
    def test_a_clock_that_was_never_set_is_told_from_no_clock(self, tmp_path, original, unset):
        assert read_metadata(save_with_exif(tmp_path / "a.jpg", original=original)).unset is unset

    def test_the_camera_is_its_maker_model_and_serial_number(self, tmp_path):
        file = save_with_exif(tmp_path / "a.jpg", make="RECONYX\0", model=" HF2  PRO ", serial="H2UX1")
        assert read_metadata(file).camera == "RECONYX HF2 PRO H2UX1"

    def test_a_file_that_is_no_picture_has_no_metadata(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"no picture")
        assert read_metadata(tmp_path / "a.jpg") == read_metadata(tmp_path / "none.jpg") == Metadata()


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("IMG_20240131_235958.jpg", datetime(2024, 1, 31, 23, 59, 58)),
        ("site7 2024-01-31 23.59.58.jpg", datetime(2024, 1, 31, 23, 59, 58)),
        ("2024-01-31T23:59:58.png", datetime(2024, 1, 31, 23, 59, 58)),
        ("2024-01-31_23-59-58-2.png", datetime(2024, 1, 31, 23, 59, 58)),
        ("20240131235958.jpg", datetime(2024, 1, 31, 23, 59, 58)),
        ("20241331235958.jpg", None),
        ("120240131235958.jpg", None),
        ("bear.jpg", None),
    ],
)
def test_time_in_name(name, time):
    assert time_in_name(name) == time
