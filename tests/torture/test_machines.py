"""Bad machines: full or read-only disks, no home, few files, little memory, wrong clocks, two commands at once.

Each command works, or says in one line what is wrong and loses nothing.
"""

import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from bearcnn.data.synthetic.scenes import write_scenes
from tests.helpers.machines import assert_one_line, remount, run_limited, small_disk

pytestmark = pytest.mark.torture

TINY = ("--image-size", 32, "--set", "model.widths=[8,16]", "--batch-size", 16)
SWEEP = ("sweep-dropout", "--rates", "0,0.5", "--epochs", 2, *TINY)
INT8 = ("--format", "int8", "--allow-loss")
MB = 1 << 20


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    write_scenes(folder, count=200, size=64, workers=1)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """The folder of a finished run `r` of six epochs."""
    place = tmp_path_factory.mktemp("trained")
    process = run_limited("train", "--data", scenes, *TINY, "--epochs", 6, "--out", "r", cwd=place)
    assert process.returncode == 0, process.stderr
    return place


def weights(run: Path) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in load_file(run / "model.safetensors").items()}


def works(process: "subprocess.CompletedProcess[str]") -> None:
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr


# Full disks


@pytest.mark.parametrize("kilobytes", [4, 60, 120, 200, 300])
def test_a_training_run_on_a_full_disk_goes_on_with_more_room(scenes, trained, tmp_path, figures, kilobytes) -> None:
    with small_disk(tmp_path / "disk", f"{kilobytes}k") as disk:
        run = disk / "r"
        process = run_limited("train", "--data", scenes, *TINY, "--epochs", 6, "--out", run, cwd=tmp_path)
        line = assert_one_line(process)
        assert "written" in line or "full" in line or "No space" in line
        assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]
        remount(disk, "size=20m")
        resumed = run_limited("train", "--resume", run, cwd=tmp_path)
        if (run / "metrics.json").exists() and resumed.returncode:  # only its page had no room
            assert "bearcnn report" in assert_one_line(resumed, "is finished")
            assert "bearcnn report" in line
            works(run_limited("report", run, cwd=tmp_path))
            ended = "finished, and its page written later"
        elif (run / "config.toml").exists():
            works(resumed)
            ended = "resumed to the same weights"
        else:
            assert_one_line(resumed)
            figures(f"a disk of {kilobytes} kB", "refused before anything was computed")
            return
        assert weights(run) == weights(trained / "r")
        assert (run / "report.html").is_file()
        figures(f"a disk of {kilobytes} kB", ended)


def test_a_full_disk_under_each_other_command(scenes, trained, tmp_path, figures) -> None:
    run = trained / "r"
    commands: dict[str, tuple[str, list[object]]] = {
        "cache": ("64k", ["data", "check", scenes]),
        "predict --out": ("8k", ["predict", scenes, "--model", run, "--out", "DISK/bears.csv"]),
        "predict --heatmaps": ("64k", ["predict", scenes / "test", "--model", run, "--heatmaps", "DISK/drawn"]),
        "export": ("4k", ["export", run, *INT8, "--out", "DISK/int8.onnx"]),
        "explain": ("64k", ["explain", next(scenes.rglob("*.jpg")), "--model", run, "--out", "DISK/explain.png"]),
        "sweep": ("64k", [*SWEEP, "--data", scenes, "--seeds", 1, "--out", "DISK/s"]),
        "data synth": ("64k", ["data", "synth", "DISK/drawn", "--count", 400]),
        "data look": ("64k", ["data", "look", scenes, "--out", "DISK/look.html"]),
    }
    for name, (size, arguments) in commands.items():
        with small_disk(tmp_path / name.replace(" ", ""), size) as disk:
            words = [str(word).replace("DISK", str(disk)) for word in arguments]
            cache = {"BEARCNN_CACHE": str(disk / "cache")} if name == "cache" else {}
            assert_one_line(run_limited(*words, cwd=tmp_path, **cache))
            left = [path.name for path in disk.rglob("*") if path.suffix in (".tmp", ".csv", ".onnx", ".png", ".html")]
            assert not left, (name, left)
    figures("commands on a full disk, an error of one line each, nothing half-written", len(commands))


def test_standard_output_on_a_full_disk(scenes, trained, tmp_path) -> None:
    with small_disk(tmp_path / "disk", "8k") as disk:
        for form in ("csv", "jsonl", "table"):
            process = run_limited(
                "predict", scenes, "--model", trained / "r", "--format", form, cwd=tmp_path, stdout=disk / form
            )
            assert_one_line(process, "the disk is full")


