"""A body's maps: computed once, kept, shared, and the same as what the body gives."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from bearcnn.config import load_config
from bearcnn.data.cache_folder import cache_root, clear_caches, list_caches
from bearcnn.data.dataset import Dataset
from bearcnn.errors import DataError
from bearcnn.model.bodies import load_body
from bearcnn.training.maps import VIEWS, open_maps


@pytest.fixture(scope="module")
def config(photos):
    return load_config(None, ["model.body=efficientnet_lite0", "data.image_size=64", f"data.path={photos}"])


@pytest.fixture(scope="module")
def dataset(config) -> Dataset:
    return Dataset.from_config(config.data)


@pytest.fixture(scope="module")
def body(config):
    return load_body(config.model)


class Progress:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, what, done, total):
        self.calls.append((what, done, total))


def test_the_maps_are_what_the_body_gives_upright_and_mirrored(body, dataset, config, tmp_path):
    maps = open_maps(body, dataset, config.data, root=tmp_path)
    assert (maps.shape, maps.dtype) == ((60, VIEWS, 2, 2, 320), np.float16)
    assert not maps.flags.writeable
    pixels = torch.from_numpy(np.array(dataset.pixels)).permute(0, 3, 1, 2)
    for view, photos in enumerate((pixels, pixels.flip(3))):
        expected = body(photos).permute(0, 2, 3, 1)
        torch.testing.assert_close(torch.from_numpy(maps[:, view].astype(np.float32)), expected, atol=5e-3, rtol=5e-3)


def test_the_size_is_said_first_and_maps_are_computed_once(body, dataset, config, tmp_path):
    progress, again = Progress(), Progress()
    first = open_maps(body, dataset, config.data, progress, root=tmp_path)
    assert progress.calls[0] == ("maps of efficientnet_lite0 (0 MB on disk)", 0, 60)
    assert progress.calls[-1][1:] == (60, 60)
    second = open_maps(body, dataset, config.data, again, root=tmp_path)
    assert again.calls == []
    assert first.filename == second.filename


def test_only_what_has_changed_is_computed_again(body, dataset, config, tmp_path, monkeypatch):
    whole = open_maps(body, dataset, config.data, root=tmp_path)
    changed = [replace(example, digest="new") if example.row == 7 else example for example in dataset.examples]
    calls = []
    monkeypatch.setattr("bearcnn.training.maps._BATCH", 1)
    progress = Progress()
    seen = body.layers[0].forward
    monkeypatch.setattr(type(body.layers[0]), "forward", lambda self, x: (calls.append(len(x)), seen(x))[1])
    maps = open_maps(body, replace(dataset, examples=tuple(changed)), config.data, progress, root=tmp_path)
    assert calls == [1, 1, 1]  # the probe of the shape, and two views of one photo
    np.testing.assert_array_equal(maps, whole)


def test_another_stage_or_size_has_maps_of_its_own(body, dataset, config, tmp_path):
    maps = open_maps(body, dataset, config.data, root=tmp_path)
    finer = open_maps(
        load_body(config.model.model_copy(update={"body_stage": -2})), dataset, config.data, root=tmp_path
    )
    assert (maps.shape[2:], finer.shape[2:]) == ((2, 2, 320), (4, 4, 112))
    assert len(list((tmp_path / "maps").glob("*/maps.npy"))) == 2


def test_a_damaged_entry_is_made_again(body, dataset, config, tmp_path):
    maps = open_maps(body, dataset, config.data, root=tmp_path)
    content = np.array(maps)
    (next((tmp_path / "maps").glob("*/maps.npy"))).write_bytes(b"\x93NUMPY damaged")
    np.testing.assert_array_equal(open_maps(body, dataset, config.data, root=tmp_path), content)


def test_photos_that_are_no_examples_are_left_out(body, dataset, config, tmp_path):
    some = replace(dataset, examples=dataset.examples[:5])
    maps = open_maps(body, some, config.data, root=tmp_path)
    assert maps[[example.row for example in some.examples]].any((1, 2, 3, 4)).all()
    assert not maps[dataset.examples[-1].row].any()


def test_maps_are_listed_and_cleared(body, dataset, config, tmp_path):
    open_maps(body, dataset, config.data, root=tmp_path)
    (entry,) = list_caches(tmp_path)
    assert (entry.kind, entry.photos, entry.size, entry.source) == ("maps", 60, 64, dataset.root)
    assert clear_caches(tmp_path)[0] == 1
    assert list_caches(tmp_path) == []


def test_a_cache_that_can_not_be_written_is_one_line(body, dataset, config, tmp_path):
    (tmp_path / "maps").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="set the environment variable BEARCNN_CACHE"):
        open_maps(body, dataset, config.data, root=tmp_path)


def test_torchs_threads_stay_as_they_were(body, dataset, config, tmp_path):
    before = torch.get_num_threads()
    open_maps(body, dataset, config.data, root=tmp_path)
    assert torch.get_num_threads() == before
    shutil.rmtree(tmp_path / "maps")
    assert cache_root().is_dir()
