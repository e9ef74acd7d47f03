"""Training and evaluating on photos whose labels are in a file."""

import csv
import json
from pathlib import Path

import pytest

from bearcnn.cli.display.dataset import show_dataset
from bearcnn.cli.options import ConfigOptions, parse_columns
from bearcnn.data.dataset import Dataset
from bearcnn.errors import BearcnnError
from bearcnn.runs import Run
from tests.helpers.folders import fill


def write_csv(file: Path, photos: Path, columns=("filepath", "label", "subclass", "split")) -> Path:
    """The photos of class folders as a table beside their folder's parent."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened, delimiter=";")
        writer.writerow(columns)
        for photo in sorted(photos.rglob("*.jpg")):
            split, label, subclass = photo.relative_to(photos).parts[:3]
            writer.writerow([photo, label, subclass, split])
    return file


NAMED = ("--column", "filepath=File", "--column", "label=Species", "--column", "subclass=Kind")


@pytest.mark.slow
def test_a_run_on_a_csv_file_has_the_data_set_of_the_folders_and_evaluates(photos, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_csv(tmp_path / "labels.csv", photos, ("File", "Species", "Kind", "split"))
    command(
        "train",
        "--data",
        "labels.csv",
        *NAMED,
        "--image-size",
        16,
        "--epochs",
        1,
        "--set",
        "model.widths=[4]",
        "--batch-size",
        8,
        "--out",
        "run",
        cwd=tmp_path,
    )
    run = Run(tmp_path / "run")
    assert run.config().data.path == str(table)
    assert run.dataset_record() == Dataset.from_folder(photos, image_size=16).to_json()
    own = json.loads(command("evaluate", "run", "--json").stdout)
    with_its_columns = json.loads(command("evaluate", "run", "--data", "labels.csv", "--json").stdout)
    assert with_its_columns["estimates"] == own["estimates"]


@pytest.mark.slow
def test_a_run_on_folders_evaluates_a_csv_file_whose_columns_are_named(work, photos, tmp_path, command):
    write_csv(tmp_path / "labels.csv", photos, ("File", "Species", "Kind", "split"))
    other = ("evaluate", work / "run", "--data", tmp_path / "labels.csv", "--json")
    assert "has no columns 'filepath' and 'label'" in command(*other, code=1).stderr
    found = json.loads(command(*other, *NAMED).stdout)
    assert found["estimates"] == json.loads(command("evaluate", work / "run", "--json").stdout)["estimates"]


def test_wrong_rows_are_one_line_each(command, tmp_path):
    (tmp_path / "labels.csv").write_text("filepath,label\n,bear\n[red].jpg\n")
    assert command("train", "--data", tmp_path / "labels.csv", code=1).stderr.splitlines() == [
        f"error: {tmp_path}/labels.csv has 2 problems to correct before it can be used",
        "error: line 2: no path",
        "error: line 3: 1 cell for 2 columns (a cell with ',' in it needs quotes)",
    ]
    (tmp_path / "labels.csv").write_text("File,Species\n")
    assert command("train", "--data", tmp_path / "labels.csv", code=1).stderr.endswith(
        "say what yours are called: --column filepath=NAME --column label=NAME\n"
    )
    (tmp_path / "results.json").write_text('{"detection_categories": {}}')
    assert "it belongs to --detections" in command("train", "--data", tmp_path / "results.json", code=1).stderr


def test_columns_without_a_file_are_refused(command):
    assert "name that file with --data" in command("evaluate", "--column", "label=Species", code=1).stderr


def test_columns_are_a_spelling_of_set(tmp_path):
    columns = ["label=Art des Tiers", "filepath=RelativePath", "filepath=File", "site=2024"]
    options = ConfigOptions(column=columns, overrides=["data.columns.label=x", "data.columns.sequence=s"])
    assert options.load().data.columns == {
        "label": ("Art des Tiers",),
        "filepath": ("RelativePath", "File"),
        "site": ("2024",),
        "sequence": ("s",),
    }
    for text in ("label", "=x", "label="):
        with pytest.raises(BearcnnError, match=r"expected ROLE=NAME, such as label=Species"):
            parse_columns([text])


def test_doubtful_labels_and_skipped_rows_are_noted_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    root = fill(tmp_path / "data", {"x": 40})
    names = ["bear"] * 10 + ["brown [red]bear"] * 9 + ["not a bear"] * 3 + [""] * 12 + ["unknown"] * 6
    rows = [f"x/{number}.png,{name}" for number, name in enumerate(names)]
    (root / "labels.csv").write_text("\n".join(["filepath,label", *rows, "x/none.png,wolf"]))
    show_dataset(Dataset.from_csv(root / "labels.csv", image_size=8))
    said = capsys.readouterr().err.splitlines()
    assert said[4:] == [
        "skipped: 19 photos",
        "  12 photos: no label",
        "  6 photos: labelled unknown, perhaps bear",
        f"  {root}/x/none.png: file not found",
        "  each listed with its reason in the run's dataset.json",
        "counted as not_bear: brown [red]bear (9); if these are bear: "
        '--set \'data.positive=["bear", "brown [red]bear"]\'',
    ]
