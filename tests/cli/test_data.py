import inspect
import json

import pytest

from bearcnn.cli.data import FETCHED
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from tests.helpers.commands import bearcnn_command


def test_the_defaults_of_data_synth_are_the_built_in_sets():
    from bearcnn.cli import data
    from bearcnn.data.synthetic import scenes

    given = {name: parameter.default for name, parameter in inspect.signature(data.synth).parameters.items()}
    assert (given["count"], given["size"]) == (scenes.DEFAULT_COUNT, scenes.DEFAULT_SIZE)
    assert given["clutter"] == scenes.DEFAULT_CLUTTER
    assert data._parse_scale(given["bear_scale"]) == scenes.DEFAULT_SCALE


@pytest.mark.slow
def test_data_synth_cache_and_clear(tmp_path, photos, monkeypatch):
    scenes = tmp_path / "scenes"
    bearcnn_command("data", "synth", scenes, "--count", 20, "--size", 32, "--bear-scale", "0.2-0.4", "--json")
    assert len(list(scenes.rglob("*.jpg"))) == 20
    assert (scenes / "scenes.jsonl").is_file()
    environment = {"BEARCNN_CACHE": str(tmp_path / "cache")}
    monkeypatch.setenv("BEARCNN_CACHE", environment["BEARCNN_CACHE"])
    Dataset.from_config(load_config(None, [f"data.path={photos}"]).data)
    entries = json.loads(bearcnn_command("data", "cache", "--json", **environment).stdout)
    assert [entry["photos"] for entry in entries] == [60]
    bearcnn_command("data", "cache", "--clear", **environment)
    assert json.loads(bearcnn_command("data", "cache", "--json", **environment).stdout) == []


@pytest.mark.parametrize("name", FETCHED)
def test_what_can_be_fetched_is_in_the_help(command, name):
    assert name in command("data", "fetch", "--help").stdout


def test_an_empty_cache_says_where_it_would_be(command, tmp_path, monkeypatch):
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "none"))
    said = command("data", "cache")
    assert said.stdout == ""
    assert said.stderr == f"nothing is kept in {tmp_path / 'none'}\n"
