import os
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bearcnn.errors import DataError
from bearcnn.inference import arrivals
from bearcnn.inference.arrivals import Arrivals


def picture(kind: str = "JPEG", grey: int = 100) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (24, 16), (grey, grey, grey)).save(buffer, kind)
    return buffer.getvalue()


JPEG = picture()


class Watched:
    """A folder with a clock of its own: a listing per second."""

    def __init__(self, root: Path, **options) -> None:
        self.root, self.now, self.said = root, 0.0, []
        self.arrivals = Arrivals(root, on_change=self.said.append, **options)

    def poll(self, times: int = 1) -> list[str]:
        found = []
        for _ in range(times):
            self.now += 1
            found += [
                arrival.path.relative_to(self.root).as_posix() if arrival.path.is_relative_to(self.root) else ""
                for arrival in self.arrivals.poll(self.now)
            ]
        return found

    def put(self, name: str, content: bytes = JPEG) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


@pytest.fixture
def folder(tmp_path) -> Watched:
    (tmp_path / "card").mkdir()
    return Watched(tmp_path / "card")


def test_a_whole_photo_is_given_once_at_the_second_listing(folder):
    folder.put("a/b/new.jpg")
    assert folder.poll() == []
    assert folder.poll() == ["a/b/new.jpg"]
    assert folder.poll(100) == []


def test_it_remembers_when_it_was_first_seen(folder):
    file = folder.put("slow.jpg", JPEG[:50])
    folder.poll(5)
    file.write_bytes(JPEG)
    folder.poll()
    (arrival,) = folder.arrivals.poll(7.5)
    assert (arrival.path, arrival.seen) == (file, 1)


