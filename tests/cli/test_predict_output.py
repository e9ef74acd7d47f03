"""The form of the answers and the place where they go: options of predict, with a model that calls bright photos so."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.camtrap import check_package, read_rows
from tests.helpers.onnx_models import write_model

GREYS = {
    "cam1/IMG_20240501_120000.png": 250,
    "cam1/IMG_20240501_120010.png": 130,
    "cam2/IMG_20240501_120000.png": 10,
    "cam2/IMG_20240501_130000.png": 120,
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """The current folder, with photos in `card` and a model with two thresholds."""
    for name, grey in GREYS.items():
        photo = tmp_path / "card" / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (grey,) * 3).save(photo)
    write_model(tmp_path / "model.onnx", unsure=(0.3, 0.9))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def predict(command, place):
    return lambda *options, **code: command("predict", "card", "--model", "model.onnx", *options, **code)


def labels(text: str) -> list[str]:
    return [row["label"] for row in csv.DictReader(text.splitlines())]


class TestOut:
    """A file that appears whole or not at all."""

    @pytest.mark.parametrize("name", ["csv", "json", "jsonl", "megadetector"])
    def test_the_file_has_what_stdout_would_have_and_no_journal_is_left(self, predict, place, name):
        printed = predict("--format", name).stdout
        said = predict("--format", name, "--out", "out.txt")
        assert (place / "out.txt").read_text() == printed
        assert said.stdout == ""
        assert "written to out.txt" in said.stderr
        assert {path.name for path in place.iterdir()} == {"card", "model.onnx", "out.txt"}

    def test_the_name_tells_the_format(self, predict, place):
        predict("--out", "bears.jsonl")
        assert len([json.loads(line) for line in (place / "bears.jsonl").read_text().splitlines()]) == 4

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--out", "bears"], "the name tells no format; give --format csv"),
            (["--out", "bears.csv", "--format", "table"], "a table is for people"),
            (["--format", "camtrap-dp"], "name a new one with --out DIR"),
            (["--resume"], "--resume goes on with a result that --out names"),
            (["--only-new", "a.json", "--out", "a.json"], "only csv or jsonl can be added to"),
            (["--out", "model.onnx", "--format", "csv"], "model.onnx exists already"),
            (["--burst-answer", "highest"], "give a time such as --bursts 60s"),
            (["--link", "hard"], "give --sort-into with a folder as well"),
            (["--out", "model.onnx/bears.csv"], "model.onnx can't be written to"),
            (["--format", "megadetektor"], "did you mean megadetector?"),
        ],
    )
    def test_what_can_not_be_meant_is_one_line_and_nothing_is_written(self, predict, place, options, said):
        before = sorted(place.rglob("*"))
        error = predict(*options, code=1)
        assert error.stdout == ""
        assert said in error.stderr
        assert sorted(place.rglob("*")) == before

    def test_no_photo_writes_no_file(self, command, place):
        (place / "none").mkdir()
        said = command("predict", "none/*.jpg", "--model", "model.onnx", "--out", "bears.csv", code=1)
        assert labels((place / "bears.csv").read_text()) == [""]  # a pattern without a match is a row with its reason
        assert "1 unreadable" in said.stderr

    def test_an_unreadable_photo_is_a_row_and_exit_code_1(self, predict, place):
        (place / "card" / "cam2" / "bad\n[red].png").write_text("no picture")
        said = predict("--out", "bears.csv", code=1)
        assert "written to bears.csv" in said.stderr
        assert r"unreadable card/cam2/bad\n[red].png: not a picture" in said.stderr
        assert len(labels((place / "bears.csv").read_text())) == 5


class TestLargestPhoto:
    """The pixels in memory are bounded, by the model's configuration or an option."""

    def test_a_photo_beyond_the_limit_is_a_row(self, predict, place):
        Image.new("RGB", (1200, 1000)).save(place / "card" / "cam2" / "large.png")
        assert labels(predict("--format", "csv").stdout) == ["bright", "bright", "dark", "dark", "dark"]
        said = predict("--format", "csv", "--max-megapixels", "1", code=1).stdout
        errors = {row["path"].rpartition("/")[2]: row["error"] for row in csv.DictReader(said.splitlines())}
        assert errors.pop("large.png") == "too large: 1200x1000 px, more than max_megapixels = 1"
        assert set(errors.values()) == {""}

    @pytest.mark.parametrize("number", ["0", "201", "many"])
    def test_a_limit_has_limits(self, predict, number):
        assert "--max-megapixels: expected" in predict("--max-megapixels", number, code=1).stderr