# Folders that can only be read


def test_what_can_only_be_read(scenes, trained, tmp_path, figures) -> None:
    train = ["train", "--data", "photos", *TINY, "--epochs", 1]
    with small_disk(tmp_path / "disk", "50m") as disk:
        shutil.copytree(scenes, disk / "photos")
        shutil.copytree(trained / "r", disk / "r")

        def run(*words: object) -> "subprocess.CompletedProcess[str]":
            return run_limited(*words, cwd=disk, BEARCNN_CACHE=str(disk / "cache"))

        works(run(*train, "--out", tmp_path / "a"))
        shutil.rmtree(disk / "runs")
        remount(disk, "ro")
        works(run("predict", "photos", "--model", "r"))
        works(run("evaluate", "r", "--data", "photos"))
        # The cache can be read; the run lies elsewhere; only the link to the newest run can't be made.
        process = run(*train, "--out", tmp_path / "b")
        works(process)
        assert "runs/latest" in process.stderr
        assert weights(tmp_path / "b") == weights(tmp_path / "a")
        assert (tmp_path / "b/report.html").is_file()
        refused = [
            [*train, "--image-size", 48, "--out", tmp_path / "c"],
            train,
            [*train, "--out", "x"],
            [*SWEEP, "--data", "photos"],
            ["export", "r", *INT8],
            ["report", "r"],
            ["predict", "photos", "--model", "r", "--out", "bears.csv"],
            ["data", "synth", "x"],
            ["explain", next((disk / "photos").rglob("*.jpg")), "--model", "r"],
            ["evaluate", "r", "--data", "photos", "--target-recall", "0.9", "--save-threshold"],
            ["data", "check", "photos", "--html", "x.html"],
            ["data", "look", "photos", "--out", "y.html"],
        ]
        for words in refused:
            assert_one_line(run(*words))
        assert not (tmp_path / "c").exists()
    figures("commands on a disk that can only be read, each works or says so in one line", 3 + len(refused))


# No home, no cache


@pytest.mark.parametrize("home", ["", "read-only", "/proc"])
def test_without_a_home(scenes, trained, tmp_path, home: str) -> None:
    with small_disk(tmp_path / "home", "1m") as read_only:
        remount(read_only, "ro")  # permissions alone would not stop root
        environment = {"HOME": str(read_only) if home == "read-only" else home} if home else {}
        without = ("BEARCNN_CACHE", "XDG_CACHE_HOME", *(() if home else ("HOME",)))
        run, photo = trained / "r", next(scenes.rglob("*.jpg"))

        def run_there(*words: object, **more: str) -> "subprocess.CompletedProcess[str]":
            left_out = [name for name in without if name not in more]
            return run_limited(*words, cwd=tmp_path, without=tuple(left_out), **environment, **more)

        works(run_there("predict", scenes, "--model", run))
        works(run_there("explain", photo, "--model", run))
        train = ["train", "--data", scenes, *TINY, "--epochs", 1]
        if home:  # without the variable the system's list of users names one
            assert_one_line(run_there(*train), "BEARCNN_CACHE")
        works(run_there(*train, BEARCNN_CACHE=str(tmp_path / "cache")))


# 64 open files


def test_with_64_open_files(scenes, trained, tmp_path, figures) -> None:
    limits = {resource.RLIMIT_NOFILE: 64}
    commands: list[list[object]] = [
        ["train", "--data", scenes, *TINY, "--epochs", 2, "--out", "r"],
        ["train", "--data", scenes, *TINY, "--epochs", 300, "--set", "train.replicas=2", "--out", "r2"],
        ["evaluate", "r"],
        ["predict", scenes, "--model", "r", "--out", "bears.csv"],
        ["predict", scenes, "--model", "r", "--heatmaps", "drawn"],
        ["export", "r", *INT8, "--out", "int8.onnx"],
        ["explain", next(scenes.rglob("*.jpg")), "--model", "r"],
        [*SWEEP, "--data", scenes, "--seeds", 2, "--workers", 2, "--out", "s"],
        ["data", "synth", "x", "--count", 200, "--size", 32],
    ]
    for words in commands:
        works(
            run_limited(*words, cwd=tmp_path, limits=limits, BEARCNN_CACHE=str(tmp_path / "cache"), OMP_NUM_THREADS="2")
        )
    figures("commands with 64 open files, all work", len(commands))


