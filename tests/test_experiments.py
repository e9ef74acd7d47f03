"""The experiments' own small parts; the training runs in them are those of `bearcnn sweep`."""

import argparse
import json
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from bearcnn.data.dataset import Dataset
from tests.helpers.commands import explain_scripts

pytestmark = pytest.mark.slow  # trains, or starts processes

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments"


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import common

    return common


def test_each_experiment_explains_itself_and_has_its_blocks():
    others = ("common", "draw", "heads", "tiles", "dropout_findings", "dropout_pictures")
    names = sorted(file.stem for file in EXPERIMENTS.glob("*.py") if file.stem not in others)
    assert names == ["dropout", "dropout_trial", "kernels", "pooling", "pretrained_knobs", "pretrained_recipe"]
    said = explain_scripts(EXPERIMENTS, names)
    pages = {"pretrained_recipe": "recipe.md", "dropout_trial": "findings-dropout.md"}
    for name in names:
        assert "--seeds" in said[name]
        is_recipe = name == "pretrained_recipe"
        page = (ROOT / "docs" / pages.get(name, "findings.md")).read_text()
        assert f"python experiments/{name}.py" in page
        for block in (f"{name}-photos",) if is_recipe else (name, f"{name}-photos"):
            assert len(re.findall(rf"<!-- {block} -->\n.*?<!-- /{block} -->", page, re.DOTALL)) == 1


def test_a_picture_of_the_findings_shows_the_numbers_of_their_tables(common):
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    files = sorted((EXPERIMENTS / "results").glob("*.json"))
    assert len(files) >= 8
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        (block,) = re.findall(rf"<!-- {file.stem} -->\n(.*?)<!-- /{file.stem} -->", page, re.DOTALL)
        assert f"`{content['command']}` on {content['date']}" in block
        changes = re.findall(r"\| ([+-]?[\d.]+) \(([+-]?[\d.]+) to ([+-]?[\d.]+)\) ", block)
        means = re.findall(r"\| ([\d.]+) ± ([\d.]+) ", block)
        shown = {tuple(map(float, found)) for found in changes}
        shown |= {
            (float(mean), round(float(mean) - float(by), 3), round(float(mean) + float(by), 3)) for mean, by in means
        }
        for point in content["points"]:
            assert tuple(round(point[name], 3) for name in ("mean", "low", "high")) in shown


