"""Names from strangers' cards and models: markup, escape sequences and line breaks in them are shown, never obeyed."""

import csv
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bearcnn.cli.display import console
from tests.helpers.onnx_models import write_model

HOSTILE = [
    "[red]x[/blue]",
    "[/]",
    "\x1b[2J\x1b[31m",
    "a.jpg\nbear   0.999  x",
    "a\rb",
    "\u202egpj",
    ":bear:",
    "\x9b1m",
    "\\[bold]",
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="such names are impossible there")


def assert_harmless(text: str, *, lines: int | None = None) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    if lines is not None:
        assert len(text.splitlines()) == lines, text


@pytest.fixture
def hostile_photos(photos: Path, tmp_path: Path) -> list[Path]:
    """Photos whose names and folders are hostile."""
    source = next(photos.rglob("*.jpg"))
    made = []
    for number, name in enumerate(HOSTILE):
        folder = tmp_path / "card" / name.replace("/", "_")
        folder.mkdir(parents=True)
        made.append(Path(shutil.copy(source, folder / f"{name.replace('/', '_')}{number}.jpg")))
    made.append(made[0].with_name("=1+2.jpg"))
    shutil.copy(source, made[-1])
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with markup for its classes."""
    return write_model(tmp_path / "model.onnx", classes=("[red]dark[/blue]", "[/]bright"))


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_is_shown_as_it_is_in_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.out.file = sys.stdout
    try:
        console.say(f"{console.plain(text)}")
    finally:
        console.out.file = None  # type: ignore[assignment]
    shown = capsys.readouterr().out
    assert_harmless(shown, lines=1)
    assert (
        shown == "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text) + "\n"
    )


def test_a_table_of_predictions_has_a_line_for_each_photo(
    command: Callable, hostile_photos: list[Path], model: Path
) -> None:
    said = command("predict", *hostile_photos, "--model", model)
    assert_harmless(said.stdout, lines=len(hostile_photos))
    assert_harmless(said.stderr)
    assert "[red]dark[/blue]" in said.stdout or "[/]bright" in said.stdout


def test_unreadable_photos_and_errors_are_shown_harmless(command: Callable, tmp_path: Path, model: Path) -> None:
    broken = [tmp_path / f"{name.replace('/', '_')}.jpg" for name in HOSTILE]
    for file in broken:
        file.write_bytes(b"no photo")
    said = command("predict", *broken, "--model", model, "--out", tmp_path / "bears.csv", code=1)
    assert_harmless(said.stdout + said.stderr)
    for name in HOSTILE:
        said = command("predict", broken[0], "--model", tmp_path / f"no{name}", code=1)
        assert_harmless(said.stderr)
        assert "error:" in said.stderr


def test_csv_rows_are_one_row_each_and_no_formula(command: Callable, hostile_photos: list[Path], model: Path) -> None:
    folder = hostile_photos[-1].parent
    said = command("predict", *hostile_photos[:-1], "=1+2.jpg", "--model", model, "--format", "csv", cwd=folder)
    rows = list(csv.DictReader(io.StringIO(said.stdout, newline="")))
    assert [Path(row["path"]) for row in rows] == [*hostile_photos[:-1], Path("=1+2.jpg")]
    assert rows[-1]["path"] == "./=1+2.jpg"
    (folder / "old.csv").write_text(said.stdout, newline="")
    again = command("predict", "=1+2.jpg", "--model", model, "--only-new", "old.csv", "--json", cwd=folder)
    assert json.loads(again.stdout) == []


def test_a_class_name_like_a_formula_is_text(command: Callable, hostile_photos: list[Path], tmp_path: Path) -> None:
    model = write_model(tmp_path / "formula.onnx", classes=("=cmd()", "@bright"))
    said = command("predict", hostile_photos[0], "--model", model, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(said.stdout, newline=""))
    assert row["label"] in ("'=cmd()", "'@bright")


def test_data_are_checked_looked_at_and_trained_on_under_any_name(
    command: Callable, photos: Path, tmp_path: Path
) -> None:
    data = tmp_path / "[red]d[_blue]"
    sources = sorted(photos.rglob("*.jpg"))
    for number, name in enumerate(["bear", *HOSTILE]):
        for place in range(6):
            folder = data / name.replace("/", "_")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(sources[6 * number + place], folder / f"{place}[/x]\n\x1b.jpg".replace("/", "_"))
    for arguments in (["data", "check", data], ["data", "look", data]):
        said = command(*arguments)
        assert_harmless(said.stdout + said.stderr)
    said = command("data", "synth", tmp_path / "x[_y]\x1b[2J", "--count", 20, "--size", 16)
    assert_harmless(said.stdout + said.stderr)
    config = tmp_path / "a[_b]\x1b.toml"
    config.write_text("[train]\nepochs = 1\n")
    assert_harmless(command("config", "check", config).stdout, lines=1)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names_that_are_no_text_are_shown_as_bytes(
    command: Callable, photos: Path, model: Path, tmp_path: Path
) -> None:
    photo = Path(os.fsdecode(os.fsencode(tmp_path) + b"/l\xf6we.jpg"))
    shutil.copy(next(photos.rglob("*.jpg")), photo)
    assert "l\\xf6we.jpg" in command("predict", photo, "--model", model).stdout
    (row,) = json.loads(command("predict", photo, "--model", model, "--json").stdout)
    assert Path(row["path"]) == photo
    command("predict", photo, "--model", model, "--out", tmp_path / "bears.csv")
    assert "l\\udcf6we.jpg" in (tmp_path / "bears.csv").read_text(encoding="utf-8")
    again = command("predict", photo, "--model", model, "--only-new", tmp_path / "bears.csv", "--json")
    assert json.loads(again.stdout) == []
