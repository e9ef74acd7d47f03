"""What is kept beside the pixels."""

import json

import numpy as np
from PIL import Image

import bearcnn.checks.kept
from bearcnn.data.cache_folder import CHECKS_FILE, cache_root, clear_caches
from tests.checks.conftest import fill


def equal(one, other):
    return one.photos == other.photos and all(
        np.array_equal(getattr(one.measures, name), getattr(other.measures, name)) for name in one.measures.__slots__
    )


def test_a_second_check_measures_nothing_and_finds_the_same(messy, collect, monkeypatch):
    first = collect(messy)

    def fail(*_):
        raise AssertionError("read again")

    monkeypatch.setattr(bearcnn.checks.kept, "read_all_details", fail)
    monkeypatch.setattr(bearcnn.checks.kept, "measure", fail)
    assert equal(collect(messy), first)


def test_what_is_damaged_or_old_is_measured_again(tmp_path, collect, monkeypatch):
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    fill(tmp_path / "photos", 6)
    first = collect(tmp_path / "photos")
    (file,) = cache_root().rglob(CHECKS_FILE)
    whole = json.loads(file.read_bytes())
    short = {**whole, "rows": whole["rows"][:-1]}
    bad_hash = {**whole, "rows": [["zz", *row[1:]] for row in whole["rows"]]}
    for content in (
        b"",
        b"{}",
        b"[]",
        file.read_bytes()[:-9],
        *(
            json.dumps(each).encode()
            for each in (
                {**whole, "version": 0},
                short,
                bad_hash,
                {**whole, "rows": [row[:-1] for row in whole["rows"]]},
            )
        ),
    ):
        file.write_bytes(content)
        assert equal(collect(tmp_path / "photos"), first)
        assert json.loads(file.read_bytes()) == whole


def test_a_changed_photo_is_measured_again_and_clearing_the_cache_forgets_all(tmp_path, collect, monkeypatch):
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    paths = fill(tmp_path / "photos", 6)
    collect(tmp_path / "photos")
    Image.new("RGB", (80, 70)).save(paths[0])
    changed = collect(tmp_path / "photos")
    assert changed.measures.bright[[photo.path for photo in changed.photos].index(paths[0])] == 0
    clear_caches()
    assert list(cache_root().rglob(CHECKS_FILE)) == []
    assert [path.name for path in (cache_root() / "pixels").iterdir() if path.is_dir()] == []
