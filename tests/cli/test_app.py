import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bearcnn
from bearcnn.formats import EXPORT_FORMATS
from bearcnn.pooling import POOLING_MODES
from tests.helpers.commands import bearcnn_command, some_photos
from tests.helpers.places import ROOT

COMMANDS = [
    [],
    ["train"],
    ["predict"],
    ["evaluate"],
    ["report"],
    ["export"],
    ["explain"],
    ["learning-curve"],
    ["sweep-dropout"],
    ["sweep"],
    ["data"],
    ["data", "check"],
    ["data", "look"],
    ["data", "synth"],
    ["data", "fetch"],
    ["data", "cache"],
    ["config"],
    ["config", "show"],
    ["config", "check"],
]
HEAVY = {"torch", "torchvision", "fastai", "fastcore", "matplotlib", "pandas", "sklearn", "scipy", "onnx", "onnxscript"}


def loaded_by(*lines: list[object], cwd: Path) -> list[tuple[list[str], set[str]]]:
    """Run command lines one after another in a process of their own; return each with what is loaded at its end."""
    code = (
        "import json, sys; from bearcnn.cli.app import main\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['bearcnn', *line]\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "    print('\\nLOADED', json.dumps([line, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    words = json.dumps([[str(word) for word in line] for line in lines])
    process = subprocess.run([sys.executable, "-c", code, words], cwd=cwd, capture_output=True, text=True, check=True)
    found = [json.loads(said[7:]) for said in process.stdout.splitlines() if said.startswith("LOADED ")]
    return [(line, set(packages)) for line, packages in found]


def test_ctrl_c_ends_with_a_word_and_the_shells_exit_code(command, monkeypatch, tmp_path):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bearcnn.runs.open_run", press)
    said = command("report", "r", code=130, cwd=tmp_path)
    assert said.stderr == "stopped\n"


@pytest.mark.slow
class TestLight:
    """What people wait for never loads what they don't need."""

    def test_help_and_configuration_load_nothing_heavy(self, tmp_path):
        lines = [*([*command, "--help"] for command in COMMANDS), ["config", "show"], ["data", "cache"]]
        loaded = loaded_by(*lines, cwd=tmp_path)
        assert [words for words, _ in loaded] == lines
        for words, packages in loaded:
            assert "typer" in packages
            assert not packages & (HEAVY | {"onnxruntime"}), words

    def test_predict_and_evaluate_load_onnxruntime_and_nothing_heavy(self, work, photos, tmp_path):
        drawing = ["predict", some_photos(photos)[0], "--heatmaps", tmp_path / "drawn"]
        for command in (["predict", some_photos(photos)[0]], drawing, ["evaluate"], ["report"]):
            ((_, loaded),) = loaded_by(command, cwd=work)
            assert "onnxruntime" in loaded
            assert not loaded & HEAVY

    def test_a_plain_prediction_loads_only_what_it_uses(self, work, photos):
        ((_, loaded),) = loaded_by(["predict", some_photos(photos)[0]], cwd=work)
        assert not loaded & {"cv2", "jinja2", "safetensors", "filelock", "platformdirs"}


class TestHelp:
    """A newcomer finds the way."""

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_explains_itself(self, command, name):
        text = command(*name, "--help").stdout
        assert "Usage:" in text
        assert len(text.splitlines()) > 8
        assert all(len(line) <= 80 for line in text.splitlines())

    @pytest.mark.parametrize(
        "name",
        [
            ["train"],
            ["predict"],
            ["evaluate"],
            ["report"],
            ["export"],
            ["explain"],
            ["learning-curve"],
            ["sweep-dropout"],
            ["sweep"],
            ["data", "synth"],
        ],
    )
    def test_the_main_commands_show_examples(self, command, name):
        examples = command(*name, "--help").stdout.partition("Examples:")[2]
        assert f"\n    bearcnn {' '.join(name)}" in examples

    def test_the_choices_are_those_of_the_registries(self, command):
        text = " ".join(command("export", "--help").stdout.replace("│", " ").split())
        assert all(f"{row.name}: {row.words}" in text for row in EXPORT_FORMATS)
        text = " ".join(command("train", "--help").stdout.replace("│", " ").split())
        assert all(row.name in text.partition("--pooling")[2][:60] for row in POOLING_MODES)

    def test_version_is_the_packages(self, command):
        assert command("--version").stdout == f"bearcnn {bearcnn.__version__}\n"

    @pytest.mark.parametrize("name", [[], ["data"], ["config"]])
    def test_without_a_command_the_help_is_shown(self, command, name):
        assert "Usage:" in command(*name, code=1).stdout


class TestErrors:
    """One line that says what, where and how to fix it; exit code 1; nothing written."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["train", "--data", "nowhere"], "there is no folder"),
            (["train", "--set", "model.poling=max"], "did you mean model.pooling?"),
            (["train", "--kernel-size", "4"], "not odd"),
            (["train", "--dropout", "1"], "nothing would be left"),
            (["train", "--epochs", "many"], "train.epochs"),
            (["train", "--config", "gone.toml"], "can't read"),
            (["train", "--resume", "gone"], "does not exist"),
            (["train", "--resume", "gone", "--epochs", "3"], "omit the other options"),
            (["predict", "x.jpg"], "no finished run here"),
            (["predict", "x.jpg", "--model", "gone.onnx"], "does not exist"),
            (["evaluate"], "no finished run here"),
            (["evaluate", "--target-recall", "98"], "such as 0.98"),
            (["evaluate", "--save-threshold"], "needs a threshold"),
            (["evaluate", "--max-false-alarms-per-day", "3"], "--photos-per-day"),
            (["evaluate", "--threshold", "1", "--target-recall", "1"], "give one of"),
            (["report"], "no finished run here"),
            (["report", "gone"], "does not exist"),
            (["evaluate", "--at-least", "beauty=1"], "expected SCORE=VALUE"),
            (["export", "gone"], "does not exist"),
            pytest.param(["explain", "x.jpg"], "no finished run here", marks=pytest.mark.slow),
            pytest.param(["explain", "x.jpg", "--model", "gone"], "does not exist", marks=pytest.mark.slow),
            (["explain", "x.jpg", "--out", "file"], "nothing is ever overwritten"),
            (["config", "check", "gone.toml"], "can't read"),
            (["data", "synth", ".", "--bear-scale", "big"], "expected a number or a range"),
            (["train", "--data", ""], "--data is empty"),
            (["evaluate", "--data", ""], "--data is empty"),
            (["sweep", "--vary", "model.pooling=max", "--data", ""], "--data is empty"),
            (["train", "--epochs", ""], "--epochs is empty"),
            (["train", "--out", "."], "choose another folder"),
            (["predict", "x.jpg", "--model", "file"], "neither a .onnx nor a .safetensors file"),
            (["predict", "x.jpg", "--format", "tabel"], "did you mean table?"),
            (["export", "--format", "onx"], "safetensors, fastai, html or html-int8; did you mean onnx?"),
            (["explain", "x.jpg", "--what", "kernel"], "did you mean kernels?"),
            (["evaluate", "--split", "vald"], "expected train, valid, test or folds; did you mean valid?"),
            (["train", "--pooling", "maxx"], "expected max, avg or concat; did you mean max?"),
            (["sweep-dropout", "--where", "hed"], "did you mean head?"),
            (["sweep", "--vary", "model.pooling=max", "--engine", "rai"], "expected local or ray; did you mean ray?"),
            (["data", "fetch", "cifar-bears", "x"], "did you mean cifar100-bears?"),
            (["evaluate", "--target-recall", "98"], "--target-recall 98: expected a share"),
            (["evaluate", "--threshold", "1", "--target-recall", "1"], "--max-false-alarms-per-day and --threshold"),
            (["sweep", "--vary", "train.seed=1,2"], "use --seeds"),
            (["trian"], "there is no command trian; did you mean train?"),
            (["train", "--epohcs", "3"], "there is no option --epohcs; did you mean --epochs?"),
            (["train", "more"], "unexpected extra argument"),
            (["predict"], "name photos or folders, or a folder that they arrive in: --watch DIR"),
            (["evaluate", "--at-least"], "requires an argument"),
            (["evaluate", "--threshold", "low"], "--threshold: expected a number"),
            (["data", "synth", "x", "--count", "5"], "--count: expected 20 or more"),
            (["data", "synth", "x", "--count", "few"], "--count: expected a whole number"),
            (["data", "synth", "x", "--clutter", "2"], "--clutter: expected 1 or less"),
        ],
    )
    def test_bad_input_is_one_line_and_exit_code_1(self, command, arguments, said, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("so that the folder is not empty")
        monkeypatch.chdir(tmp_path)
        process = command(*arguments, code=1)
        assert process.stdout == ""
        assert process.stderr.startswith("error: ")
        assert said in process.stderr
        assert len(process.stderr.strip().splitlines()) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @pytest.mark.slow
    def test_a_process_leaves_with_the_same_line_and_code(self, tmp_path):
        process = bearcnn_command("train", "--data", "nowhere", cwd=tmp_path, code=1)
        assert process.stdout == ""
        assert re.fullmatch(r"error: there is no folder \S+/nowhere: .*\n", process.stderr)


class TestReadme:
    """The README can't fall behind."""

    def commands(self) -> set[tuple[str, ...]]:
        text = (ROOT / "README.md").read_text()
        return {tuple(match.split()) for match in re.findall(r"bearcnn ((?:data |config )?[a-z-]+)", text)}

    def test_every_command_is_in_the_readme_and_every_command_there_exists(self):
        from typer.main import get_command

        from bearcnn.cli.app import app

        known: set[tuple[str, ...]] = set()
        for name, command in get_command(app).commands.items():
            inner = getattr(command, "commands", None)
            known |= {(name, sub) for sub in inner} if inner else {(name,)}
        assert known <= self.commands()
        assert {command for command in self.commands() if command[0] in {name[0] for name in known}} <= known

    def test_the_make_targets_in_the_readme_exist(self):
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = set(re.findall(r"(?:^    |`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
        assert {"demo", "test"} <= named <= targets
