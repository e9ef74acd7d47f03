"""A body's maps: computed once, kept, shared, and the same as what the body gives."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bearcnn.config import AugmentConfig, load_config
from bearcnn.data.cache_folder import cache_root, clear_caches, list_caches
from bearcnn.data.dataset import Dataset
from bearcnn.errors import DataError
from bearcnn.model.bodies import load_body
from bearcnn.training.dataloaders import build_dataloaders
from bearcnn.training.maps import Views, open_maps
from tests.helpers.detections import write_detections


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
    assert (maps.shape, maps.dtype) == ((60, 2, 2, 2, 320), np.float16)
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


def test_crops_have_maps_of_their_own_and_whole_frames_are_copied(body, dataset, config, tmp_path):
    names = [example.path.relative_to(dataset.root).as_posix() for example in dataset.examples[:2]]
    file = write_detections(tmp_path / "md.json", {names[0]: [[0.2, 0.2, 0.4, 0.4]], names[1]: []})
    data = config.data.model_copy(update={"detections": str(file)})
    cropped, progress = Dataset.from_config(data), Progress()
    whole = open_maps(body, dataset, config.data, root=tmp_path)
    maps = open_maps(body, cropped, data, progress, root=tmp_path)
    assert maps.filename != whole.filename
    row = cropped.examples[0].row
    expected = body(torch.from_numpy(np.array(cropped.pixels[[row]])).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(torch.from_numpy(maps[[row], 0].astype(np.float32)), expected, atol=5e-3, rtol=5e-3)
    assert np.abs(maps[row].astype(np.float32) - whole[row]).max() > 0.1
    others = [example.row for example in cropped.examples[1:]]
    np.testing.assert_array_equal(maps[others], whole[others])


def test_only_what_has_changed_is_computed_again(body, dataset, config, tmp_path, monkeypatch):
    whole = open_maps(body, dataset, config.data, root=tmp_path)
    changed = [replace(example, digest="new") if example.row == 7 else example for example in dataset.examples]
    calls = []
    monkeypatch.setattr("bearcnn.training.maps.SMALL_BATCH", 1)
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


def test_maps_that_a_worn_disk_has_changed_are_computed_again(body, dataset, config, tmp_path):
    expected = np.array(open_maps(body, dataset, config.data, root=tmp_path))
    (file,) = tmp_path.rglob("maps.npy")
    row = dataset.examples[3].row
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size - (len(expected) - row) * expected[0].nbytes)
        opened.write(bytes(64))
    steps: list[tuple[int, int]] = []
    again = open_maps(body, dataset, config.data, lambda _, done, total: steps.append((done, total)), root=tmp_path)
    assert (again == expected).all()
    assert steps


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


@pytest.mark.slow  # maps of a pretrained body
class TestViews:
    """More pictures of each photo than itself and its mirror image."""

    def test_variations_are_those_of_the_digest_and_every_second_is_mirrored(self, dataset):
        photos = np.array(dataset.pixels[:3])
        flat = AugmentConfig(crop=1.0, stretch=1.0, rotation=0.0, brightness=0.0, contrast=0.0)
        pictures = list(Views(6, flat).pictures(photos, ["a", "b", "c"]))
        for view, found in enumerate(pictures):
            np.testing.assert_array_equal(found, photos[:, :, ::-1] if view % 2 else photos)
        varied = list(Views(6).pictures(photos, ["a", "b", "c"]))
        again = list(Views(6).pictures(photos[1:], ["b", "c"]))
        for one, other in zip(varied, again, strict=True):
            np.testing.assert_array_equal(one[1:], other)  # whatever stands beside it
        assert len({picture[0].tobytes() for picture in varied}) == 6
        renamed = list(Views(6).pictures(photos[:1], ["z"]))
        assert not np.array_equal(renamed[2], varied[2][:1])

    def test_their_maps_are_kept_apart_by_number_and_augmentation(self, body, dataset, config, tmp_path):
        def folder(views: Views) -> str:
            return str(open_maps(body, dataset, config.data, root=tmp_path, views=views).filename)

        calm = AugmentConfig(rotation=0.0)
        folders = {folder(Views(2)), folder(Views(1)), folder(Views(4)), folder(Views(4, calm)), folder(Views(2, calm))}
        assert len(folders) == 4  # two views are the same whatever the augmentation
        assert folder(Views(4, AugmentConfig(flip=0.1))) in folders  # the flip is drawn later

    def test_the_first_two_are_the_usual_ones(self, body, dataset, config, tmp_path):
        usual = open_maps(body, dataset, config.data, root=tmp_path)
        progress = Progress()
        maps = open_maps(body, dataset, config.data, progress, root=tmp_path, views=Views(4))
        assert maps.shape == (60, 4, 2, 2, 320)
        np.testing.assert_array_equal(maps[:, :2], usual)
        assert progress.calls[0][0] == "maps of efficientnet_lite0 (1 MB on disk, 4 views of each photo)"

    def test_every_view_is_drawn_and_flip_rules_the_mirrored_ones(self, body, dataset, photos):
        def drawn(flip: float) -> set[int]:
            settings = ["model.body=efficientnet_lite0", "data.image_size=64", f"data.path={photos}", "train.views=6"]
            config = load_config(None, [*settings, f"augment.flip={flip}"])
            maps = open_maps(body, dataset, config.data, views=Views.of(config))
            loader = build_dataloaders(config, dataset, torch.device("cpu"), maps).train
            found = torch.cat([batch[0] for batch in loader]).permute(0, 2, 3, 1).numpy()
            return {view for each in found for view in range(6) if (maps[:, view] == each).all((1, 2, 3)).any()}

        assert drawn(0.5) == {0, 1, 2, 3, 4, 5}
        assert drawn(0.0) == {0, 2, 4}
        assert drawn(1.0) == {1, 3, 5}


BUILD = """
import sys
import time
from pathlib import Path
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.model.bodies import load_body
from bearcnn.training.maps import open_maps

config = load_config(None, ["model.body=efficientnet_lite0", "data.image_size=64", "data.path=" + sys.argv[1]])
dataset, body = Dataset.from_config(config.data), load_body(config.model)
print("ready", flush=True)
sys.stdin.readline()
built = []
maps = open_maps(body, dataset, config.data, lambda *call: built.append(call), root=Path(sys.argv[2]))
print(len(built), float(maps.astype("float64").sum()), flush=True)
"""


@pytest.mark.slow
def test_two_processes_at_once_build_one_entry(photos, tmp_path, dataset):
    command = [sys.executable, "-c", BUILD, str(photos), str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # both have everything loaded
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(int(calls) for calls, _ in answers) == [0, 61]  # one built all 60, the other waited and read
    assert answers[0][1] == answers[1][1]
    assert len(list((tmp_path / "maps").glob("*/maps.npy"))) == 1
    assert not list((tmp_path / "maps").glob("building-*"))