def test_what_is_there_at_first_is_skipped_unless_it_is_asked_for(tmp_path):
    for name in ("a.jpg", "b/c.png", "no photo.txt", ".hidden.jpg", ".hidden/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture("PNG") if name.endswith("png") else JPEG)
    watched = Watched(tmp_path)
    assert (watched.arrivals.skipped, watched.poll(5)) == (2, [])
    watched = Watched(tmp_path, existing=True)
    assert (watched.arrivals.skipped, sorted(watched.poll(5))) == (0, ["a.jpg", "b/c.png"])


def test_what_was_half_written_at_first_is_given_when_it_is_whole(tmp_path):
    (tmp_path / "half.jpg").write_bytes(JPEG[:60])
    watched = Watched(tmp_path)
    assert watched.poll(3) == []
    watched.put("half.jpg")
    assert watched.poll(3) == ["half.jpg"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_a_photo_that_is_written_slowly_is_given_when_it_is_whole(folder, kind, chunk):
    content, name = picture(kind), f"x.{kind.lower()}"
    for end in range(chunk, len(content), chunk * (1 if chunk > 1 else 40)):
        folder.put(name, content[:end])
        assert folder.poll(3) == []  # not even where the writer pauses
    folder.put(name, content)
    assert folder.poll(2) == [name]


def test_a_file_whose_space_is_reserved_first_is_not_whole(folder):
    folder.put("x.jpg", JPEG[:100] + bytes(len(JPEG) - 100))
    assert folder.poll(20) == []
    folder.put("x.jpg", JPEG)
    assert folder.poll(2) == ["x.jpg"]


def test_a_photo_that_never_ends_is_given_after_a_while_and_again_when_it_goes_on(folder):
    folder.put("x.jpg", JPEG[:-20])  # as an upload that hangs
    assert folder.poll(30) == []
    assert folder.poll(2) == ["x.jpg"]
    folder.put("x.jpg", JPEG)
    assert folder.poll(2) == ["x.jpg"]


@pytest.mark.parametrize("name", ["x.bmp", "x.gif", "x.webp", "x.tif"])
def test_a_format_without_a_known_end_is_whole_when_it_can_be_read(folder, name):
    content = picture({"x.tif": "TIFF"}.get(name, name[2:].upper()))
    folder.put(name, content[: len(content) * 2 // 3])
    assert folder.poll(3) == []
    folder.put(name, content)
    assert folder.poll(2) == [name]


def test_a_photo_with_something_behind_its_end_is_whole(folder):
    folder.put("x.jpg", JPEG + b"maker's notes")
    assert folder.poll(2) == ["x.jpg"]


def test_a_thumbnail_in_it_is_not_its_end(folder):
    thumbnail = b"Exif" + JPEG
    content = JPEG[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + JPEG[2:]
    folder.put("x.jpg", content[: len(JPEG) + 40])
    assert folder.poll(3) == []
    folder.put("x.jpg", content)
    assert folder.poll(2) == ["x.jpg"]


def test_a_rewritten_photo_is_given_again(folder):
    for grey in (1, 2, 3):  # as a camera's latest.jpg
        file = folder.put("latest.jpg", picture(grey=grey))
        os.utime(file, ns=(grey * 10**9, grey * 10**9))
        assert folder.poll(4) == ["latest.jpg"]


def test_a_photo_that_vanishes_half_written_is_counted_and_forgotten(folder):
    folder.put("x.jpg", JPEG[:50])
    folder.poll()
    (folder.root / "x.jpg").unlink()
    assert folder.poll(3) == []
    assert folder.arrivals.vanished == 1
    folder.put("x.jpg")
    assert folder.poll(2) == ["x.jpg"]


def test_a_card_that_is_pulled_out_and_put_back_is_not_answered_again(folder, tmp_path):
    folder.put("old.jpg")
    assert folder.poll(2) == ["old.jpg"]
    folder.put("under way.jpg", JPEG[:50])
    folder.poll()
    folder.root.rename(tmp_path / "away")
    assert folder.poll(3) == []
    assert folder.arrivals.vanished == 0
    assert folder.said == [f"{folder.root} can't be listed (No such file or directory); waiting for it to come back"]
    for name in ("new.jpg", "under way.jpg"):
        (tmp_path / "away" / name).write_bytes(JPEG)
    (tmp_path / "away").rename(folder.root)
    assert sorted(folder.poll(3)) == ["new.jpg", "under way.jpg"]
    assert folder.said[1:] == [f"{folder.root} is back"]


def test_an_empty_folder_in_the_place_of_the_card_is_said_and_the_card_not_forgotten(folder, tmp_path):
    folder.put("old.jpg")
    assert folder.poll(2) == ["old.jpg"]
    folder.root.rename(tmp_path / "away")
    folder.root.mkdir()  # as a mount point without its card
    folder.poll(2)
    assert folder.said == [f"{folder.root} is another folder now: was a card or drive mounted, or lost?"]
    folder.root.rmdir()
    (tmp_path / "away").rename(folder.root)
    assert folder.poll(4) == []
    assert len(folder.said) == 2


def test_linked_folders_are_followed_but_never_in_circles(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.jpg").write_bytes(JPEG)
    (folder.root / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder.root)
    (folder.root / "dead.jpg").symlink_to("nowhere.jpg")
    (folder.root / "circle.jpg").symlink_to("circle.jpg")
    (folder.root / "folder.jpg").mkdir()
    folder.put("folder.jpg/y.jpg")
    assert sorted(folder.poll(2)) == ["folder.jpg/y.jpg", "link/x.jpg"]


def test_photos_of_one_listing_come_in_the_order_of_their_times(folder):
    for name, second in (("c.jpg", 1), ("a.jpg", 3), ("b.jpg", 2)):
        os.utime(folder.put(name), ns=(second * 10**9, second * 10**9))
    assert folder.poll(2) == ["c.jpg", "b.jpg", "a.jpg"]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"{name} can't be watched: "):
        Arrivals(tmp_path / name)


def test_many_files_are_compared_in_turn_and_few_wait_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(arrivals, "_LOOKED_AT", 10)
    monkeypatch.setattr(arrivals, "_WAITING", 7)
    names = [f"{number:03}.jpg" for number in range(60)]
    for name in names:
        folder.put(name)
    found = [folder.poll() for _ in range(20)]
    assert sorted(name for names in found for name in names) == names
    assert max(map(len, found)) <= 7
    file = folder.put("003.jpg", picture(grey=7))
    assert folder.poll(10) == ["003.jpg"]
    looked: list[str] = []
    look = arrivals._look
    monkeypatch.setattr(arrivals, "_look", lambda path: (looked.append(path), look(path))[1])
    folder.poll()
    assert str(file) in looked  # what has changed lately is looked at each time
    assert len(looked) < 30


def test_the_memory_of_vanished_photos_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(arrivals, "_REMEMBERED", 20)
    folder.arrivals._limit = 20
    for number in range(100):
        file = folder.put(f"{number}.jpg")
        assert folder.poll(2) == [file.name]
        if number % 10:
            file.unlink()
    assert len(folder.arrivals._known) <= 30
    assert folder.poll(5) == []  # what is still there is still known


@given(st.lists(st.sampled_from(["write", "finish", "rewrite", "poll", "away"]), max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_each_version_that_lasts_is_given_exactly_once(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("watched")
    (root / "card").mkdir()
    folder = Watched(root / "card")
    version, given, done = 0, [], set()
    for step in [*steps, "finish", "poll"]:
        if step == "write":
            version += 1
            folder.put("x.jpg", picture(grey=version)[:60])
        elif step in ("finish", "rewrite"):
            version += 1
            os.utime(folder.put("x.jpg", picture(grey=version)), ns=(version * 10**9, version * 10**9))
            done.add(version)
            if step == "rewrite":
                given += [version] if folder.poll(2) else []
        elif step == "away":
            (root / "card").rename(root / "away")
            folder.poll(3)
            (root / "away").rename(root / "card")
        else:
            given += [version] if folder.poll(2) else []
    assert given == sorted(set(given))
    assert given[-1] == version
    assert set(given) <= done


def test_watching_goes_on_until_it_is_stopped(folder):
    stop, found = Event(), []
    thread = Thread(target=lambda: [found.append(arrival.path.name) for arrival in folder.arrivals.watch(stop, 0.01)])
    thread.start()
    folder.put("x.jpg")
    for _ in range(500):
        if found:
            break
        stop.wait(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert found == ["x.jpg"]
