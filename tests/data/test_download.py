"""The fetched photos: the download, the check, the choice; all against a server on this computer."""

import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bearcnn.data import download as fetching
from bearcnn.data.cifar100 import LIKE_BEARS, share_out
from bearcnn.data.dataset import Dataset
from bearcnn.data.download import fetch_cifar100_bears
from bearcnn.errors import DataError

CLASSES = {
    "large_carnivores": ["bear", "leopard", "lion", "tiger", "wolf"],
    "large_omnivores_and_herbivores": ["camel"],
    "medium_mammals": ["fox"],
    "people": ["boy"],
    "trees": ["oak_tree"],
    "vehicles_1": ["train"],  # a class called like a split
}
NAMES = [name for names in CLASSES.values() for name in names]
NUMBERS = {"train": 20, "test": 5}  # photos of each class


def pack(entries: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    """What CIFAR-100's archive holds, with fewer classes and photos: noise, so that none is like another."""
    generator = np.random.default_rng(0)
    entries = {}
    for split, number in NUMBERS.items():
        for superclass, names in CLASSES.items():
            for name in names:
                for index in range(number):
                    file = io.BytesIO()
                    Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "PNG")
                    entries[f"cifar100/{split}/{superclass}/{name}/{name}_s_{index:06}.png"] = file.getvalue()
    return entries


@pytest.fixture(scope="module")
def archive(photos) -> bytes:
    return pack(photos)


