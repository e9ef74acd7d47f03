"""Files and folders with names that bite, on their way through the commands."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bearcnn.data.dataset import Dataset
from tests.helpers.odd_names import REASONS, make_odd_folder, save_photo
from tests.helpers.onnx_models import write_model

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")


@pytest.fixture
def odd(tmp_path: Path, monkeypatch) -> tuple[list[Path], list[Path]]:
    """In the current folder: photos with odd names in `photos`, and a model."""
    monkeypatch.chdir(tmp_path)
    write_model(Path("model.onnx"))
    return make_odd_folder(Path("photos"), tmp_path / "outside")


class TestPredict:
    """Each file is one row, with an answer or its own reason."""

    @pytest.mark.parametrize("style", ["json", "jsonl", "csv"])
    def test_a_folder(self, odd, command, style):
        good, bad = odd
        options = ("--format", style, "--out", "rows")
        command("predict", "photos", "--model", "model.onnx", *options, code=1)
        said = Path("rows").read_bytes().decode()
        if style == "csv":
            rows = list(csv.DictReader(io.StringIO(said, newline="")))
            assert len(rows) == len(good) + len(bad)
        else:
            rows = json.loads(said) if style == "json" else list(map(json.loads, said.splitlines()))
            errors = {row["path"]: row["error"] for row in rows}
            assert errors == {
                **{str(path): None for path in good},
                **{str(path): REASONS[path.name] for path in bad},
            }
            assert len(rows) == len(errors)
        assert not Path("ran").exists()

    def test_each_name_as_an_argument_after_two_dashes(self, odd, command):
        good, bad = odd
        said = command("predict", "--json", "--model", "model.onnx", "--", *good, *bad, code=1).stdout
        assert [row["path"] for row in json.loads(said)] == [str(path) for path in (*good, *bad)]

    @pytest.mark.slow  # starts processes
    def test_each_name_on_stdin_between_zero_bytes_and_names_of_their_own(self, odd):
        good, bad = odd
        process = subprocess.run(
            [sys.executable, "-m", "bearcnn", "predict", "-", "--json", "--model", "model.onnx"],
            input=b"".join(os.fsencode(path) + b"\0" for path in (*good, *bad)),
            capture_output=True,
            check=False,
        )
        assert process.returncode == 1, process.stderr
        rows = json.loads(process.stdout)
        assert [row["path"] for row in rows] == [str(path) for path in (*good, *bad)]
        assert [row["error"] is None for row in rows] == [True] * len(good) + [False] * len(bad)

    def test_heat_maps_sorted_copies_and_a_file(self, odd, command):
        good = [path for path in odd[0] if path.parts[1] == "bear"]
        options = ("--heatmaps", "drawn", "--sort-into", "sorted", "--out", "rows.jsonl")
        command("predict", "photos/bear", *odd[1], "--model", "model.onnx", *options, code=1)
        rows = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
        assert len(rows) == len(good) + len(odd[1])
        for folder in ("drawn", "sorted"):
            found = [
                path.name for path in Path(folder).rglob("*") if path.is_file() and path.suffix in (".png", ".jpg")
            ]
            assert len([name for name in found if name not in REASONS]) == len(good)

    def test_a_name_that_is_too_long_is_a_row_alone_and_beside_others(self, odd, command):
        long = "x" * 300 + ".png"
        for photos in ([long], [long, odd[0][0]], [f"{long}/{long}"]):
            rows = json.loads(command("predict", *photos, "--json", "--model", "model.onnx", code=1).stdout)
            assert rows[0]["error"] == "file name too long"
            assert len(rows) == len(photos)


class TestTraining:
    """The listing, the cache, and the record of a run."""

    def test_a_data_set_has_each_photo_once_and_reads_its_own_record(self, odd):
        good, bad = odd
        dataset = Dataset.from_folder("photos", image_size=8, group="none")
        used = {example.path for example in dataset.examples}
        skipped = {photo.path: photo.reason for photo in dataset.skipped}
        linked = {path for path in {*used, *skipped} if "again" in path.parts}
        assert (used | set(skipped)) - linked == {*good, *bad}
        assert {path.name: skipped[path] for path in bad} == REASONS
        record = json.loads(json.dumps(dataset.to_json()))
        assert len(record["examples"]) == len(used)

    def test_metadata_of_pipes_are_not_waited_for(self, odd):
        dataset = Dataset.from_folder("photos", image_size=8)  # reads the time of each photo
        assert dataset.grouping is not None


class TestCollections:
    """`data check` and `data look`."""

    @pytest.mark.slow  # draws pages
    @pytest.mark.usefixtures("odd")
    def test_check_and_look(self, command):
        found = json.loads(command("data", "check", "photos", "--no-labels", "--json", "--html", "check.html").stdout)
        unreadable = {each["path"]: each["reason"] for each in found["findings"] if each["check"] == "unreadable"}
        assert unreadable == {f"wolf/{name}": reason for name, reason in REASONS.items()}
        command("data", "look", "photos", "--out", "look.html")
        for page in ("check.html", "look.html"):
            text = Path(page).read_text(encoding="utf-8")
            assert "<script>alert" not in text
            assert "pipe.png" in text or page == "look.html"

    def test_the_table_of_check_is_for_people(self, odd, command):
        said = command("data", "check", "photos", "--no-labels")
        assert "Traceback" not in said.stderr
        assert "\x1b[2J" not in said.stdout


class TestPlaces:
    """Names that no file can have, and folders that can't be entered, are one line."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ["train", "--data", "LONG"],
            ["train", "--data", "x", "--out", "LONG"],
            ["train", "--resume", "LONG"],
            ["predict", "a.png", "--model", "LONG"],
            ["predict", "a.png", "--model", "model.onnx", "--out", "LONG.csv"],
            ["predict", "a.png", "--model", "model.onnx", "--heatmaps", "LONG"],
            ["predict", "a.png", "--model", "model.onnx", "--sort-into", "LONG"],
            ["evaluate", "LONG"],
            ["report", "LONG"],
            ["export", "LONG"],
            ["data", "check", "LONG"],
            ["data", "look", "LONG"],
            ["data", "synth", "LONG", "--count", "20"],
            ["config", "check", "LONG"],
            ["train", "--config", "LONG"],
        ],
        ids=lambda words: " ".join(words),
    )
    def test_a_name_that_is_too_long_is_one_line(self, arguments, command, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_model(tmp_path / "model.onnx")
        save_photo(tmp_path / "a.png", 1)
        said = command(*(word.replace("LONG", "x" * 300) for word in arguments), code=1)
        assert len(said.stderr.strip().splitlines()) <= 2, said.stderr
        assert "error: " in said.stderr

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may enter everything")
    @pytest.mark.parametrize("arguments", [["train", "--data"], ["train", "--resume"], ["evaluate"], ["data", "check"]])
    def test_a_folder_that_may_not_be_entered_is_one_line(self, arguments, command, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "closed" / "inner").mkdir(parents=True)
        (tmp_path / "closed").chmod(0)
        try:
            said = command(*arguments, "closed/inner", code=1)
        finally:
            (tmp_path / "closed").chmod(0o755)
        assert len(said.stderr.strip().splitlines()) == 1
        assert "ermission denied" in said.stderr


@pytest.mark.slow  # starts processes
class TestStreams:
    """Standard streams that are closed, full or at their limit."""

    def test_without_a_standard_input_photos_are_answered(self, odd, tmp_path):
        script = f"exec {sys.executable} -m bearcnn predict %s --json --model model.onnx <&-"
        done = subprocess.run(["sh", "-c", script % "photos/bear"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)) > 10
        done = subprocess.run(["sh", "-c", script % "-"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "error: - reads a list of photos from the standard input, which is closed\n" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("words", [["--format", "csv"], []])
    def test_a_file_at_its_limit_is_one_line(self, odd, words):
        photos = "photos/bear " * 200
        script = f"ulimit -f 8; exec {sys.executable} -m bearcnn predict {photos} --model model.onnx {' '.join(words)}"
        done = subprocess.run(["bash", "-c", f"{script} > rows"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "error: can't write the output: a file may not grow any further" in done.stderr

    def test_a_reader_that_has_enough_is_no_error(self, odd):
        script = f"{sys.executable} -m bearcnn predict {'photos/bear ' * 50} --model model.onnx | head -1"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["train", "--data", ""], "--data"),
        (["train", "--data="], "--data"),
        (["train", "--out", ""], "--out"),
        (["train", "--resume", ""], "--resume"),
        (["predict", ""], "an argument"),
        (["predict", "a.png", ""], "an arg"),
        (["predict", "a.png", "--model", ""], "--model"),
        (["predict", "a.png", "--model="], "--model"),
        (["predict", "a.png", "--heatmaps", ""], "--heatmaps"),
        (["predict", "--watch", ""], "--watch"),
        (["predict", "--", ""], "an argument"),
        (["evaluate", ""], "an argument"),
        (["report", ""], "an argument"),
        (["export", ""], "an argument"),
        (["explain", ""], "an argument"),
        (["data", "check", ""], "an argument"),
        (["data", "look", ""], "an argument"),
        (["data", "synth", ""], "an argument"),
        (["config", "check", ""], "an "),
        (["train", "--config", ""], "--config"),
        (["sweep", "--vary", "model.pooling=max", "--data", ""], "--data"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_value_of_an_unset_variable_is_refused(arguments, what, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = command(*arguments, code=1)
    assert said.stderr.startswith(f"error: {what}")
    assert "is empty (an unset variable in the shell?)" in said.stderr
    assert list(tmp_path.iterdir()) == []