class TestUnsure:
    """bright, dark and unsure by two thresholds."""

    def test_alone_it_takes_the_models_thresholds_wherever_it_stands(self, predict, command):
        expected = ["bright", "unsure", "dark", "unsure"]
        said = predict("--format", "csv", "--unsure")
        assert labels(said.stdout) == expected
        assert "unsure from 0.3 to 0.9" in said.stderr
        assert "4 photos: 1 dark, 1 bright, 2 unsure" in said.stderr
        first = command("predict", "--unsure", "card", "--format", "csv", "--model", "model.onnx")
        assert labels(first.stdout) == expected

    def test_two_numbers_are_taken_in_their_place(self, predict):
        assert labels(predict("--format", "csv", "--unsure", "0.5,0.99").stdout) == ["unsure", "unsure", "dark", "dark"]
        assert labels(predict("--format", "csv", "--unsure=0,1").stdout) == ["unsure"] * 4

    def test_without_it_the_labels_are_the_models(self, predict):
        assert labels(predict("--format", "csv").stdout) == ["bright", "bright", "dark", "dark"]

    def test_a_model_without_two_thresholds_says_how_to_get_them(self, predict, place):
        write_model(place / "model.onnx")
        said = predict("--unsure", code=1).stderr
        assert "error: model.onnx has no thresholds for --unsure: choose them with bearcnn evaluate" in said

    def test_two_thresholds_the_wrong_way_round_are_refused(self, predict):
        assert "the lower first" in predict("--unsure", "0.9,0.1", code=1).stderr


class TestBursts:
    """Photos that a camera took within moments share one answer."""

    def test_a_burst_has_one_label_and_its_own_columns(self, predict):
        said = predict("--format", "csv", "--bursts", "60s", "--unsure", "0.3,0.8")
        rows = list(csv.DictReader(said.stdout.splitlines()))
        assert [row["burst"] for row in rows] == ["1", "1", "2", "3"]
        assert [row["label"] for row in rows] == ["bright", "bright", "dark", "unsure"]
        assert rows[0]["probability"] == rows[1]["probability"] != rows[0]["own_probability"]
        assert "1 burst of 2 photos or more, 2 photos in total" in said.stderr

    def test_the_table_names_the_burst_where_it_changed_something(self, predict):
        lines = predict("--bursts", "60").stdout.splitlines()
        assert lines[1].split()[3:] == ["burst", "1,", "alone", "0.520"]
        assert len(lines[2].split()) == 3


class TestOnlyNew:
    """A folder that grows."""

    def test_new_photos_are_added_to_the_file_and_a_second_time_there_are_none(self, predict, place):
        for expected in (4, 4):
            predict("--only-new", "bears.csv", "--out", "bears.csv")
            assert len(labels((place / "bears.csv").read_text())) == expected
        (place / "card" / "cam3").mkdir()
        shutil.copy2(place / "card" / "cam1" / "IMG_20240501_120000.png", place / "card" / "cam3" / "x.png")
        before = (place / "bears.csv").read_text()
        said = predict("--only-new", "bears.csv", "--out", "bears.csv")
        assert (place / "bears.csv").read_text() == f"{before}card/cam3/x.png,bright,0.979023,\n"
        assert "4 photos answered in bears.csv" in said.stderr

    def test_with_nothing_new_the_file_stays_as_it_is(self, predict, place):
        predict("--out", "bears.csv")
        before = (place / "bears.csv").stat().st_mtime_ns
        said = predict("--only-new", "bears.csv", "--out", "bears.csv")
        assert (place / "bears.csv").stat().st_mtime_ns == before
        assert "written to" not in said.stderr

    def test_new_answers_go_to_stdout_or_another_file_as_well(self, predict, place):
        predict("--format", "megadetector", "--out", "old.json")
        assert json.loads(predict("--only-new", "old.json", "--json").stdout) == []
        assert labels(predict("--only-new", "old.json", "--format", "csv").stdout) == []

    def test_bursts_that_are_added_have_numbers_of_their_own(self, predict, place):
        shutil.move(place / "card" / "cam2", place / "later")
        options = ("--bursts", "60s", "--only-new", "bears.csv", "--out", "bears.csv")
        predict(*options)
        shutil.move(place / "later", place / "card" / "cam2")
        predict(*options)
        rows = csv.DictReader((place / "bears.csv").read_text().splitlines())
        assert [row["burst"] for row in rows] == ["1", "1", "2", "3"]

    def test_other_columns_are_not_added(self, predict):
        predict("--out", "bears.csv")
        assert (
            "has the columns"
            in predict("--only-new", "bears.csv", "--out", "bears.csv", "--bursts", "9", code=1).stderr
        )

    def test_a_result_of_other_photos_says_that_none_is_among_these(self, predict, place):
        (place / "old.csv").write_text("path,label,probability,error\nelsewhere/a.jpg,dark,0.1,\n")
        assert "no path of the 1 in old.csv is one of these photos" in predict("--only-new", "old.csv").stderr


