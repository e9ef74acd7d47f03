"""Data sets whose photos are seen as crops or as tiles."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bearcnn.config import Config, load_config
from bearcnn.data.cache_folder import list_caches
from bearcnn.data.dataset import Dataset
from bearcnn.data.photos import load_regions
from bearcnn.data.regions import WHOLE_FRAMES, Crops, Tiles
from bearcnn.errors import ConfigError, DataError
from tests.helpers.detections import write_detections


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Ten bears and ten wolves of noise; the cache is the test's own."""
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    for number in range(20):
        place = tmp_path / "photos" / ("bear" if number < 10 else "wolf") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place)
    return tmp_path / "photos"


def configure(root: Path, *overrides: str) -> Config:
    return load_config(None, [f"data.path={root}", "data.image_size=8", "model.widths=[4]", *overrides])


def detect(root: Path, **boxes: list[list[float]] | None) -> str:
    names = {path.stem: path.relative_to(root).as_posix() for path in root.rglob("*.png")}
    file = write_detections(root.parent / "md.json", {names[key.lstrip("_")]: found for key, found in boxes.items()})
    return f"data.detections={file}"


def test_a_labelled_photo_is_its_surest_animal_and_is_scored_by_all(root):
    surest, other = [0.1, 0.2, 0.3, 0.4], [0.6, 0.6, 0.2, 0.2]
    dataset = Dataset.from_config(configure(root, detect(root, _0=[surest, other], _1=[], _2=None)).data)
    whole = Dataset.from_config(configure(root).data)
    assert isinstance(dataset.regions, Crops)
    rows = {example.path.stem: example for example in dataset.examples}
    for name, example in rows.items():
        same = (dataset.pixels[example.row] == whole.pixels[example.row]).all()
        assert same == (name != "0"), name
    found = load_regions(rows["0"].path, dataset.regions.of(rows["0"].path), 8, "squish")
    assert (dataset.pixels[rows["0"].row] == found[0][1]).all()
    assert len(found) == 2
    assert [each.split for each in dataset.examples] == [each.split for each in whole.examples]


def test_the_run_keeps_the_boxes_and_needs_the_file_no_more(root):
    (root / "bear" / "broken.png").write_bytes(b"\x89PNG")
    setting = detect(root, _0=[[0.1, 0.2, 0.3, 0.4]], _1=[], _broken=[[0, 0, 0.5, 0.5]])
    config = configure(root, setting)
    dataset = Dataset.from_config(config.data)
    record = json.loads(json.dumps(dataset.to_json()))
    assert [len(row.get("boxes", ())) for row in record["examples"]].count(1) == 1
    (root.parent / "md.json").unlink()
    again = Dataset.from_record(record, config.data)
    assert len(list_caches()) == 1  # also the skipped photo's row is found again
    assert again.fingerprint == dataset.fingerprint
    assert again.examples == dataset.examples
    assert (again.pixels == dataset.pixels).all()
    for example in again.examples:
        assert again.boxes(example.path) == dataset.boxes(example.path)
        assert list(again.regions.of(example.path)(16, 12)) == list(dataset.regions.of(example.path)(16, 12))


def test_boxes_are_part_of_what_was_trained_on(root):
    plain = Dataset.from_config(configure(root).data)
    one, other = (
        Dataset.from_config(configure(root, detect(root, _0=[[left, 0.2, 0.3, 0.4]])).data) for left in (0.1, 0.2)
    )
    assert len({dataset.fingerprint for dataset in (plain, one, other)}) == 3
    example = next(example for example in plain.examples if example.path.stem == "0")
    assert len({dataset.picture_digest(example) for dataset in (plain, one, other)}) == 3
    rest = [example for example in plain.examples if example.path.stem != "0"]
    assert [one.picture_digest(each) for each in rest] == [each.digest for each in rest]


def test_without_boxes_nothing_is_written_that_was_not_before(root):
    record = Dataset.from_config(configure(root).data).to_json()
    assert set(record["examples"][0]) == {"path", "label", "subclass", "split", "digest"}
    assert Dataset.from_config(configure(root).data).regions == WHOLE_FRAMES


def test_tiles_change_nothing_in_training(root):
    plain, tiled = (Dataset.from_config(configure(root, *more).data) for more in ((), ("data.tiles=2",)))
    assert tiled.regions == Tiles(2)
    assert tiled.fingerprint == plain.fingerprint
    assert tiled.pixels.filename == plain.pixels.filename
    assert Dataset.from_record(plain.to_json(), configure(root, "data.tiles=2").data).regions == Tiles(2)


def test_a_photo_that_copies_another_keeps_no_place_of_its_own(root):
    """Exact copies count once, whatever the detector says of each."""
    (root / "bear" / "copy.png").write_bytes((root / "bear" / "0.png").read_bytes())
    dataset = Dataset.from_config(
        configure(root, detect(root, _0=[[0, 0, 0.5, 0.5]], _copy=[[0.5, 0.5, 0.5, 0.5]])).data
    )
    plain = Dataset.from_config(configure(root).data)
    assert [each.path for each in dataset.examples] == [each.path for each in plain.examples]
    assert [each.path for each in dataset.skipped] == [each.path for each in plain.skipped]


def test_what_can_not_go_together_is_refused(root):
    with pytest.raises(ConfigError, match=r"tiles cut whole frames"):
        configure(root, detect(root, _0=[]), "data.tiles=2")
    with pytest.raises(ConfigError, match=r"data\.tiles"):
        configure(root, "data.tiles=9")
    with pytest.raises(DataError, match=r"none of its photos"):
        file = write_detections(root.parent / "other.json", {"elsewhere.png": []})
        Dataset.from_config(configure(root, f"data.detections={file}").data)