class Server(ThreadingHTTPServer):
    """Gives one file. What it does wrong can be set; what was asked for and sent is written down."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.status = 200  # anything else is an error
        self.stops_after: int | None = None  # bytes of one answer
        self.stalls = threading.Event()
        self.stalls.set()
        self.requests = 0
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/cifar100.tgz"


class Handler(BaseHTTPRequestHandler):
    """HTTP 1.0, as far as a download needs it."""

    server: Server

    def do_GET(self):
        server = self.server
        server.requests += 1
        if server.status != 200:
            self.send_error(server.status)
            return
        self.send_response(200)
        body = server.content
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: server.stops_after]
        self.wfile.write(body)
        server.sent += len(body)
        server.stalls.wait(10)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(archive, monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    server = Server(archive)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stalls.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(server, archive, tmp_path):
    """Fetches from the server of this computer; the folder of archives is a new one, the user's stays untouched."""

    def fetch(folder="photos", **options):
        known = {"url": server.url, "sha256": hashlib.sha256(archive).hexdigest(), "archives": tmp_path / "archives"}
        options = known | options
        return fetch_cifar100_bears(tmp_path / folder, **options)

    fetch.url = server.url
    return fetch


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kinds_in(folder: Path) -> Counter[str]:
    return Counter(path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_every_photo_comes_unchanged_into_the_split_and_class_it_belongs_to(fetch, photos, tmp_path):
    summary = fetch(negatives_per_bear=99)
    assert (summary.directory, summary.bears, summary.others, summary.skipped) == (tmp_path / "photos", 25, 225, 0)
    expected: dict[str, Counter[bytes]] = {}
    for name, content in photos.items():
        _, split, _, kind, _ = name.split("/")
        folder = "bear" if kind == "bear" else f"not_bear/{kind}"
        expected.setdefault(f"{split}/{folder}", Counter())[content] += 1
    found: dict[str, Counter[bytes]] = {}
    for name, content in files_in(tmp_path / "photos").items():
        folder = name.rpartition("/")[0].replace("valid/", "train/")
        found.setdefault(folder, Counter())[content] += 1
    assert found == expected
    counts = kinds_in(tmp_path / "photos")
    assert counts["train/bear"] == 16 and counts["valid/bear"] == 4 and counts["test/bear"] == 5
    assert counts["test/not_bear/train"] == 5
    assert (tmp_path / "photos/train/bear/000.png").exists() and (tmp_path / "photos/train/bear/015.png").exists()


def test_the_folder_is_a_data_set_that_can_be_loaded(fetch, tmp_path):
    summary = fetch(negatives_per_bear=3)
    dataset = Dataset.from_folder(summary.directory, image_size=32, cache_root=tmp_path / "cache")
    numbers = {split: tuple(sum(kinds.values()) for kinds in dataset.counts()[split].values()) for split in NUMBERS}
    assert numbers == {"train": (48, 16), "test": (15, 5)}
    assert len(dataset.select("valid")) == 16 and not dataset.skipped
    assert len(dataset.examples) == summary.bears + summary.others == 25 + 75


def test_half_of_the_others_are_the_animals_most_like_a_bear_and_the_rest_is_spread_over_everything(fetch, tmp_path):
    summary = fetch(negatives_per_bear=2)
    counts = kinds_in(tmp_path / "photos/train/not_bear")
    near = {name: counts.pop(name) for name in ("leopard", "lion", "tiger", "wolf")}
    assert sum(near.values()) + sum(counts.values()) == 32
    assert set(near.values()) <= {5, 6} and set(counts.values()) <= {1, 2} and len(counts) == 5
    assert summary.skipped == 225 - summary.others == 225 - 50


def test_the_same_seed_gives_the_same_photos_and_another_gives_others(fetch, tmp_path):
    for folder, seed in (("first", 0), ("again", 0), ("other", 1)):
        fetch(folder, seed=seed, negatives_per_bear=1)
    first, again, other = (files_in(tmp_path / folder) for folder in ("first", "again", "other"))
    assert first == again
    assert set(first.values()) != set(other.values())
    assert {first[name] for name in first if name.startswith("test/bear")} == {
        other[name] for name in other if name.startswith("test/bear")
    }


def test_the_bytes_are_counted_up_to_the_last(fetch, archive, tmp_path):
    steps: list[tuple[int, int]] = []
    fetch(on_download=lambda *step: steps.append(step))
    assert steps[-1] == (len(archive), len(archive))
    assert all(0 < done <= total == len(archive) for done, total in steps)
    assert (tmp_path / "archives/cifar100.tgz").read_bytes() == archive


def test_a_download_that_breaks_off_is_never_taken_for_whole(fetch, server, archive, tmp_path):
    server.stops_after = len(archive) // 2
    with pytest.raises(DataError, match=r"broke off after 0\.\d of 0\.\d MB .*run it again") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == {}
    server.stops_after = None
    assert fetch().bears == 25


def test_a_server_that_falls_silent_is_given_up(fetch, server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_TIMEOUT", 0.3)
    server.stalls.clear()
    server.stops_after = 200_000
    with pytest.raises(DataError, match=r"broke off after 0\.\d of 0\.\d MB .*run it again"):
        fetch()
    assert files_in(tmp_path) == {}


@pytest.mark.slow  # starts a process
def test_a_full_disk_is_said_with_the_folder_and_leaves_nothing(fetch, tmp_path):
    # A limit on the size of files, which a disk that is full makes look the same to a program.
    code = (
        "import resource, signal, sys, pathlib\n"
        "from bearcnn.data.download import fetch_cifar100_bears\n"
        "from bearcnn.errors import DataError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "place = pathlib.Path(sys.argv[2])\n"
        "try:\n"
        "    fetch_cifar100_bears(place / 'photos', url=sys.argv[1], archives=place / 'archives')\n"
        "except DataError as error:\n"
        "    print(error)"
    )
    pytest.importorskip("resource")
    run = subprocess.run([sys.executable, "-c", code, fetch.url, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"the archive can't be kept in {tmp_path / 'archives'} (File too large)")
    assert len(run.stdout.splitlines()) == 1
    assert files_in(tmp_path) == {}


def test_an_archive_that_lies_there_is_not_downloaded_again(fetch, server, archive):
    fetch("first")
    assert fetch("second").bears == 25
    assert server.requests == 1


def test_a_damaged_archive_that_lies_there_is_replaced(fetch, server, archive, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/cifar100.tgz").write_bytes(archive[: len(archive) // 3])
    assert fetch().bears == 25
    assert (tmp_path / "archives/cifar100.tgz").read_bytes() == archive


def damage(archive: bytes, place: int) -> bytes:
    return archive[:place] + bytes([archive[place] ^ 0x55]) + archive[place + 1 :]


@pytest.mark.parametrize("place", ["middle", "checksum", "end", "everything"])
def test_a_damaged_download_is_deleted_so_that_the_next_one_works(fetch, server, archive, tmp_path, place):
    server.content = {
        "middle": damage(archive, len(archive) // 2),
        "checksum": damage(archive, len(archive) - 8),  # gzip's, after the last photo
        "end": archive[:-1000],
        "everything": b"<html>Welcome to the hotel's network</html>",
    }[place]
    with pytest.raises(DataError, match=r"^what http://127.* is damaged or another file .*it is deleted: run it again"):
        fetch()
    assert files_in(tmp_path) == {}
    server.content = archive
    assert fetch().bears == 25


def test_an_archive_without_bears_is_refused(fetch, server, photos, tmp_path):
    server.content = pack({name: content for name, content in photos.items() if "test/large_carn" not in name})
    with pytest.raises(DataError, match="is not CIFAR-100"):
        fetch(sha256=hashlib.sha256(server.content).hexdigest())
    assert not (tmp_path / "photos").exists()


@pytest.mark.parametrize("name", ["cifar100/../../../evil.png", "/evil.png", "link"])
def test_an_archive_that_leads_out_of_its_folder_is_never_unpacked(fetch, server, photos, tmp_path, name):
    entry: bytes | tarfile.TarInfo = b"evil"
    if name == "link":
        entry = tarfile.TarInfo("cifar100/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, str(tmp_path)
    server.content = pack({**photos, name: entry})
    with pytest.raises(DataError, match="must not be unpacked"):
        fetch(sha256=hashlib.sha256(server.content).hexdigest())
    assert list(tmp_path.iterdir()) == [tmp_path / "archives"]
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.slow  # imports fastai
def test_the_archive_has_the_address_that_fastai_gives():
    from fastai.data.external import URLs

    assert fetching.CIFAR_100 == URLs.CIFAR_100
    assert len(bytes.fromhex(fetching.CIFAR_100_SHA256)) == 32


@pytest.mark.parametrize("status", [403, 404, 416, 503])
def test_a_refusal_is_said_with_the_server_and_the_address(fetch, server, tmp_path, status):
    server.status = status
    with pytest.raises(DataError, match=rf"^127\.0\.0\.1 refuses to give {server.url} \({status} ") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "photos").exists()


def test_without_a_network_one_line_says_so(fetch, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/cifar100.tgz"
        with pytest.raises(DataError, match=r"^can't reach 127\.0\.0\.1: .*refused; run it again") as caught:
            fetch(url=closed)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "photos").exists()


def fetch_offline(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    dead_end = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")
    command = [sys.executable, "-m", "bearcnn", "data", "fetch", "cifar100-bears", str(tmp_path / "photos")]
    return subprocess.run(
        command,
        env=os.environ | dead_end | {"no_proxy": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow  # starts a process
def test_unless_told_otherwise_it_asks_for_fastais_archive_and_keeps_it_in_the_cache(tmp_path):
    run = fetch_offline(tmp_path, BEARCNN_CACHE=str(tmp_path / "cache"))
    assert run.returncode == 1
    assert run.stderr.strip().startswith("error: can't reach s3.amazonaws.com: ")
    assert len(run.stderr.strip().splitlines()) == 1
    assert (tmp_path / "cache/archives").is_dir() and not (tmp_path / "photos").exists()


@pytest.mark.slow  # starts a process
def test_a_home_that_cannot_be_written_is_an_error_in_one_line(tmp_path):
    (tmp_path / "home").write_text("a file, below which no folder can be made")
    run = fetch_offline(tmp_path, BEARCNN_CACHE="", HOME=str(tmp_path / "home"), XDG_CACHE_HOME="")
    assert run.returncode == 1
    assert run.stderr.startswith("error: the archive can't be kept in ")
    assert "BEARCNN_CACHE" in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr


def test_a_folder_that_is_not_empty_is_refused_before_anything_is_downloaded(fetch, server, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("photos", "file"):
        with pytest.raises(DataError, match="exists already and is not an empty folder"):
            fetch(name)
    with pytest.raises(DataError, match="can't be written"):
        fetch("file/photos")
    assert server.requests == 0
    assert files_in(tmp_path) == {"photos/mine.txt": b"mine", "file": b"mine"}


def test_an_empty_folder_is_filled_and_missing_ones_are_made(fetch, tmp_path):
    (tmp_path / "empty").mkdir()
    assert fetch("empty").bears == 25
    assert fetch("a/b/photos").bears == 25
    assert kinds_in(tmp_path / "empty") == kinds_in(tmp_path / "a/b/photos")


def test_the_photos_can_be_read_by_others_as_other_new_files_can(fetch, tmp_path):
    fetch()
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "photos").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_stopped_while_sorting_it_leaves_nothing_behind_and_the_next_time_needs_no_download(fetch, server, tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(on_progress=interrupt)
    assert list(tmp_path.iterdir()) == [tmp_path / "archives"]
    steps: list[tuple[int, int]] = []
    summary = fetch(on_progress=lambda *step: steps.append(step))
    assert steps[-1] == (summary.bears + summary.others,) * 2
    assert server.requests == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "photos"]


def test_folders_with_a_percent_sign_work(fetch, tmp_path):
    assert fetch("100% bears", archives=tmp_path / "50% full").bears == 25
    assert (tmp_path / "50% full/cifar100.tgz").exists()


@pytest.mark.slow  # packs the archive again
def test_an_archive_without_superclasses_serves_as_well(fetch, server, photos, tmp_path):
    fetch("with")
    shorter = {"/".join((*name.split("/")[:2], *name.split("/")[3:])): content for name, content in photos.items()}
    server.content = pack(shorter)
    sha256 = hashlib.sha256(server.content).hexdigest()
    fetch("without", archives=tmp_path / "others", sha256=sha256)
    assert files_in(tmp_path / "with") == files_in(tmp_path / "without")


def test_at_least_one_other_photo_for_each_bear_is_needed(fetch):
    with pytest.raises(DataError, match="at least 1"):
        fetch(negatives_per_bear=0)


@given(
    st.dictionaries(st.sampled_from([*NAMES[1:], "camel", "cattle", "fox", "seal", "rose"]), st.integers(0, 40)),
    st.integers(0, 300),
)
def test_shares_are_as_many_as_wanted_and_no_more_than_there_are(room, total):
    taken = share_out(room, total)
    assert taken.keys() == room.keys()
    assert all(0 <= taken[name] <= room[name] for name in room)
    assert sum(taken.values()) == min(total, sum(room.values()))


def test_of_the_real_cifar100_four_others_a_bear_are_half_big_cats_and_wolves():
    far = [f"class {number}" for number in range(75)]
    near = [name for group in LIKE_BEARS for name in group]
    room = dict.fromkeys([*far, *near], 400)  # the train split
    assert len(room) == 99
    taken = share_out(room, 4 * 400)
    assert {taken[name] for name in near[:4]} == {208}
    assert {taken[name] for name in [*far, *near[4:]]} <= {8, 9}


def test_when_the_nearest_are_used_up_the_next_nearest_come():
    taken = share_out({"rose": 100, "fox": 100, "camel": 100, "wolf": 10}, 60)
    assert taken == {"wolf": 10, "camel": 30, "fox": 10, "rose": 10}


@pytest.mark.slow  # starts a process
def test_importing_it_loads_neither_torch_nor_fastai():
    check = "import bearcnn.data.download, sys; sys.exit(bool({'torch', 'fastai', 'PIL'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_damage_in_these_tests_is_real(archive):
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(damage(archive, len(archive) - 8))
    assert gzip.decompress(damage(archive, 4)) == gzip.decompress(archive)
