"""The experiments' own small parts; the training runs in them are those of `bearcnn sweep`."""

import argparse
import json
import re
import tomllib
from pathlib import Path

import pytest

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
    names = sorted(
        file.stem for file in EXPERIMENTS.glob("*.py") if file.stem not in ("common", "draw", "heads", "tiles")
    )
    assert names == ["dropout", "kernels", "pooling", "pretrained_knobs", "pretrained_recipe"]
    said = explain_scripts(EXPERIMENTS, names)
    docs = {page: (ROOT / "docs" / page).read_text() for page in ("findings.md", "recipe.md")}
    for name in names:
        assert "--seeds" in said[name]
        is_recipe = name == "pretrained_recipe"
        page = docs["recipe.md" if is_recipe else "findings.md"]
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
        {"label": label, "settings": {"d": label}, "means": {"valid.roc_auc": mean},
         "against_baseline": {"valid.roc_auc": {"difference": found}} if label != "0" else {}}
        for label in ("0", "0.5")
    ]  # fmt: skip
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
