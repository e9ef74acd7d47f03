"""The seam: a new input format is one function and one row."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from bearcnn.config import DataConfig
from bearcnn.data import OnProgress
from bearcnn.data.dataset import Dataset
from bearcnn.data.sources import SOURCES, Source, find_source, list_source
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.synthetic import scenes
from bearcnn.errors import DataError
from tests.helpers.folders import fill, where


def list_lines(path: Path, positive: Sequence[str], on_progress: OnProgress | None = None) -> Listing:
    """A text file with a path and a label in each line, as a source."""
    photos: list[LabelledPhoto] = []
    skipped: list[SkippedPhoto] = []
    for line in path.read_text().splitlines():
        name, label = line.split()
        if label == "?":
            skipped.append(SkippedPhoto(path.parent / name, "no label"))
        else:
            photos.append(LabelledPhoto(path.parent / name, int(label in positive), label, site=name.split("/")[0]))
    return Listing(path.parent, tuple(photos), tuple(skipped))


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    row = Source("lines", "a text file", lambda path: path.endswith(".txt"), f"{__name__}:list_lines")
    SOURCES.register(row, first=True)
    root = fill(tmp_path / "data", {"north": 10, "south": 10})
    Image.open(root / "north/0.png").save(root / "south/copy.png")
    rows = [f"{site}/{n}.png {'bear' if n % 2 else 'wolf'}" for site in ("south", "north") for n in range(10)]
    (root / "south/broken.png").write_bytes(b"x")
    rows += ["south/copy.png bear", "south/broken.png bear", "north/doubtful.png ?"]
    (root / "photos.txt").write_text("\n".join(rows))
    yield root / "photos.txt"
    SOURCES.unregister("lines")


def test_a_source_from_outside_goes_through_every_shared_check(lines: Path) -> None:
    config = DataConfig(path=str(lines), image_size=8, group="none")
    dataset = Dataset.from_config(config)
    assert {photo.path.name: photo.reason for photo in dataset.skipped} == {
        "0.png": "its exact copy south/copy.png has the other label",
        "copy.png": "its exact copy north/0.png has the other label",
        "broken.png": "not a picture",
        "doubtful.png": "file not found",
    }
    assert {split: sum(len(dataset.select(split)) for _ in [0]) for split in dataset.counts()} == {
        "train": 11,
        "valid": 4,
        "test": 4,
    }
    assert set(dataset.counts()["train"]["bear"]) == {"bear"}
    for example in dataset.examples:
        with Image.open(example.path) as image:
            assert tuple(dataset.pixels[example.row, 3, 3]) == image.getpixel((3, 3))
    assert Dataset.from_record(json.loads(json.dumps(dataset.to_json())), config) == dataset


def test_the_order_of_a_sources_rows_makes_no_difference(lines: Path) -> None:
    config = DataConfig(path=str(lines), image_size=8, group="none")
    first = Dataset.from_config(config)
    lines.write_text("\n".join(reversed(lines.read_text().splitlines())))
    assert Dataset.from_config(config) == first


def test_no_path_is_the_drawn_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scenes, "DEFAULT_COUNT", 20)
    write = scenes.write_scenes
    monkeypatch.setattr(scenes, "write_scenes", lambda folder, **options: write(folder, count=20, size=16, **options))
    told: list[tuple[int, int]] = []
    listing = list_source("", ("bear",), lambda *step: told.append(step))
    assert told[-1] == (20, 20)
    assert len(listing.labelled) == 20 and listing.splits == {"train", "valid", "test"}
    config = DataConfig(image_size=8)
    dataset = Dataset.from_config(config)
    assert where(Dataset.from_record(dataset.to_json() | {"root": "/elsewhere"}, config)) == where(dataset)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("", "scenes"),
        ("labels.csv", "csv"),
        ("Labels.CSV", "csv"),
        ("labels.tsv", "csv"),
        ("x.json", "coco"),
        ("photos", "folders"),
        ("folder.csv", "folders"),
        ("none.txt", "folders"),
        ("\0", "folders"),
    ],
)
def test_the_path_decides_the_source(name: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "photos").mkdir()
    assert find_source(str(tmp_path / name) if name else "").name == source


def test_a_file_of_an_unknown_kind_says_which_are_known(tmp_path: Path) -> None:
    for name in ("photos.zip", "a.jpg"):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(DataError) as caught:
            list_source(str(tmp_path / name), ["bear"])
        assert str(caught.value) == (
            f"{tmp_path / name} is a file of a kind that can't list photos: expected a CSV file, a Camtrap DP package, "
            "a COCO Camera Traps file (.json) or a folder of class folders"
        )


def test_columns_are_for_csv_files_alone(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"bear": 3, "wolf": 3})
    with pytest.raises(DataError, match=r"data\.columns names the columns of a CSV file, and .* is a folder of class"):
        list_source(str(root), ["bear"], columns={"label": ("Species",)})
    assert len(list_source(str(root), ["bear"], columns={}).labelled) == 6


def test_an_evaluation_takes_a_runs_columns_to_csv_files_and_others_where_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    root = fill(tmp_path / "data", {"bear": 1, "wolf": 1})
    (root / "own.csv").write_text("filepath,Species\nbear/0.png,bear\nwolf/0.png,wolf\n")
    (root / "other.csv").write_text("filepath,label\nbear/0.png,bear\nwolf/0.png,wolf\n")
    run = DataConfig(image_size=8, columns={"label": ("Species",)})
    assert len(Dataset.for_evaluation(root, run).select("test")) == 2
    assert len(Dataset.for_evaluation(root / "own.csv", run).select("test")) == 2
    with pytest.raises(DataError, match="no column 'Species'"):
        Dataset.for_evaluation(root / "other.csv", run)
    assert len(Dataset.for_evaluation(root / "other.csv", run, columns={"label": ("label",)}).select("test")) == 2


def test_every_path_has_a_source_with_words_for_the_help() -> None:
    assert SOURCES.names() == ["scenes", "csv", "camtrap_dp", "coco", "folders"]
    assert all(source.words for source in SOURCES)
    assert SOURCES["folders"].recognizes("anything at all")
