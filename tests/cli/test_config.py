import json

from tests.helpers.places import ROOT


def test_config_show_is_a_configuration_itself(command, tmp_path):
    shown = command("config", "show", "--set", "train.lr=0.01").stdout
    (tmp_path / "c.toml").write_text(shown)
    command("config", "check", tmp_path / "c.toml")
    assert command("config", "show", tmp_path / "c.toml").stdout == shown
    assert json.loads(command("config", "show", tmp_path / "c.toml", "--json").stdout)["train"]["lr"] == 0.01


def test_config_check_names_every_problem(command, tmp_path):
    (tmp_path / "c.toml").write_text("[model]\npoling = 'max'\nkernel_size = 2\n")
    process = command("config", "check", tmp_path / "c.toml", code=1)
    assert len(process.stderr.strip().splitlines()) == 2


def test_the_preset_small_is_what_config_show_writes(command):
    written = (ROOT / "configs" / "small.toml").read_text(encoding="utf-8")
    assert written == command("config", "show").stdout, (
        "a key, a default or an explanation has changed; write the preset anew with: "
        "bearcnn config show > configs/small.toml"
    )


def test_lists_need_no_brackets(command):
    shown = command("config", "show", "--json", "--set", "train.sizes=64,96,128", "--set", "model.widths=8, 16").stdout
    assert json.loads(shown)["train"]["sizes"] == [64, 96, 128]
    assert json.loads(shown)["model"]["widths"] == [8, 16]