def test_the_titles_of_the_pictures_hold_in_the_results():
    def points(name: str, **wanted: str) -> list[dict]:
        content = json.loads((EXPERIMENTS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        return [point for point in content["points"] if wanted.items() <= point.items()]

    def title(name: str) -> str:
        plan = tomllib.loads((ROOT / "docs" / "pictures" / "pictures.toml").read_text(encoding="utf-8"))
        (command,) = (row["command"] for row in plan["picture"] if row["file"] == f"{name}.png")
        return re.search(r"--title '([^']+)'", command)[1]

    for name in ("kernels", "kernels-photos"):
        auc = {(point["series"], point["x"]): point["mean"] for point in points(name)}
        gain = {setting: round(100 * (mean - auc["stride 2", "3"])) for setting, mean in auc.items()}
        assert f"{gain['stride 1', '3']} points" in title(name)
        assert gain["stride 1", "3"] > max(gain["stride 2", "5"], gain["stride 2", "7"])
    assert title("kernels").endswith("15 points of AUC against 9")
    assert max(gain["stride 2", "5"], gain["stride 2", "7"]) <= 1  # and no interval of those excludes 0, says the table

    loss = {(point["panel"], point["series"]): -point["mean"] for point in points("pooling", x="avg")}
    assert f"up to {round(100 * max(loss.values()))} points" in title("pooling")
    for size in ("large bear", "middle bear", "small bear"):
        assert loss["busy scene", size] <= loss["open scene", size]
    assert all(point["low"] < 0 < point["high"] for point in points("pooling-photos"))

    for name in ("dropout", "dropout-photos"):
        assert all(point["low"] > 0 for point in points(name, score="train.log_loss"))
        assert all(point["low"] <= 0 for point in points(name, score="valid.roc_auc"))

    finer = [point for point in points("pretrained_knobs") if not point["series"].startswith("stage -1")]
    assert all(point["high"] < 0 for point in finer if point["x"] in ("avg", "0.8"))
    assert all(point["low"] <= 0 for point in points("pretrained_knobs", panel="kernel size"))
    assert max(abs(point["mean"]) for point in points("pretrained_knobs-photos")) <= 0.003


def made_up_sweep() -> dict:
    """A sweep of two settings with two seeds each, one trial of a third seed failed."""
    auc = {("0", 0): 0.6, ("0", 1): 0.7, ("0.5", 0): 0.65, ("0.5", 1): 0.72}
    trials = [
        {"settings": {"d": label}, "seed": seed, "status": "done", "scores": {"valid": {"roc_auc": value}}}
        for (label, seed), value in auc.items()
    ]
    failed = {"settings": {"d": "0"}, "seed": 2, "status": "failed", "scores": {}}
    found, mean = {"mean": 0.035, "low": 0.01, "high": 0.06, "n": 2}, {"mean": 0.65, "low": None, "high": None}
    settings = [
        {
            "label": label,
            "settings": {"d": label},
            "means": {"valid.roc_auc": mean},
            "against_baseline": {"valid.roc_auc": {"difference": found}} if label != "0" else {},
        }
        for label in ("0", "0.5")
    ]
    return {"settings": settings, "trials": [*trials, failed]}


def test_kept_results_have_the_difference_of_each_seed_and_a_picture_draws_it(common, tmp_path):
    import draw
    from matplotlib import pyplot as plt

    content = made_up_sweep()
    points = common.change_points(content, "head", "50 photos", ["valid.roc_auc"])
    assert [(point["against"], point["x"], point["by_seed"]) for point in points] == [("0", "0.5", [0.05, 0.02])]
    point = common.score_point(content, content["settings"][0], "valid.roc_auc", series="a", x="3", cost=2.0)
    assert (point["by_seed"], point["low"], point["cost"]) == ([0.6, 0.7], None, 2.0)

    options = argparse.Namespace(out=tmp_path / "f.md", data=None, seeds=2, epochs=None)
    common.keep_results(options, "x", "dropout", points)
    kept = json.loads((tmp_path / "x.json").read_text())
    assert kept["points"] == points
    assert kept["command"] == "python experiments/x.py --seeds 2"
    (axes,) = draw.draw_changes(plt, kept, "better").axes
    lines = [list(line.get_ydata()) for line in axes.lines]
    assert [0, 0.05] in lines
    assert [0, 0.02] in lines
    plt.close("all")


def test_publishing_rewrites_one_block_and_no_other(common, tmp_path):
    out = tmp_path / "f.md"
    out.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\nkept\n<!-- /y -->\n")
    options = argparse.Namespace(out=out, data=None, seeds=5, epochs=None)
    common.publish(options, "x", ["new \\1", common.table(["h"], [[1]])])
    common.publish(options, "x", ["newer", common.table(["h"], [[1]])])
    text = out.read_text()
    assert "newer\n\n| h |\n| --- |\n| 1 |\n<!-- /x -->\nb\n<!-- y -->\nkept\n<!-- /y -->\n" in text
    assert "old" not in text
    assert "`python experiments/x.py --seeds 5`" in text
    common.publish(options, "y", ["folded"], "All numbers")
    assert '<details markdown="1"><summary>All numbers</summary>\n\nWritten by' in out.read_text()
    with pytest.raises(SystemExit, match="no block"):
        common.publish(options, "z", [])


def test_smaller_sets_are_the_beginning_of_larger_ones_with_the_same_photos_to_judge_on(common, tmp_path):
    small, large = common.draw(tmp_path / "s", 6, 10), common.draw(tmp_path / "l", 24, 10)

    def contents(folder, split):
        return {file.relative_to(folder): file.read_bytes() for file in (folder / split).rglob("*.jpg")}

    assert len(contents(small, "train")) == 6
    assert len(contents(large, "train")) == 24
    assert contents(small, "train").items() <= contents(large, "train").items()
    assert sum("not_bear" not in path.parts for path in contents(small, "train")) == 3
    for split in ("valid", "test"):
        assert contents(small, split) == contents(large, split)
        assert len(contents(small, split)) == 10


class TestDropoutTrial:
    """The fair trial of dropout: from trials to words, on numbers that are known and on a toy."""

    @pytest.fixture
    def findings(self, common):
        import dropout_findings

        return dropout_findings

    @staticmethod
    def made_up(gain, seeds=5):
        """Trials whose rates make the loss on unseen photos better by `gain`, and the training loss worse."""
        same = {
            f"{split}.{name}": 0.5
            for split in ("train", "test", "last.train", "last.test")
            for name in ("log_loss", "accuracy", "roc_auc")
        }
        return [
            {
                "rate": rate,
                "seed": seed,
                "epochs": 30,
                "best_epoch": 10,
                **same,
                "train.log_loss": 0.1 + rate * (1 + 0.01 * seed),
                "valid.log_loss": 0.6 - gain[rate],
                "test.log_loss": 0.6 + 0.01 * seed - gain[rate] * (1 + 0.01 * seed),
            }
            for seed in range(seeds)
            for rate in gain
        ]

    def test_what_is_said_is_what_the_numbers_show(self, findings):
        better = findings.Finding.of({"name": "50 photos", "trials": self.made_up({0.0: 0.0, 0.2: 0.01, 0.5: 0.04})})
        worse = findings.Finding.of({"name": "200 photos", "trials": self.made_up({0.0: 0.0, 0.2: -0.01, 0.5: 0.0})})
        assert (better.chosen, worse.chosen) == (0.5, 0.0)  # between equals, the smaller rate
        assert better.shown("test.log_loss", True) == [0.2, 0.5]
        assert worse.shown("test.log_loss", False) == [0.2]
        assert worse.shown("train.log_loss", False) == [0.2, 0.5]
        said = findings.headline([better, worse], 8)
        assert said == (
            "At the best epoch, dropout improves the loss on unseen photos in 2 of 4 cases; 8 epochs later in 0"
        )
        words = " ".join(findings.describe([better, worse], 8))
        assert "training loss worse in 4 (50 photos: 0.2 and 0.5; 200 photos: 0.2 and 0.5) and better in 0;" in words
        assert "on unseen photos worse in 1 (200 photos: 0.2) and better in 2 (50 photos: 0.2 and 0.5);" in words
        assert "a rate above 0 in 1 of 2 settings" in words
        assert "the loss changed by -0.041 on average: shown to be better than without dropout in 1 of 1" in words

    def test_a_toy_trial_is_judged_on_photos_that_stopped_nothing(self, findings, photos, tmp_path, monkeypatch):
        import dropout_trial

        page = tmp_path / "page.md"
        words = ["x", "--data", photos, "--work", tmp_path / "work", "--seeds", 2, "--epochs", 2, "--out", page]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        monkeypatch.setattr(dropout_trial, "STEPS", 2)
        monkeypatch.setattr(dropout_trial, "RATES", (0.0, 0.5))
        setups = (dropout_trial.Setup(20, widths="[4,4,8]"), dropout_trial.Setup(20, "batch", widths="[4,4,8]"))
        dropout_trial.main(setups)
        content = json.loads((tmp_path / "photos.json").read_text())
        assert [each["name"] for each in content["comparisons"]] == ["20 photos", "20 photos, batch norm"]
        trials = content["comparisons"][0]["trials"]
        assert [(trial["rate"], trial["seed"]) for trial in trials] == [(0.0, 0), (0.5, 0), (0.0, 1), (0.5, 1)]
        assert content["photos"] == {"train": 36, "valid": 12, "test": 12}
        text = page.read_text()
        assert text.startswith("<!-- dropout_trial-photos -->\nWritten by `python experiments/dropout_trial.py --data")
        for picture in re.findall(r"\(pictures/(.+?)\)", text):
            assert (tmp_path / "pictures" / picture).stat().st_size < 100_000
        before = (tmp_path / "photos.json").read_bytes()
        dropout_trial.main(setups)  # nothing is trained again
        assert (tmp_path / "photos.json").read_bytes() == before

    def test_half_of_the_validation_photos_are_held_out_where_there_is_no_test(self, findings, photos):
        import dropout_trial

        dataset = Dataset.from_folder(photos, image_size=32)
        assert dropout_trial.hold_out(dataset) is dataset
        untested = replace(dataset, examples=tuple(each for each in dataset.examples if each.split != "test"))
        halved = dropout_trial.hold_out(untested)
        assert halved.select("train") == dataset.select("train")
        rows = {split: set(halved.arrays(split)[0].tolist()) for split in ("valid", "test")}
        assert rows["valid"] | rows["test"] == set(dataset.arrays("valid")[0].tolist())
        for split in ("valid", "test"):
            assert halved.arrays(split)[1].tolist().count(1) == 3
            assert len(rows[split]) == 6