class TestSort:
    """Another order, and photos in folders."""

    def test_the_most_probable_or_the_least_sure_come_first(self, predict):
        rows = [json.loads(line) for line in predict("--format", "jsonl", "--sort", "probability").stdout.splitlines()]
        assert [row["probability"] for row in rows] == sorted((row["probability"] for row in rows), reverse=True)
        first, second, *_ = predict("--sort", "unsure").stdout.splitlines()
        assert [float(line.split()[1]) for line in (first, second)] == pytest.approx([0.52, 0.441], abs=1e-3)

    def test_photos_are_copied_by_their_answer_and_again_changes_nothing(self, predict, place):
        said = predict("--unsure", "--sort-into", "card/sorted")
        assert "4 photos copied into card/sorted" in said.stderr
        found = sorted(path.relative_to(place / "card/sorted").as_posix() for path in place.rglob("sorted/*/*/*.png"))
        assert found == [
            "bright/cam1/IMG_20240501_120000.png",
            "dark/cam2/IMG_20240501_120000.png",
            "unsure/cam1/IMG_20240501_120010.png",
            "unsure/cam2/IMG_20240501_130000.png",
        ]
        again = predict("--unsure", "--sort-into", "card/sorted")
        assert "0 photos copied into card/sorted, 4 were there already" in again.stderr
        assert "was sorted otherwise (thresholds)" in predict("--sort-into", "card/sorted", code=1).stderr

    def test_several_sites_are_a_table_with_the_most_bears_first(self, predict):
        lines = predict().stderr.splitlines()
        table = [line.split() for line in lines[2:5]]
        assert table == [["site", "photos", "dark", "bright"], ["cam1", "2", "0", "2"], ["cam2", "2", "2", "0"]]


class TestCamtrapDP:
    """Packages."""

    def test_a_package_follows_the_standard_and_can_be_answered_again(self, predict, command, place):
        said = predict(
            "--format",
            "camtrap-dp",
            "--out",
            "package",
            "--coordinates",
            "-46.05,14.51",
            "--timezone",
            "Europe/Ljubljana",
            "--scientific-name",
            "Ursus arctos",
            "--unsure",
            "0.3,0.8",
            "--bursts",
            "60s",
        )
        assert f"paths in media.csv begin in {place}/card" in said.stderr
        check_package(place / "package")
        rows = read_rows(place / "package", "observations")
        assert [row["observationType"] for row in rows] == ["animal", "animal", "unclassified", "unknown"]
        assert rows[0]["eventEnd"] == "2024-05-01T12:00:10+02:00"
        options = ("--model", "model.onnx", "--format", "camtrap-dp", "--media-folder", "card", "--out", "again")
        again = command("predict", "package", *options)
        assert "4 observations of an earlier prediction are replaced" in again.stderr
        check_package(place / "again")
        assert (place / "again" / "media.csv").read_bytes() == (place / "package" / "media.csv").read_bytes()

    def test_a_place_that_is_missing_is_asked_for_before_any_photo_is_answered(self, predict, place):
        said = predict("--format", "camtrap-dp", "--out", "package", code=1)
        assert "give --coordinates such as 46.05,14.51" in said.stderr
        assert not (place / "package").exists()
        assert not list(place.glob("*.partial.jsonl"))

    def test_a_guessed_time_zone_is_said(self, predict):
        said = predict("--format", "camtrap-dp", "--out", "package", "--coordinates", "0,0")
        assert "give --timezone" in said.stderr


def start_on_stdin(place: Path) -> "subprocess.Popen[str]":
    """Start a prediction that answers each photo as its path comes."""
    return subprocess.Popen(
        [sys.executable, "-m", "bearcnn", "predict", "-", "--model", "model.onnx", "--out", "bears.csv", "--unsure"],
        cwd=place,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )


def feed(process: "subprocess.Popen[str]", journal: Path, photos: list[str]) -> int:
    """Give paths, wait until their answers are written down, and return how many those are."""
    assert process.stdin is not None
    process.stdin.write("\n".join(photos) + "\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") <= len(photos):
        assert time.monotonic() < deadline, "the answers don't come"
        time.sleep(0.02)
    return journal.read_bytes().count(b"\n") - 1


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_prediction_that_is_stopped_goes_on_without_repeating_a_photo(command, place, end):
    photos = [f"card/{i:02}.png" for i in range(40)]
    for number, name in enumerate(photos):
        Image.new("RGB", (8, 8), (number * 6,) * 3).save(place / name)
    (place / "list").write_text("\n".join(photos))
    whole = ("predict", *photos, "--model", "model.onnx", "--unsure")
    command(*whole, "--out", "whole.csv")
    journal = place / "bears.csv.partial.jsonl"
    with start_on_stdin(place) as process:
        assert process.stdin is not None and process.stderr is not None
        answered = feed(process, journal, photos[:23])
        process.send_signal(end)
        said = process.stderr.read()
        assert process.wait(30) == (-signal.SIGKILL if end == signal.SIGKILL else 130)
    assert answered == 23
    if end != signal.SIGKILL:
        assert "stopped. 23 answers kept in bears.csv.partial.jsonl" in said
        assert "--resume" in said
        assert "Traceback" not in said
    assert not (place / "bears.csv").exists()
    with journal.open("ab") as file:
        file.write(b'{"path": "card/23.png", "proba')  # the line that a kill has cut
    assert "go on with --resume" in command(*whole, "--out", "bears.csv", code=1).stderr
    resumed = command(*whole, "--out", "bears.csv", "--resume")
    assert "(23 answered before the stop)" in resumed.stderr
    assert (place / "bears.csv").read_bytes() == (place / "whole.csv").read_bytes()
    assert not journal.exists()