# Little memory


@pytest.mark.parametrize("megabytes", [200, 400, 600, 1000, 1500, 2000, 3000])
def test_with_little_memory(scenes, trained, tmp_path, figures, megabytes: int) -> None:
    """The address space is limited, which is more than the memory that is used."""
    limits = {resource.RLIMIT_AS: megabytes * MB}
    ended = {}
    for name, words in {
        "predict": ["predict", scenes, "--model", trained / "r", "--out", "bears.csv"],
        "train": ["train", "--data", scenes, *TINY, "--epochs", 2, "--out", "r"],
    }.items():
        process = run_limited(*words, cwd=tmp_path, limits=limits)
        ended[name] = "works" if process.returncode == 0 else process.stderr.strip().splitlines()[-1][:160]
        if process.returncode:
            assert not (tmp_path / "bears.csv").exists() or name != "predict"
    figures(f"{megabytes} MB of address space", json.dumps(ended))


# Clocks


def test_clocks_that_are_wrong(scenes, trained, tmp_path, figures) -> None:
    """Times of the files of the year 1970, 2038 and 2100, and in the future beside a clock that was set back."""
    times = [0, 2**31 + 5, 4_102_444_800]
    folder = tmp_path / "photos"
    shutil.copytree(scenes, folder)
    for path, time in zip(sorted(folder.rglob("*.jpg")), itertools.cycle(times), strict=False):
        os.utime(path, (time, time))
    out = ("--epochs", 6, "--out")
    works(run_limited("train", "--data", folder, *TINY, *out, "r", cwd=tmp_path))
    assert weights(tmp_path / "r") == weights(trained / "r")
    for path in [*Path(os.environ["BEARCNN_CACHE"]).rglob("*"), *(tmp_path / "r").rglob("*")]:
        os.utime(path, (times[2], times[2]))
    works(run_limited("train", "--data", folder, *TINY, *out, "r2", cwd=tmp_path))
    assert weights(tmp_path / "r2") == weights(trained / "r")
    for words in (
        ["evaluate", "r"],
        ["predict", folder, "--model", "r", "--out", "b.csv"],
        ["data", "cache"],
        ["predict", folder, "--model", "r", "--only-new", "b.csv"],
        ["data", "check", folder],
    ):
        works(run_limited(*words, cwd=tmp_path))
    figures("times of files in 1970, 2038 and 2100", "the same weights")


# Two at once


def start(*arguments: object, cwd: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bearcnn", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: "subprocess.Popen[str]") -> list[tuple[int, str]]:
    ended = []
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert "Traceback" not in said
        ended.append((process.returncode, said))
    return ended


def test_two_in_one_cache(scenes, trained, tmp_path, figures) -> None:
    for turn in range(5):
        cache, small = str(tmp_path / f"cache{turn}"), ("--data", scenes, *TINY, "--epochs", 6)
        both = [start("train", *small, "--out", f"r{turn}{which}", cwd=tmp_path, BEARCNN_CACHE=cache) for which in "ab"]
        assert [code for code, _ in finish(*both)] == [0, 0]
        for which in "ab":
            assert weights(tmp_path / f"r{turn}{which}") == weights(trained / "r")
    figures("pairs of trainings that built one cache, both right", 5)


@pytest.mark.parametrize("command", ["train", "sweep-dropout", "predict", "synth"])
def test_two_in_one_folder(scenes, trained, tmp_path, figures, command: str) -> None:
    arguments: dict[str, list[object]] = {
        "train": ["train", "--data", scenes, *TINY, "--epochs", 6, "--out", "r"],
        "sweep-dropout": [*SWEEP, "--data", scenes, "--seeds", 1, "--out", "s"],
        "predict": ["predict", scenes, "--model", trained / "r", "--out", "bears.csv"],
        "synth": ["data", "synth", "x", "--count", 200, "--size", 32],
    }
    refused = 0
    for turn in range(5):
        place = tmp_path / str(turn)
        place.mkdir()
        ended = finish(*(start(*arguments[command], cwd=place) for _ in range(2)))
        codes = sorted(code for code, _ in ended)
        assert codes == [0, 1], ended
        refused += codes[1]
        if command == "train":
            assert weights(place / "r") == weights(trained / "r")
    figures(f"{command}: of two at once in one folder, one is refused and the other right", f"{refused} of 5")
