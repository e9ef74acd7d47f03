import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from bearcnn.data import cache as cache_module
from bearcnn.data.cache import PixelCache, build_cache
from bearcnn.data.cache_folder import cache_root, clear_caches, list_caches
from bearcnn.data.photos import load_photo, load_pixels, take_look
from bearcnn.data.regions import Crop
from bearcnn.errors import DataError, PhotoMemoryError


def paint(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), (shade, 255 - shade, shade // 2)).save(path, "PNG")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / "data" / f"{number}.png", number * 9) for number in range(12)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are really read, in any order; the reading itself is not replaced."""
    names: list[str] = []
    real = cache_module.read_photo

    def read(path: Path, *limits: int) -> bytes:
        names.append(path.name)
        return real(path, *limits)

    monkeypatch.setattr(cache_module, "read_photo", read)
    return names


def check_pixels(cache: PixelCache, photos: list[Path], size: int = 8) -> None:
    assert cache.pixels.shape == (len(photos), size, size, 3)
    assert cache.looks.shape == (len(photos), 16, 17)
    for row, path in enumerate(photos):
        assert (cache.pixels[row] == load_pixels(path, size, "squish")).all()
        assert (cache.looks[row] == take_look(path.read_bytes(), load_photo(path))).all()


def test_pixels_come_in_the_order_of_the_photos(photos: list[Path], root: Path) -> None:
    mixed = photos[::-2] + photos[::2]
    cache = build_cache(mixed, 8, "squish", root=root)
    check_pixels(cache, mixed)
    assert cache.reasons == (None,) * len(mixed)
    assert len(set(cache.digests)) == len(set(mixed))
    assert isinstance(cache.pixels, np.memmap)
    assert not cache.pixels.flags.writeable


def test_progress_is_told_for_every_photo(photos: list[Path], root: Path) -> None:
    told: list[tuple[int, int]] = []
    build_cache(photos, 8, "squish", root=root, workers=3, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]


def test_nothing_is_decoded_twice(photos: list[Path], root: Path, decoded: list[str]) -> None:
    first = build_cache(photos, 8, "squish", root=root)
    assert sorted(decoded) == sorted(path.name for path in photos)  # and each file was read once
    decoded.clear()
    again = build_cache(photos, 8, "squish", root=root)
    assert decoded == []
    assert again.directory == first.directory
    assert (again.pixels == first.pixels).all()
    assert again.digests == first.digests


def test_another_size_or_fit_is_another_entry(photos: list[Path], root: Path) -> None:
    entries = {
        build_cache(photos, size, resize, root=root).directory
        for size in (8, 9)
        for resize in ("squish", "crop", "pad")
    }
    assert len(entries) == 6


def test_a_changed_photo_alone_is_decoded_again(photos: list[Path], root: Path, decoded: list[str]) -> None:
    before = build_cache(photos, 8, "squish", root=root)
    decoded.clear()
    state = photos[3].stat()
    Image.new("RGB", (20, 10), (1, 2, 3)).save(photos[3], "PNG")
    os.utime(photos[3], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after = build_cache(photos, 8, "squish", root=root)
    check_pixels(after, photos)
    assert decoded == ["3.png"]
    assert [a == b for a, b in zip(before.digests, after.digests, strict=True)].count(False) == 1


def test_added_and_removed_photos_leave_the_others_decoded(
    photos: list[Path], root: Path, decoded: list[str], tmp_path: Path
) -> None:
    build_cache(photos[:2], 8, "squish", root=root)
    build_cache(photos, 8, "squish", root=root)
    decoded.clear()
    changed = [paint(tmp_path / "data" / "new.png", 77), *photos[::-1][1:]]
    check_pixels(build_cache(changed, 8, "squish", root=root), changed)
    assert decoded == ["new.png"]


def test_a_photo_that_cannot_be_read_has_its_reason(photos: list[Path], root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"not a picture at all")
    mixed = [photos[0], tmp_path / "empty.jpg", tmp_path / "none.jpg", tmp_path / "text.jpg", photos[1]]
    for _ in range(2):
        cache = build_cache(mixed, 8, "squish", root=root)
        assert cache.reasons == (None, "empty file", "file not found", "not a picture", None)
        assert [bool(digest) for digest in cache.digests] == [True, True, False, True, True]
        assert not cache.pixels[1:4].any()
    assert (cache.pixels[4] == load_pixels(photos[1], 8, "squish")).all()


def test_a_photo_that_can_be_read_again_is_noticed(photos: list[Path], root: Path) -> None:
    photos[5].unlink()
    photos[5].mkdir()
    state = photos[5].stat()
    assert (
        build_cache(photos, 8, "squish", root=root).reasons[5] == "a folder without photos, or one that can't be listed"
    )
    # As when a permission is given back: same path, size and time, but now there is something to read.
    photos[5].rmdir()
    photos[5].write_bytes(photos[4].read_bytes().ljust(state.st_size, b"\0"))
    os.utime(photos[5], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert photos[5].stat().st_size == state.st_size
    cache = build_cache(photos, 8, "squish", root=root)
    assert cache.reasons[5] is None
    assert (cache.pixels[5] == cache.pixels[4]).all()
    assert len(list_caches(root)) == 1


def test_a_photo_that_becomes_readable_while_the_entry_is_built_is_noticed_the_next_time(
    photos: list[Path], root: Path
) -> None:
    photos[5].unlink()
    photos[5].mkdir()
    state = photos[5].stat()

    def repair(done: int, total: int) -> None:
        if done == total:
            photos[5].rmdir()
            photos[5].write_bytes(photos[4].read_bytes().ljust(state.st_size, b"\0"))
            os.utime(photos[5], ns=(state.st_atime_ns, state.st_mtime_ns))

    cache = build_cache(photos, 8, "squish", root=root, on_progress=repair)
    assert cache.reasons[5] == "a folder without photos, or one that can't be listed"
    assert build_cache(photos, 8, "squish", root=root).reasons[5] is None


@pytest.mark.parametrize("where", ["read_photo", "load_photo", "resize_photo", "take_look"])
def test_a_photo_that_there_was_no_memory_for_is_tried_again(
    photos: list[Path], root: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise PhotoMemoryError if where in ("read_photo", "load_photo") else MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, where, fail)
        for _ in range(2):
            cache = build_cache(photos, 8, "squish", root=root)
            assert set(cache.reasons) == {"too large for this computer's memory"}
            assert set(cache.digests) == {""}
    check_pixels(build_cache(photos, 8, "squish", root=root), photos)


def test_another_limit_is_another_entry_and_takes_no_rows_from_it(
    photos: list[Path], root: Path, decoded: list[str]
) -> None:
    Image.new("RGB", (1500, 1000), "brown").save(photos[3], "PNG")
    small = build_cache(photos, 8, "squish", max_megapixels=1, root=root)
    assert [number for number, reason in enumerate(small.reasons) if reason] == [3]
    decoded.clear()
    large = build_cache(photos, 8, "squish", root=root)
    assert large.reasons == (None,) * len(photos)
    assert len(decoded) == len(photos)
    assert build_cache(photos, 8, "squish", max_megapixels=1, root=root).reasons == small.reasons


@pytest.mark.parametrize(
    "damage", ["cut pixels", "no pixels", "other pixels", "cut index", "other index", "no index", "no looks"]
)
def test_a_damaged_entry_is_built_again(photos: list[Path], root: Path, damage: str) -> None:
    directory = build_cache(photos, 8, "squish", root=root).directory
    pixels, index = directory / "pixels.npy", directory / "index.json"
    if damage == "cut pixels":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "other pixels":
        np.save(pixels, np.zeros((3, 3), np.float32))
    elif damage == "cut index":
        index.write_bytes(index.read_bytes()[:-9])
    elif damage == "other index":
        index.write_text(json.dumps({"version": 1, "photos": [1, 2]}))
    else:
        {"no pixels": pixels, "no index": index, "no looks": directory / "looks.npy"}[damage].unlink()
    cache = build_cache(photos, 8, "squish", root=root)
    check_pixels(cache, photos)
    assert cache.directory == directory
    assert [path.name for path in (root / "pixels").iterdir() if path.is_dir()] == [directory.name]


BUILD = """
    import sys, time
    from pathlib import Path
    from bearcnn.data import cache
    folder, root, log = map(Path, sys.argv[1:4])
    photos, pause = sorted(folder.iterdir()), float(sys.argv[4])
    real = cache.read_photo
    def read(path, *limits):
        time.sleep(pause)
        with log.open("a") as file:
            file.write(path.name + "\\n")
        return real(path, *limits)
    cache.read_photo = read
    built = cache.build_cache(photos, 8, "squish", root=root, workers=1)
    print(built.directory.name, int(built.pixels.sum()))
"""


def start_build(photos: list[Path], root: Path, log: Path, pause: float) -> "subprocess.Popen[str]":
    code = [sys.executable, "-c", textwrap.dedent(BUILD), str(photos[0].parent), str(root), str(log), str(pause)]
    return subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow  # starts processes
def test_two_processes_at_once_share_the_work(photos: list[Path], root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    processes = [start_build(photos, root, log, 0.05) for _ in range(3)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert len({out for out, _ in results}) == 1
    assert sorted(log.read_text().split()) == sorted(path.name for path in photos)
    assert len(list_caches(root)) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system can't kill like that")
def test_a_killed_builder_is_in_nobodys_way(photos: list[Path], root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    process = start_build(photos, root, log, 0.05)
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= 4) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    left = [path for path in (root / "pixels").iterdir() if path.is_dir()]
    assert [path.name.startswith("building-") for path in left] == [True]
    assert list_caches(root) == []
    build_cache(photos[:3], 8, "squish", root=root)  # another key: what the killed one left goes all the same
    assert not left[0].exists()
    check_pixels(build_cache(photos, 8, "squish", root=root), photos)


def test_an_interrupted_build_leaves_nothing(photos: list[Path], root: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(photos, 8, "squish", root=root, on_progress=interrupt)
    assert [path for path in (root / "pixels").iterdir() if path.is_dir()] == []
    check_pixels(build_cache(photos, 8, "squish", root=root), photos)


def test_a_cache_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(
    photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="BEARCNN_CACHE"):
        build_cache(photos, 8, "squish", root=tmp_path / "file")


def limit_file_size_and_build(photos: list[Path], root: Path, answer: "multiprocessing.Queue[str]") -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        build_cache(photos, 8, "squish", root=root)
        answer.put("built")
    except DataError as error:
        answer.put(str(error))


@pytest.mark.slow  # starts a process
@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit of that kind")
def test_a_full_disk_is_an_error_and_leaves_nothing(photos: list[Path], root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=limit_file_size_and_build, args=(photos, root, answer))
    process.start()
    message = answer.get(timeout=60)
    process.join(timeout=60)
    answer.close()
    assert "can't be written" in message and "BEARCNN_CACHE" in message
    assert [path for path in (root / "pixels").iterdir() if path.is_dir()] == []


def test_no_photos_are_an_error(root: Path) -> None:
    with pytest.raises(DataError, match="no photo"):
        build_cache([], 8, "squish", root=root)


def test_the_list_says_what_is_kept(photos: list[Path], root: Path) -> None:
    assert list_caches(root) == []
    cache = build_cache(photos, 8, "pad", root=root)
    os.utime(cache.directory / "index.json", (1, 1))
    os.utime(build_cache(photos[:2], 16, "crop", root=root).directory / "index.json", (9, 9))
    newest, oldest = list_caches(root)
    assert (newest.photos, newest.size, newest.resize) == (2, 16, "crop")
    assert (oldest.photos, oldest.size, oldest.resize, oldest.source) == (12, 8, "pad", photos[0].parent)
    assert oldest.bytes == sum(file.stat().st_size for file in cache.directory.iterdir())
    build_cache(photos, 8, "pad", root=root)
    assert list_caches(root)[0].size == 8  # used last


def test_clearing_deletes_the_cache_and_nothing_else(photos: list[Path], root: Path, tmp_path: Path) -> None:
    cache = build_cache(photos, 8, "squish", root=root)
    kept = paint(root / "pixels" / "holiday" / "pixels.npy", 5)
    other = paint(root / "notes" / "index.json", 5)
    outside = paint(tmp_path / "elsewhere" / "pixels.npy", 5)
    link = root / "pixels" / ("f" * 32)
    link.symlink_to(outside.parent, target_is_directory=True)
    (cache.directory / "related.json").write_text("{}")
    stranger = cache.directory / "mine.txt"
    stranger.write_text("a file that somebody put there")
    entries = list_caches(root)
    assert [entry.directory for entry in entries] == [cache.directory]
    assert clear_caches(root) == (1, entries[0].bytes)
    assert all(path.exists() for path in (kept, other, outside, stranger, link))
    assert [path.name for path in cache.directory.iterdir()] == ["mine.txt"]


def test_clearing_removes_the_damaged_and_the_abandoned(photos: list[Path], root: Path) -> None:
    damaged = build_cache(photos, 8, "squish", root=root).directory
    (damaged / "index.json").write_text("{")
    abandoned = root / "pixels" / f"building-{'a' * 32}-x1_y"
    abandoned.mkdir()
    (abandoned / "pixels.npy").write_bytes(b"half")
    assert [entry.source for entry in list_caches(root)] == [None]
    assert clear_caches(root)[0] == 1
    assert not damaged.exists()
    assert not abandoned.exists()
    assert clear_caches(root) == (0, 0)


def test_an_entry_that_is_being_built_is_not_cleared(photos: list[Path], root: Path) -> None:
    seen: list[int] = []

    def clear(done: int, total: int) -> None:
        if done == 6:
            seen.append(clear_caches(root)[0])

    check_pixels(build_cache(photos, 8, "squish", root=root, on_progress=clear), photos)
    assert seen == [0]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    monkeypatch.delenv("BEARCNN_CACHE")
    assert cache_root().name == "bearcnn"


# Damage


def damage(file: Path, place: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(content)


@pytest.mark.parametrize("name", ["pixels.npy", "looks.npy"])
def test_a_row_that_a_worn_disk_has_changed_is_decoded_again(
    photos: list[Path], root: Path, decoded: list[str], name: str
) -> None:
    cache = build_cache(photos, 8, "squish", root=root)
    row = {"pixels.npy": 8 * 8 * 3, "looks.npy": 16 * 17}[name]
    start = (cache.directory / name).stat().st_size - len(photos) * row
    damage(cache.directory / name, start + 5 * row + 1, bytes([200, 201]))
    decoded.clear()
    again = build_cache(photos, 8, "squish", root=root)
    check_pixels(again, photos)
    assert decoded == ["5.png"]
    damage(again.directory / name, start + 3 * row, bytes(7 * row))  # a lost cluster
    decoded.clear()
    check_pixels(build_cache([*photos[1:], photos[0]], 8, "squish", root=root), [*photos[1:], photos[0]])
    assert 1 < len(decoded) <= 7


@pytest.mark.parametrize(
    ("old", "new"), [(b'"sums": [', b'"sums": [1'), (b"null", b'"no"'), (b'"digest": "', b'"digest": "0'), (b"]", b"")]
)
def test_an_index_with_a_changed_byte_is_not_believed(
    photos: list[Path], root: Path, decoded: list[str], old: bytes, new: bytes
) -> None:
    cache = build_cache(photos, 8, "squish", root=root)
    content = (cache.directory / "index.json").read_bytes()
    (cache.directory / "index.json").write_bytes(content.replace(old, new, 1))
    decoded.clear()
    check_pixels(build_cache(photos, 8, "squish", root=root), photos)
    assert len(decoded) == len(photos)


def test_an_entry_of_a_version_without_checksums_is_used(photos: list[Path], root: Path, decoded: list[str]) -> None:
    cache = build_cache(photos, 8, "squish", root=root)
    record = json.loads((cache.directory / "index.json").read_bytes())
    (cache.directory / "index.json").write_text(
        json.dumps({name: value for name, value in record.items() if name not in ("sums", "digest")})
    )
    decoded.clear()
    check_pixels(build_cache(photos, 8, "squish", root=root), photos)
    assert decoded == []


# Crops


def hand_made_key(photos: list[Path], size: int, resize: str) -> str:
    """The key of an entry of whole frames, as it was before there were crops."""
    key = hashlib.blake2b(json.dumps([f"3, Pillow {PIL.__version__}", size, resize]).encode(), digest_size=16)
    for path in photos:
        key.update(f"\0{path.stat().st_size} {path.stat().st_mtime_ns} {path}".encode())
    return key.hexdigest()


def test_whole_frames_have_the_key_and_the_index_of_before_there_were_crops(photos: list[Path], root: Path) -> None:
    cache = build_cache(photos, 8, "squish", root=root)
    assert cache.directory.name == hand_made_key(photos, 8, "squish")
    rows = json.loads((cache.directory / "index.json").read_bytes())["photos"]
    assert [len(row) for row in rows] == [5] * len(photos)
    assert build_cache(photos, 8, "squish", crops=[None] * len(photos), root=root).directory == cache.directory


def test_another_box_of_the_same_photo_is_another_row(photos: list[Path], root: Path, decoded: list[str]) -> None:
    whole = build_cache(photos, 8, "squish", root=root)
    crop = Crop(0.0, 0.0, 0.5, 1.0, 0.0)
    crops: list[Crop | None] = [crop, *[None] * (len(photos) - 1)]
    decoded.clear()
    first = build_cache(photos, 8, "squish", crops=crops, root=root)
    assert decoded == ["0.png"]  # the others are copied from the whole frames
    assert first.directory != whole.directory
    assert first.digests == whole.digests  # of the file, whatever is seen of it
    decoded.clear()
    again = build_cache(photos, 8, "squish", crops=crops, root=root)
    assert (decoded, again.directory) == ([], first.directory)
    for other in (crop._replace(right=0.4), crop._replace(padding=0.1)):
        changed = build_cache(photos, 8, "squish", crops=[other, *crops[1:]], root=root)
        assert decoded == ["0.png"]
        assert changed.directory != first.directory
        decoded.clear()
    check_pixels(build_cache(photos, 8, "squish", root=root), photos)
    assert decoded == []


def test_a_crop_shows_its_part_of_the_photo(tmp_path: Path, root: Path) -> None:
    photo = tmp_path / "halves.png"
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (20, 0, 40, 20))
    image.save(photo)
    left, right = (
        build_cache([photo], 8, "squish", crops=[Crop(*box, 0.0)], root=root).pixels[0]
        for box in ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
    )
    assert (left[:, :7] == (255, 0, 0)).all()  # the filter reaches across the edge of a crop
    assert (right[:, 1:] == (0, 0, 255)).all()


def test_a_photo_that_cannot_be_read_has_its_reason_as_a_crop_too(photos: list[Path], root: Path) -> None:
    photos[0].write_bytes(b"not a picture")
    cache = build_cache(photos[:2], 8, "squish", crops=[Crop(0.0, 0.0, 1.0, 1.0, 0.0)] * 2, root=root)
    assert cache.reasons == ("not a picture", None)
