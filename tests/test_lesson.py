"""docs/lesson.md and its notebook: the same eight steps, commands that can be run, and a convolution that is one."""

import ast
import re
import runpy
import shlex

import nbformat
import numpy as np
import pytest
from PIL import Image

from bearcnn.config import load_config
from tests.helpers.places import ROOT

LESSON = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
CELLS = nbformat.read(ROOT / "docs" / "notebooks" / "lesson.ipynb", as_version=4).cells
NOTEBOOK = "\n\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
CODE = "\n".join(re.sub(r"^\s*%.*", "    pass", cell.source, flags=re.M) for cell in CELLS if cell.cell_type == "code")
HAND = runpy.run_path(str(ROOT / "docs" / "lesson" / "by_hand.py"))
STEPS = runpy.run_path(str(ROOT / "scripts" / "lesson.py"))["read_steps"](LESSON)


def parts(text: str, start: str) -> list[str]:
    """The paragraphs of a text that begin with a word, without their line breaks."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.startswith(start)]


def test_page_and_notebook_tell_the_same_eight_steps():
    assert parts(LESSON, "## ")[1:] == parts(NOTEBOOK, "## ")
    assert len(parts(NOTEBOOK, "## ")) == 8
    assert len(parts(LESSON, "**Question.**")) == 8
    assert parts(LESSON, "**Question.**") == parts(NOTEBOOK, "**Question.**")
    assert len(parts(LESSON, "**Answer.**")) == len(parts(NOTEBOOK, "**Answer.**")) == 8
    assert len(parts(LESSON, "![")) == 8


def test_the_notebook_has_the_functions_of_the_script():
    def functions(source: str) -> dict[str, str]:
        return {node.name: ast.dump(node) for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}

    script = functions((ROOT / "docs" / "lesson" / "by_hand.py").read_text(encoding="utf-8"))
    same = ("read_grey", "cut_windows", "convolve", "edge_kernel", "pool")
    assert {name: functions(CODE)[name] for name in same} == {name: script[name] for name in same}


def test_the_notebook_trains_the_network_of_the_page():
    assigned = {
        ast.unparse(node.targets[0]): node.value for node in ast.parse(CODE).body if isinstance(node, ast.Assign)
    }
    assert ast.unparse(assigned["config"]) == "bearcnn.load_config(None, [*settings, f'train.epochs={epochs}'])"
    settings = [*ast.literal_eval(assigned["settings"]), "train.epochs=15"]
    assert "scenes, epochs, seeds, workers = 1300, 15, 3, 2" in CODE
    assert load_config(None, settings) == load_config(ROOT / "configs" / "lesson.toml", ["data.path=scenes"])


def test_each_step_of_the_page_has_commands_that_can_be_parsed():
    from typer.main import get_command

    from bearcnn.cli.app import app

    assert [step.title for step in STEPS] == [part.removeprefix("## ") for part in parts(LESSON, "## ")]
    for command in (command for step in STEPS for command in step.commands):
        program, *words = shlex.split(command)
        if program == "python":
            assert (ROOT / words[0]).is_file()
            assert words[1] in HAND["STEPS"]
            continue
        found = get_command(app)
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        found.make_context(found.name, words)


def test_the_pictures_of_the_page_are_made_by_its_commands():
    plan = runpy.run_path(str(ROOT / "scripts" / "pictures.py"))["read_plan"]()
    known = {line for each in (*plan.folders, *plan.pictures) for line in each.command.strip().splitlines()}
    for command in (command for step in STEPS for command in step.commands):
        drawn = re.sub(r"--out lesson/\d\.png", "--out {out}", command)
        assert re.sub(r"(?<= )lesson/", "pictures-work/lesson/", drawn) in known


def test_the_convolution_by_hand_is_that_of_torch():
    import torch
    from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

    numbers = np.random.default_rng(0).integers(0, 256, (20, 17))
    kernel = HAND["edge_kernel"](5)
    whole, tensor = torch.tensor(numbers, dtype=torch.float64)[None, None], torch.tensor(kernel)[None, None]
    for stride in (1, 2, 3):
        found = HAND["convolve"](numbers, kernel, stride)
        assert np.allclose(found, conv2d(whole, tensor, stride=stride)[0, 0])
    assert np.array_equal(HAND["pool"](numbers, 2, np.max), max_pool2d(whole, 2)[0, 0])
    assert np.allclose(HAND["pool"](numbers, 3, np.mean), avg_pool2d(whole, 3)[0, 0])


@pytest.mark.parametrize("side", [3, 7, 15])
def test_an_edge_kernel_answers_nothing_on_a_plain_photo(side):
    kernel = HAND["edge_kernel"](side)
    assert np.abs(HAND["convolve"](np.full((20, 20), 99), kernel)).max() < 1e-9
    step = np.repeat([[0] * 10 + [255] * 10], 20, 0)
    assert HAND["convolve"](step, kernel).max() > 100


def test_each_step_by_hand_draws_a_picture_and_says_what_it_counted(photos, tmp_path, monkeypatch, capsys):
    photo = min((photos / "test").rglob("*.jpg"))
    for name in HAND["STEPS"]:
        monkeypatch.setattr("sys.argv", ["by_hand.py", name, str(photo), "--out", str(tmp_path / f"{name}.png")])
        HAND["main"]()
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 10
    said = capsys.readouterr().out
    rows = [[int(number) for number in line.split()] for line in said.splitlines() if re.fullmatch(r"[\s\d-]+", line)]
    window, kernel, products = (np.array([row[start : start + 3] for row in rows]) for start in (0, 3, 6))
    assert np.array_equal(window * kernel, products)
    assert f"sum of the products: {products.sum()};" in said
    assert "the same numbers as the convolution's: True" in said
