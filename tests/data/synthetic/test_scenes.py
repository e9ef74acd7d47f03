import hashlib
import json
import multiprocessing
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bearcnn.data.synthetic import scenes
from bearcnn.data.synthetic.animals import ANATOMY, make_body
from bearcnn.data.synthetic.painting import cast_stamp, press_stamp
from bearcnn.data.synthetic.scene import SUBCLASSES, draw_scene
from bearcnn.data.synthetic.scenes import INDEX, builtin_scenes, write_scenes
from bearcnn.errors import DataError

ENOUGH_FOR_PROCESSES = 120  # fewer pictures are drawn in this process, whatever `workers` says


def digests(directory):
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def rows_of(directory):
    return [json.loads(line) for line in (directory / INDEX).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A set drawn by two processes, and what was reported about it."""
    directory = tmp_path_factory.mktemp("drawn") / "set"
    reports = []
    summary = write_scenes(
        directory, count=ENOUGH_FOR_PROCESSES, size=32, seed=3, workers=2, on_progress=lambda *at: reports.append(at)
    )
    return directory, summary, reports


# ---- One picture.


@given(
    seed=st.integers(0, 2**40),
    index=st.integers(0, 10**6),
    size=st.integers(16, 80),
    is_bear=st.booleans(),
    scale=st.tuples(st.floats(0.05, 0.6), st.floats(0.05, 0.6)).map(lambda pair: tuple(sorted(pair))),
    clutter=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_every_allowed_scene_is_whole(seed, index, size, is_bear, scale, clutter):
    scene = draw_scene(seed, index, size=size, is_bear=is_bear, bear_scale=scale, clutter=clutter)
    assert scene.image.size == (size, size)
    assert scene.image.mode == "RGB"
    assert scene.subclass in SUBCLASSES
    assert scene.is_bear is is_bear is (scene.subclass in ("brown", "black", "polar"))
    assert scale[0] <= scene.scale <= scale[1]
    assert (scene.box is None) == (scene.subclass == "empty")
    if scene.box:
        left, top, right, bottom = scene.box
        assert 0 <= left < right <= size
        assert 0 <= top < bottom <= size


def test_the_same_seed_and_index_draw_the_same_picture_and_others_another():
    def pixels(seed, index):
        return draw_scene(seed, index, size=48, is_bear=True).image.tobytes()

    assert pixels(7, 1) == pixels(7, 1)
    assert len({pixels(7, 1), pixels(7, 2), pixels(8, 1)}) == 3


@pytest.mark.parametrize("is_bear", [True, False])
@pytest.mark.parametrize("scale", [0.15, 0.35, 0.6])
def test_the_longer_side_of_every_animal_is_the_scale_asked_for(scale, is_bear):
    boxes = [draw_scene(1, i, size=100, is_bear=is_bear, bear_scale=scale).box for i in range(30)]
    longer = [max(box[2] - box[0], box[3] - box[1]) for box in boxes if box]
    assert len(longer) > 10
    assert all(abs(side - 100 * scale) <= 2 for side in longer)


@pytest.mark.parametrize("species", ANATOMY)
def test_an_animal_is_painted_inside_its_box_and_up_to_each_side_of_it(species):
    blank = Image.new("RGB", (200, 200), (0, 255, 0))
    rng = np.random.default_rng(5)
    for _ in range(8):
        canvas = blank.copy()
        stamp = cast_stamp(make_body(species, (200, 190, 180), rng), 120, ANATOMY[species].shag)
        press_stamp(canvas, stamp, (40, 30), (120, 80, 50), rng)
        grass = np.asarray(canvas)[:, :, [0, 2]].max(axis=2) == 0  # untouched, or only in shadow
        rows, columns = np.flatnonzero(~grass.all(axis=1)), np.flatnonzero(~grass.all(axis=0))
        assert (columns[0], rows[0]) >= (40, 30)
        assert columns[-1] < 40 + stamp.width
        assert rows[-1] < 30 + stamp.height
        assert max(columns[0] - 40, rows[0] - 30, 39 + stamp.width - columns[-1], 29 + stamp.height - rows[-1]) <= 3


@pytest.mark.slow  # draws 72 scenes
def test_a_busier_scene_has_more_edges():
    def edges(clutter):
        pictures = [draw_scene(2, i, size=64, is_bear=False, clutter=clutter).image.convert("L") for i in range(24)]
        return np.mean([np.abs(np.diff(np.asarray(picture, dtype=float))).mean() for picture in pictures])

    assert edges(0.0) < edges(0.5) < edges(1.0)


def test_the_place_does_not_depend_on_what_stands_in_it():
    for index in range(10):
        bear, other = (draw_scene(4, index, size=64, is_bear=is_bear, clutter=0) for is_bear in (True, False))
        assert bear.scale == other.scale
        sky = (np.asarray(scene.image, dtype=int)[:4] for scene in (bear, other))
        assert np.abs(np.subtract(*sky)).mean() < 12


@pytest.mark.slow  # draws 200 scenes
def test_every_kind_of_animal_and_none_turns_up():
    kinds = {draw_scene(0, i, size=16, is_bear=i % 2 == 0).subclass for i in range(200)}
    assert kinds == set(SUBCLASSES)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"size": 8}, "size 8"),
        ({"bear_scale": 0.01}, "bear scale"),
        ({"bear_scale": (0.5, 0.2)}, "the smaller first"),
        ({"bear_scale": float("nan")}, "bear scale"),
        ({"clutter": 1.5}, "clutter 1.5"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_a_number_out_of_its_range_is_refused_in_one_line(wrong, reason, tmp_path):
    with pytest.raises(DataError, match=reason) as refusal:
        draw_scene(**{"seed": 0, "index": 0, "is_bear": True, **wrong})
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match=reason):
        write_scenes(tmp_path / "set", **wrong)
    assert not list(tmp_path.iterdir())


# ---- A data set.


@pytest.mark.slow  # starts processes
def test_a_set_has_its_layout_its_shares_and_a_line_for_each_picture(drawn):
    directory, summary, reports = drawn
    rows = rows_of(directory)
    on_disk = {path.relative_to(directory).as_posix() for path in directory.rglob("*.jpg")}
    assert {row["path"] for row in rows} == on_disk
    assert len(rows) == len(on_disk) == summary.count == 120
    assert Counter((row["split"], row["is_bear"]) for row in rows) == {
        ("train", True): 36,
        ("train", False): 36,
        ("valid", True): 12,
        ("valid", False): 12,
        ("test", True): 12,
        ("test", False): 12,
    }
    for row in rows:
        folder = "bear" if row["is_bear"] else "not_bear"
        assert Path(row["path"]).parts[:-1] == (row["split"], folder, row["subclass"])
        assert (row["box"] is None) == (row["subclass"] == "empty")
        with Image.open(directory / row["path"]) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (32, 32), "RGB")
    assert summary.splits == {"train": 72, "valid": 24, "test": 24}
    assert summary.subclasses == Counter(row["subclass"] for row in rows)
    assert reports == [(done, 120) for done in range(1, 121)]


@pytest.mark.slow  # starts processes
def test_no_picture_is_in_a_set_twice(drawn):
    files = digests(drawn[0])
    assert len(set(files.values())) == len(files)


@pytest.mark.slow  # starts processes
def test_the_files_are_the_same_however_many_processes_draw_them(drawn, tmp_path):
    write_scenes(tmp_path / "alone", count=ENOUGH_FOR_PROCESSES, size=32, seed=3, workers=1)
    assert digests(tmp_path / "alone") == digests(drawn[0])


@pytest.mark.slow  # starts processes
def test_another_seed_draws_other_pictures(drawn, tmp_path):
    write_scenes(tmp_path / "other", count=20, size=32, seed=4)
    assert not set(digests(tmp_path / "other").values()) & set(digests(drawn[0]).values())


def test_a_folder_with_something_in_it_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_scenes(tmp_path, count=20, size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path):
    write_scenes(tmp_path, count=20, size=16)
    assert sorted(path.name for path in tmp_path.iterdir()) == [INDEX, "test", "train", "valid"]


def test_the_current_folder_is_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scenes(Path(), count=20, size=16)
    assert sorted(path.name for path in Path().iterdir()) == [INDEX, "test", "train", "valid"]


def test_too_few_pictures_for_three_splits_are_refused(tmp_path):
    with pytest.raises(DataError, match="too few"):
        write_scenes(tmp_path / "set", count=5)


@pytest.mark.slow  # starts processes
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_leaves_nothing_behind(tmp_path, workers):
    def interrupt(done, total):
        assert not (tmp_path / "set").exists(), "a half-written set can be seen"
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "set", count=400, size=48, workers=workers, on_progress=interrupt)
    assert not multiprocessing.active_children(), "someone still draws, and would make the folder anew"
    assert not list(tmp_path.iterdir())


def test_the_builtin_set_is_drawn_once_and_again_only_when_it_is_not_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "DEFAULT_COUNT", 20)
    write = scenes.write_scenes
    calls = []

    def counted(directory, *, on_progress):
        calls.append(directory)
        return write(directory, count=20, size=16, on_progress=on_progress)

    monkeypatch.setattr(scenes, "write_scenes", counted)
    directory = builtin_scenes(tmp_path / "cache")
    assert builtin_scenes(tmp_path / "cache") == directory == calls[0]
    assert len(calls) == 1
    (directory / INDEX).unlink()
    assert (builtin_scenes(tmp_path / "cache") / INDEX).is_file()
    assert len(calls) == 2


def test_a_set_with_other_parameters_has_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "write_scenes", lambda directory, *, on_progress: directory.mkdir())
    first = builtin_scenes(tmp_path)
    monkeypatch.setattr(scenes, "DEFAULT_CLUTTER", 0.9)
    assert builtin_scenes(tmp_path) != first


# ---- What the set is for.


def colour_histograms(pixels):
    """(n, 512): how many pixels fall into each of 8 x 8 x 8 cells of red, green and blue."""
    cells = pixels.reshape(len(pixels), -1, 3).astype(int) // 32 @ np.array([64, 8, 1])
    return np.stack([np.bincount(picture, minlength=512) for picture in cells])


@pytest.mark.slow  # draws 1,200 scenes
def test_colours_alone_do_not_tell_a_bear(tmp_path):
    write_scenes(tmp_path / "set", count=1200, size=48, workers=2)
    rows = rows_of(tmp_path / "set")
    pixels = np.stack([np.asarray(Image.open(tmp_path / "set" / row["path"])) for row in rows])
    labels = np.array([row["is_bear"] for row in rows])
    test = np.array([row["split"] == "test" for row in rows])
    colours = colour_histograms(pixels)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    classifier.fit(colours[~test], labels[~test])
    assert classifier.score(colours[test], labels[test]) < 0.70
