"""The experiments' own small parts; the training runs in them are those of `bearcnn sweep`."""

import argparse
import re
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
    names = sorted(file.stem for file in EXPERIMENTS.glob("*.py") if file.stem not in ("common", "heads", "tiles"))
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
