"""The help screens at 80 columns and 24 lines."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command

from bearcnn.cli.app import app
from bearcnn.cli.help import MAIN, explain, label, list_options
from bearcnn.cli.options import KNOB_KEYS
from bearcnn.config import load_config
from bearcnn.config.limits import describe_default, describe_limits
from bearcnn.errors import BearcnnError
from tests.cli.test_app import COMMANDS

LINES, COLUMNS = 24, 80


def find(name: list[str]) -> Any:
    command: Any = get_command(app)
    for each in name:
        command = command.commands[each]
    return command


LEAVES = [name for name in COMMANDS if not hasattr(find(name), "commands")]
GROUPS = [name for name in COMMANDS if hasattr(find(name), "commands")]


def parameters(name: list[str]) -> list[Any]:
    command = find(name)
    return [each for each in command.params if not each.hidden]


@pytest.mark.parametrize("name", LEAVES, ids=" ".join)
def test_the_main_options_are_on_the_first_screen(command, name):
    lines = command(*name, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    screen = "\n".join(lines[:LINES])
    of = find(name)
    with of.make_context("bearcnn", [], resilient_parsing=True) as context:
        panels = list_options(of, context)
    main = next(iter(panels.values()))
    assert (MAIN if len(panels) > 1 else "Options") in screen
    for typed, words in main:
        assert f"  {typed}" in screen
        assert words.split()[-1] in screen, f"{typed} is cut"


@pytest.mark.parametrize("name", LEAVES, ids=" ".join)
def test_every_option_has_a_meaning_and_none_shows_a_type_of_python(command, name):
    text = command(*name, "--help").stdout
    assert not re.search(r"<(int|float|bool|text|path|choice|range)|\b(INTEGER|FLOAT|TEXT|BOOLEAN)\b", text)
    assert "Default:" not in text
    for each in parameters(name):
        assert each.help, each.name
        assert label(each).split()[0] in text


@pytest.mark.parametrize("name", GROUPS, ids=" ".join)
def test_a_list_of_commands_has_a_line_for_each_and_fits_a_screen(command, name):
    lines = command(*name, "--help").stdout.rstrip().splitlines()
    assert len(lines) <= LINES
    for each, of in find(name).commands.items():
        (line,) = [line for line in lines if line.split()[:1] == [each]]
        assert len(line) <= COLUMNS
        assert line.split(maxsplit=1)[1] == (of.short_help or of.help)


@pytest.mark.parametrize("option", KNOB_KEYS)
def test_a_knob_shows_its_range_and_default_from_the_configuration(option):
    (each,) = [each for each in parameters(["train"]) if each.name == option]
    section, name = KNOB_KEYS[option].split(".")
    default = getattr(getattr(load_config(), section), name)
    words = explain(each, KNOB_KEYS)
    assert words.endswith(f"default {default:g}]" if isinstance(default, float) else f"default {default}]")
    limits = describe_limits(KNOB_KEYS[option])
    assert limits in words or "|" in each.metavar
    ends = re.fullmatch(r"(>?)([\d.,^]+) to (<?)([\d.,^]+)", limits)
    if ends is None or option == "unfreeze":  # which needs a body
        return
    for excluded, end, step in ((ends[1], ends[2], -1), (ends[3], ends[4], 1)):
        with pytest.raises(BearcnnError):
            load_config(None, [f"{KNOB_KEYS[option]}={number(end) if excluded else number(end) + step}"])


def number(text: str) -> float:
    base, _, power = text.replace(",", "").partition("^")
    return int(base) ** int(power) if power else float(base) if "." in base else int(base)


@pytest.mark.parametrize(
    ("key", "limits", "default"),
    [
        ("model.dropout", "0 to <1", "0.2"),
        ("model.kernel_size", "odd, 1 to 31", "3"),
        ("model.stride", "1 or 2", "2"),
        ("model.pooling", "max, avg or concat", "concat"),
        ("model.widths", "", "32,64,128,256"),
        ("train.epochs", "1 to 100,000", "60"),
        ("train.lr", ">0 to 10", "0.003"),
        ("train.min_steps", "0 to 10,000,000", "0"),
        ("train.patience", "0 or more", "0"),
        ("train.seed", "0 to <2^32", "0"),
        ("train.replicas", "auto or 1 to 4,096", "auto"),
        ("train.balance", "weights, sampling or none", "weights"),
        ("data.path", "", ""),
    ],
)
def test_limits_and_defaults_in_words(key: str, limits: str, default: str):
    assert (describe_limits(key), describe_default(key)) == (limits, default)


def test_the_largest_kernel_that_is_named_is_the_largest_that_is_taken():
    load_config(None, ["model.kernel_size=31", "model.widths=[8]"])
    for wrong in (33, 2, -1):
        with pytest.raises(BearcnnError):
            load_config(None, [f"model.kernel_size={wrong}"])


@pytest.mark.slow
def test_on_a_terminal_with_colors_nothing_is_dim_least_of_all_the_examples(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "bearcnn", "train", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
            "FORCE_COLOR": "1",
            "TERM": "xterm-256color",
            "COLUMNS": "80",
        },
    )
    styles = {style for found in re.findall(r"\x1b\[([\d;]+)m", process.stdout) for style in found.split(";")}
    assert "36" in styles, json.dumps(process.stdout)
    assert "2" not in styles
