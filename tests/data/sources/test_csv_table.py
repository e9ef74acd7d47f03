"""CSV files as a source."""

import csv
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.config import DataConfig
from bearcnn.data.dataset import Dataset
from bearcnn.data.sources.base import LabelledPhoto, Listing
from bearcnn.data.sources.csv_table import list_csv
from bearcnn.errors import ConfigError, DataError
from tests.helpers.folders import fill, paint

NOON = datetime(2024, 5, 1, 12)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {"north": 12, "south": 12})


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))


def listed(root: Path, text: str, positive: list[str] | None = None, **options: Any) -> Listing:
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return list_csv(root / "labels.csv", positive or ["bear"], **options)


def labels(listing: Listing) -> dict[str, tuple[int, str]]:
    return {
        photo.path.relative_to(listing.root).as_posix(): (photo.label, photo.subclass) for photo in listing.labelled
    }


def refusal(root: Path, text: str, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        listed(root, text, **options)
    return str(caught.value).splitlines()


def test_every_column_reaches_the_photo(photos: Path) -> None:
    listing = listed(
        photos,
        "site,datetime,label,note,filepath,split,subclass,sequence\n"
        "creek,2024-05-01 12:00:00,bear,,north/0.png,train,brown bear,s1\n"
        "ridge,2024:05:01 12:00:00,wolf,!,south/0.png,VAL,,\n",
    )
    assert listing.labelled == (
        LabelledPhoto(photos / "north/0.png", 1, "brown bear", "train", "creek", "s1", NOON),
        LabelledPhoto(photos / "south/0.png", 0, "wolf", "valid", "ridge", None, NOON),
    )
    assert (listing.root, listing.splits) == (photos, {"train", "valid"})


def test_labels_are_compared_in_any_case_and_subclasses_have_one_spelling(photos: Path) -> None:
    rows = [
        "north/0.png,BEAR",
        "north/1.png,Wolf",
        "north/2.png,wolf",
        "north/3.png,Brown Bear",
        "north/4.png,Ursus sp.",
    ]
    for ordered in (rows, rows[::-1]):
        assert labels(listed(photos, "\n".join(["filepath,label", *ordered]), ["bear", "brown bear"])) == {
            "north/0.png": (1, "bear"),
            "north/1.png": (0, "Wolf"),
            "north/2.png": (0, "Wolf"),
            "north/3.png": (1, "brown bear"),
            "north/4.png": (1, "Ursus sp."),
        }


def test_columns_can_have_other_names_and_the_path_several(photos: Path) -> None:
    paint(photos / "top.png", 999)
    listing = listed(
        photos,
        "File;RelativePath;Species;Station\n0.png;north;bear;n\n1.png;south;wolf;s\ntop.png;;fox;\n",
        columns={"filepath": ("RelativePath", "File"), "label": ("Species",), "site": ("Station",)},
    )
    assert labels(listing) == {"north/0.png": (1, "bear"), "south/1.png": (0, "wolf"), "top.png": (0, "fox")}
    assert [photo.site for photo in listing.labelled] == ["n", "s", None]
    assert refusal(photos, "File,Species\nnorth/0.png,bear\n") == [
        f"{photos}/labels.csv has no columns 'filepath' and 'label' (it has File, Species); did you mean File?; "
        "say what yours are called: `column` filepath=NAME `column` label=NAME"
    ]
    assert "has no column 'Place'" in refusal(photos, "filepath,label\n", columns={"site": ("Place",)})[0]


def test_all_wrong_rows_are_named_at_once_with_their_lines(photos: Path) -> None:
    assert refusal(
        photos,
        "filepath,label,split,datetime\n"
        '"north/0.png",bear,train,"2024-05-01\n12:00"\n'
        ",wolf,,\n"
        "north/1.png,wolf,tset,1.5.2024\n"
        "north/2.png,wolf\n"
        "north/0.png,wolf,train,\n"
        "north/3.png,fox,train,\n"
        "north/3.png,fox,test,\n"
        "north/4.png,wolf,,\n"
        "north/4.png,,,\n",
    ) == [
        f"{photos}/labels.csv has 6 problems to correct before it can be used",
        "line 4: no path",
        "line 5: there is no split 'tset': expected train, valid (val) or test; did you mean test?; "
        "the time '1.5.2024' isn't known; write it as 2024-01-31 23:59:00 or 2024-01-31T23:59:00+02:00 (ISO 8601) "
        "or 2024:01:31 23:59:00 (EXIF), or rename the column",
        "line 6: 2 cells for 4 columns (a cell with ',' in it needs quotes)",
        "line 7: '0.png' is in line 2 as well, with another label ('bear', positive there, 'wolf', not positive here)",
        "line 9: '3.png' is in line 8 as well, with another split ('train' there, 'test' here)",
        "line 11: '4.png' is in line 10 as well, with another label ('wolf', not positive there, no label here)",
    ]


def test_of_many_wrong_rows_the_first_twenty_are_named(photos: Path) -> None:
    lines = refusal(photos, "filepath,label\n" + "x.png,bear,\n" * 1234)
    assert lines[0].endswith("has 1,234 problems to correct before it can be used")
    assert (len(lines), lines[1][:7], lines[20][:8], lines[21]) == (22, "line 2:", "line 21:", "and 1,214 more")


def test_the_same_row_twice_is_one_photo(photos: Path) -> None:
    text = "filepath,label\nnorth/0.png,bear\nnorth/1.png,wolf\n./north/0.png,Bear\nnorth/../north/0.png,bear\n"
    assert labels(listed(photos, text)) == {"north/0.png": (1, "bear"), "north/1.png": (0, "wolf")}


def test_rows_without_label_are_skipped_unread_and_absent_photos_as_from_any_source(
    photos: Path, own_cache: None
) -> None:
    rows = [f"{site}/{n}.png,{'bear' if site == 'north' else 'wolf'}" for site in ("north", "south") for n in range(11)]
    listed(photos, "\n".join(["filepath,label", *rows, "north/11.png,", "south/11.png,Unknown", "gone.png,bear"]))
    dataset = Dataset.from_csv(photos / "labels.csv", image_size=8)
    assert {
        photo.path.name: (photo.reason, photo.unread) for photo in dataset.skipped if photo.path.name != "11.png"
    } == {"gone.png": ("file not found", False)}
    assert {(photo.path.parent.name, photo.reason) for photo in dataset.skipped if photo.unread} == {
        ("north", "no label"),
        ("south", "labelled Unknown, perhaps bear"),
    }
    assert len(dataset.pixels) == 23
    config = DataConfig(path=str(photos / "labels.csv"), image_size=8)
    assert (
        Dataset.from_record(json.loads(json.dumps(dataset.to_json())), config) == dataset == Dataset.from_config(config)
    )


def test_videos_are_skipped_unread(photos: Path) -> None:
    (photos / "clip.MP4").write_bytes(b"")
    listing = listed(photos, "filepath,label\nnorth/0.png,bear\nclip.MP4,bear\nnorth/1.png,wolf\n")
    assert [(photo.path.name, photo.reason, photo.unread) for photo in listing.skipped] == [
        ("clip.MP4", "a video, not a photo", True)
    ]


def test_a_file_whose_photos_are_all_elsewhere_says_where_they_would_be(photos: Path) -> None:
    (message,) = refusal(photos, "filepath,label\nnroth/0.png,bear\nnroth/1.png,wolf\n")
    assert "none of the 2 photos" in message and f"such as '{photos}/nroth/0.png'" in message
    assert f"its paths start from {photos};" in message


def test_rows_without_a_split_are_for_training_where_others_have_one(photos: Path) -> None:
    listing = listed(photos, "filepath,label,split\nnorth/0.png,bear,\nnorth/1.png,wolf,test\n")
    assert [photo.split for photo in listing.labelled] == ["train", "test"]
    assert listing.splits == {"train", "test"}
    assert listed(photos, "filepath,label,split\nnorth/0.png,bear,\nnorth/1.png,wolf,\n").splits == frozenset()
    unusable = listed(
        photos, "filepath,label,split\nnorth/0.png,bear,train\nnorth/1.png,wolf,train\nnorth/2.png,,test\n"
    )
    assert unusable.splits == {"train", "test"}


def test_photos_for_the_test_alone_can_be_evaluated_but_not_trained_on(photos: Path, own_cache: None) -> None:
    listed(photos, "filepath,label,split\nnorth/0.png,bear,test\nnorth/1.png,wolf,test\n")
    config = DataConfig(image_size=8)
    assert Dataset.for_evaluation(photos / "labels.csv", config).evaluation_split() == "test"
    with pytest.raises(DataError, match=r"labels\.csv has photos for test but none to train on \(no row of the split"):
        Dataset.from_csv(photos / "labels.csv", image_size=8)


def test_paths_may_be_absolute_lead_up_or_come_from_windows(photos: Path, tmp_path: Path, own_cache: None) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    rows = [f"{photos}/north/{n}.png,bear" for n in range(6)] + [
        f"..\\photos\\north\\{n}.png ,bear" for n in range(6, 12)
    ]
    rows += [f"../photos/south/{n}.png,wolf" for n in range(12)]
    listing = listed(tables, "\n".join(["filepath,label", *rows]))
    assert listing.root == photos
    assert len(labels(listing)) == 24
    dataset = Dataset.from_csv(os.path.relpath(tables / "labels.csv"), image_size=8)
    config = DataConfig(path=str(tables / "labels.csv"), image_size=8)
    assert Dataset.from_record(json.loads(json.dumps(dataset.to_json())), config) == dataset
    folders = fill(tmp_path / "classes", {"bear": 12, "wolf": 12})
    assert dataset.counts() == Dataset.from_folder(folders, image_size=8).counts()


def test_a_path_that_leads_up_from_a_link_is_followed_as_the_system_does(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "link").symlink_to(photos / "north", target_is_directory=True)
    listing = listed(tmp_path, "filepath,label\ndeep/link/../south/0.png,bear\nphotos/north/0.png,wolf\n")
    assert labels(listing) == {"photos/south/0.png": (1, "bear"), "photos/north/0.png": (0, "wolf")}


@pytest.mark.skipif(os.name != "posix", reason="names are always text here")
def test_odd_names_are_found_as_they_are_and_other_stray_bytes_are_refused(photos: Path) -> None:
    odd = [b"b\xe4r.png", b"a\\b.png", b" space .png", b"zeile\nzwei.png"]
    for number, name in enumerate(odd):
        paint(photos / os.fsdecode(name), 900 + number)
    table = b"filepath,label\n" + b"".join(b'"%s",%s\n' % (name, b"bear" if name[0] == 98 else b"fox") for name in odd)
    (photos / "labels.csv").write_bytes(table)
    listing = list_csv(photos / "labels.csv", ["bear"])
    assert {os.fsencode(photo.path.name) for photo in listing.labelled} == set(odd)
    (photos / "labels.csv").write_bytes(table + b"f\xfcchse.png,fox\nnorth/1.png,F\xfcchse\nnorth/2.png,fox\n")
    with pytest.raises(DataError) as caught:
        list_csv(photos / "labels.csv", ["bear"])
    reason = 'not in UTF-8; save the table as "CSV UTF-8"'
    assert str(caught.value).splitlines()[1:] == [f"line 7: {reason}", f"line 8: {reason}"]


def test_one_class_alone_says_what_labels_there_are(photos: Path) -> None:
    assert (
        "(found: brown bear, wolf)" in refusal(photos, "filepath,label\nnorth/0.png,brown bear\nnorth/1.png,wolf\n")[0]
    )
    assert "others are needed" in refusal(photos, "filepath,label\nnorth/0.png,bear\n")[0]
    assert "lists no photo" in refusal(photos, "filepath,label\n")[0]
    assert "has a label that can be used" in refusal(photos, "filepath,label\nnorth/0.png,\n")[0]


def test_a_wrong_setting_is_said_before_the_file_is_read(photos: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.image_size: expected 8 or more"):
        Dataset.from_csv(photos / "none.csv", image_size=2)
    with pytest.raises(ConfigError, match="label is one column, and only filepath may be several"):
        Dataset.from_csv(photos / "none.csv", columns={"label": ["a", "b"]})
    with pytest.raises(DataError, match=r"there is no file .*none\.csv"):
        Dataset.from_csv(photos / "none.csv", image_size=8)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r/\\", exclude_categories=["Cc"]), min_size=1, max_size=20
)


@given(
    st.dictionaries(
        NAMES.filter(lambda name: name.strip() == name and name not in (".", "..") and len(name.encode()) < 200),
        st.tuples(st.sampled_from(["bear", "wolf", "Fox, red", 'a "dog"']), st.sampled_from(["train", "val", "test"])),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_any_table_of_photos_is_read_back(tmp_path_factory, photos_by_name, separator, quoting, encoding) -> None:
    root = tmp_path_factory.mktemp("table")
    for name in ("known bear", "known wolf"):
        paint(root / name, 1)
    with (root / "labels.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting)
        writer.writerow(["label", "split", "filepath"])
        writer.writerows([label, split, name] for name, (label, split) in photos_by_name.items())
        writer.writerows([["bear", "train", root / "known bear"], ["wolf", "train", root / "known wolf"]])
    listing = list_csv(root / "labels.csv", ["bear"])
    found = {photo.path.relative_to(root).as_posix(): photo for photo in listing.labelled}
    splits = {"train": "train", "val": "valid", "test": "test"}
    for name, (label, split) in photos_by_name.items():
        photo = found.pop(name)
        assert (photo.label, photo.subclass, photo.split) == (label == "bear", label, splits[split])
    assert found.keys() <= {"known bear", "known wolf"}


def test_the_order_of_the_rows_makes_no_difference(photos: Path, own_cache: None) -> None:
    rows = [f"{site}/{n}.png,{label}" for site, label in (("north", "bear"), ("south", "wolf")) for n in range(10)]
    rows += ["north/11.png,", "south/10.png,Wolf", "north/10.png,", "south/11.png,unknown", "gone.png,bear"]
    listed(photos, "\n".join(["filepath,label", *rows]))
    first = Dataset.from_csv(photos / "labels.csv", image_size=8)
    listed(photos, "\n".join(["filepath,label", *reversed(rows)]))
    assert Dataset.from_csv(photos / "labels.csv", image_size=8) == first
