"""Photo files to bytes, also where they change while they are read."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bearcnn.data import reading
from bearcnn.data.details import FileDetails, read_details
from bearcnn.data.metadata import Metadata, read_metadata
from bearcnn.data.photos import load_photo
from bearcnn.data.reading import byte_limit, open_photo, read_photo
from bearcnn.errors import PhotoError, PhotoMemoryError

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (20, 10), "brown").save(path)
    return path


def swap(path: Path, monkeypatch: pytest.MonkeyPatch, make) -> None:
    """Replace the file between the look at it and the opening, as somebody else may at any time."""
    real = os.open

    def open_late(name, flags, *rest, **more):
        if Path(name) == path:
            path.unlink()
            make(path)
        return real(name, flags, *rest, **more)

    monkeypatch.setattr(reading.os, "open", open_late)


@needs_pipes
def test_a_photo_that_becomes_a_pipe_is_not_waited_for(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap(photo, monkeypatch, os.mkfifo)
    with pytest.raises(PhotoError, match=r"^not a file$"):
        load_photo(photo)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_photo_that_becomes_a_device_is_not_read(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap(photo, monkeypatch, lambda path: path.symlink_to("/dev/zero"))
    with pytest.raises(PhotoError, match=r"^not a file$"):
        load_photo(photo)


def test_a_photo_that_becomes_a_folder_or_vanishes_has_a_reason(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap(photo, monkeypatch, lambda path: None)
    with pytest.raises(PhotoError, match=r"^file not found$"):
        load_photo(photo)
    photo.write_bytes(b"x")
    swap(photo, monkeypatch, os.mkdir)
    with pytest.raises(PhotoError, match=r"directory|folder"):
        load_photo(photo)


@needs_pipes
def test_details_and_metadata_of_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "20240131_235959.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    assert read_metadata(tmp_path / "20240131_235959.jpg").taken is not None
    assert read_metadata(tmp_path / "zero.jpg") == Metadata()
    assert read_details(tmp_path / "zero.jpg") == FileDetails()


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(byte_limit(50) + 1)
    with pytest.raises(PhotoError, match=r"^too large: a file of 100 MB, more than 100$"):
        read_photo(large)
    large.write_bytes(bytes(byte_limit(1) + 1))
    with pytest.raises(PhotoError, match=r"more than 2$"):
        read_photo(large, max_megapixels=1)
    assert len(read_photo(large, max_megapixels=2)) == byte_limit(1) + 1


def test_a_file_that_grows_while_it_is_read_is_read_to_the_limit_alone(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat
    seen: list[int] = []

    def fstat(descriptor):
        state = real(descriptor)
        seen.append(state.st_size)
        with photo.open("ab") as file:
            file.truncate(byte_limit(1) * 3)
        return state

    monkeypatch.setattr(reading.os, "fstat", fstat)
    with pytest.raises(PhotoError, match=r"too large: a file of \d+ MB, more than 2$"):
        read_photo(photo, max_megapixels=1)
    assert seen[0] < 1000


def test_a_photo_without_memory_for_its_bytes_says_so(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def fileno(self):
            return 0

        def read(self, number):
            raise MemoryError

    monkeypatch.setattr(reading, "open_photo", lambda path: Greedy())
    monkeypatch.setattr(reading.os, "fstat", lambda descriptor: photo.stat())
    with pytest.raises(PhotoMemoryError, match="too large for this computer's memory"):
        read_photo(photo)


def change(path: Path, contents: list[bytes], stop: threading.Event) -> None:
    while not stop.is_set():
        for content in contents:
            temporary = path.with_suffix(".new")
            temporary.write_bytes(content)
            temporary.replace(path)
            path.write_bytes(content[: len(content) // 2])
            path.unlink()


@pytest.fixture
def restless(photo: Path) -> Iterator[Path]:
    """A photo that another thread replaces, cuts and deletes all the time."""
    contents, stop = [photo.read_bytes(), b"", b"no picture"], threading.Event()
    thread = threading.Thread(target=change, args=(photo, contents, stop))
    thread.start()
    yield photo
    stop.set()
    thread.join()


def test_a_photo_that_changes_all_the_time_is_a_picture_or_a_reason(restless: Path) -> None:
    seen = set()
    for _ in range(400):
        try:
            assert load_photo(restless).size == (20, 10)
            seen.add("picture")
        except PhotoError as error:
            seen.add(str(error))
        read_metadata(restless)
    assert seen & {"picture", "file not found", "empty file"}
    assert seen <= {
        "picture",
        "file not found",
        "empty file",
        "not a picture",
        "file is truncated",
        "file is damaged",
    }


def test_an_opened_photo_is_a_plain_file(photo: Path) -> None:
    with open_photo(photo) as file:
        assert file.read(4) == b"\x89PNG"
        assert file.seekable()
