import itertools
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.config import Config, config_keys, dump_config, load_config, make_config, make_data_config
from bearcnn.errors import ConfigError
from bearcnn.geometry import map_sizes
from bearcnn.signs import is_shown

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    return str(caught.value).splitlines()


def test_defaults_are_what_an_empty_file_gives(tmp_path):
    (tmp_path / "empty.toml").write_text("")
    assert load_config(tmp_path / "empty.toml") == load_config() == Config()


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path):
    (tmp_path / "c.toml").write_text("[train]\nlr = 0.5\nepochs = 7\n")
    config = load_config(tmp_path / "c.toml", ["train.lr=1e-3", "train.lr=3e-3", "model.pooling=max"])
    assert (config.train.lr, config.train.epochs, config.model.pooling) == (3e-3, 7, "max")


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("model.kernel_size=5", 5),
        ("model.kernel_size=[7, 5, 3, 1]", (7, 5, 3, 1)),
        ("model.residual=[0,0,1,2]", (0, 0, 1, 2)),
        ("model.stride=1,2,2,2", (1, 2, 2, 2)),
        ('data.positive=["bear", "cub"]', ("bear", "cub")),
        ("data.positive=bear", ("bear",)),
        ("train.name=my-bear", "my-bear"),
        ("data.path=/photos = of bears", "/photos = of bears"),
        ("data.path=/bears, 2024", "/bears, 2024"),
        ("train.sizes=64,96", (64, 96)),
        ("model.kernel_size=7, 5,3,1", (7, 5, 3, 1)),
    ],
)
def test_overrides_use_toml_values_or_bare_strings(override, value):
    section, key = override.partition("=")[0].split(".")
    assert getattr(getattr(load_config(None, [override]), section), key) == value


def test_the_columns_of_a_table_can_be_set_one_by_one_or_together_and_read_back(tmp_path):
    one_by_one = load_config(None, ["data.columns.label=Species", 'data.columns.filepath=["RelativePath", "File"]'])
    together = load_config(None, ['data.columns={label = "Species", filepath = ["RelativePath", "File"]}'])
    assert one_by_one == together
    assert {one_by_one.data: 1}[together.data] == 1  # they are keys of dictionaries
    assert hash(together.data) != hash(Config().data)
    assert together.data.columns == {"label": ("Species",), "filepath": ("RelativePath", "File")}
    (tmp_path / "c.toml").write_text(dump_config(together, explained=True))
    assert load_config(tmp_path / "c.toml") == together
    assert load_config(tmp_path / "c.toml", ["data.columns.label=Art"]).data.columns["label"] == ("Art",)
    assert problems("data.columns.lable=Species") == [
        "data.columns: expected filepath, label, subclass, split, site, sequence or datetime (got 'lable'); "
        "did you mean label?"
    ]
    assert problems("data.columns.label=2024") == ["data.columns: expected text in quotes (got 2024)"]
    assert problems("data.columns=Species") == ["data.columns: expected a table of keys in braces (got 'Species')"]
    assert "data.path: expected" in problems("data.path.x=1")[0]


def test_a_section_alone_is_checked_like_the_whole():
    with pytest.raises(ConfigError) as caught:
        make_data_config({"image_size": 2, "imagesize": 3, "valid_share": 0.5, "test_share": 0.5})
    assert str(caught.value).splitlines() == [
        "data.image_size: expected 8 or more (got 2)",
        "data.imagesize: there is no such key; did you mean data.image_size?",
    ]
    assert make_data_config({"image_size": 8}).image_size == 8  # which the default network can't have


def test_all_problems_are_reported_at_once():
    found = problems("train.lr=fast", "model.poling=max", "augment.flip=2", "model.kernel_size=4")
    assert [line.partition(":")[0] for line in found] == [
        "model.kernel_size",
        "model.poling",
        "augment.flip",
        "train.lr",
    ]


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("model.poling=max", "model.pooling"),
        ("train.dropout=0.1", "model.dropout"),
        ("trian.lr=1", "train"),
        ("train.epoch=3", "train.epochs"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(override, nearest):
    assert problems(override) == [
        f"{override.partition('=')[0].removesuffix('.lr')}: there is no such key; did you mean {nearest}?"
    ]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["model.kernel_size=4"], "not odd"),
        (["model.kernel_size=0"], "not odd"),
        (["model.kernel_size=[3,5]"], "2 numbers for 4 blocks"),
        (["model.dropout=1"], "nothing would be left"),
        (["model.input_dropout=1.5"], "nothing would be left"),
        (["model.conv_dropout=-0.1"], "nothing would be left"),
        (["data.image_size=16", "model.widths=[8,8,8,8,8,8]"], "the map shrinks away"),
        (["model.stride=1", "model.pool_size=8", "data.image_size=64", "model.widths=[8,8,8]"], "the map shrinks away"),
        (["data.valid_share=0.5", "data.test_share=0.5"], "less than a fifth"),
        (["train.lr=nan"], "finite"),
        (["model.stride=3"], "1 or 2"),
        (["model.stride=[1,2,2,3]"], "expected 1 or 2 (got 3)"),
        (["model.stride=[1,2]"], "stride has 2 numbers for 4 blocks"),
        (["model.pooling=sum"], "there is no pooling mode 'sum': expected max, avg or concat"),
        (["model.pooling=maxx"], "did you mean max?"),
        (["train.name=../x"], "pattern"),
        (["lr=1"], "expected section.key=value"),
        (["train.lr"], "expected section.key=value"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(overrides, reason):
    found = problems(*overrides)
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("train.epochs=abc", "train.epochs: expected a whole number (got 'abc')"),
        ("train.epochs=", "train.epochs: expected a whole number (got '')"),
        ("train.lr=fast", "train.lr: expected a number (got 'fast')"),
        ("train.lr=0", "train.lr: expected a number above 0 (got 0)"),
        ("train.seed=5000000000", "train.seed: expected a number below 4294967296 (got 5000000000)"),
        ("augment.flip=2", "augment.flip: expected 1 or less (got 2)"),
        ("train.subclasses=maybe", "train.subclasses: expected true or false (got 'maybe')"),
        ("model.kernel_size=abc", "model.kernel_size: expected a whole number or a list (got 'abc')"),
        ('model.kernel_size=3,"x"', "model.kernel_size: expected a whole number (got 'x')"),
        ("model.widths=[]", "model.widths: expected at least one value (got [])"),
        ("train.sizes=aut", "train.sizes: expected auto or a list (got 'aut'); did you mean auto?"),
        ("data.resize=pat", "data.resize: expected squish, crop or pad (got 'pat'); did you mean pad?"),
    ],
)
def test_a_wrong_value_is_one_line_in_plain_words(override, line):
    assert problems(override) == [line]


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"can't read .*gone\.toml: No such file"):
        load_config(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_text("[train\nlr = 1")
    with pytest.raises(ConfigError, match=r"bad\.toml is not a TOML file: .*line 1"):
        load_config(tmp_path / "bad.toml")


def test_every_key_is_explained():
    explained = dict(config_keys())
    assert len(explained) > 25
    assert all(text.endswith((".", "one.", "dropout.")) and len(text) > 15 for text in explained.values())
    assert set(explained) == {f"{s}.{k}" for s, values in Config().model_dump().items() for k in values}


text = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    name=text,
    lr=st.floats(1e-9, 10),
    epochs=st.integers(1, 1000),
    positive=st.lists(text.filter(is_shown), min_size=1, max_size=4),
    residual=st.integers(0, 20),
    explained=st.booleans(),
)
def test_a_dumped_config_reads_back_the_same(tmp_path_factory, name, lr, epochs, positive, residual, explained):
    config = make_config(
        {
            "data": {"path": name, "positive": positive},
            "model": {"residual": residual, "kernel_size": [3, 1, 5, 7]},
            "train": {"lr": lr, "epochs": epochs},
        }
    )
    assert make_config(tomllib.loads(dump_config(config, explained=explained))) == config


@given(
    size=st.integers(8, 300),
    strides=st.lists(st.sampled_from([1, 2]), min_size=1, max_size=10),
    pool_size=st.integers(2, 5),
)
def test_map_sizes_halve_or_are_refused(size, strides, pool_size):
    try:
        sizes = map_sizes(size, strides, pool_size)
    except ValueError as error:
        assert f"{size} px" in str(error)
        assert size < math.prod(2 if stride == 2 else pool_size for stride in strides)
        return
    assert len(sizes) == len(strides)
    assert all(side >= 1 for side in sizes)
    assert all(after < before for before, after in zip((size, *sizes), sizes, strict=False))


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        ([], [64, 64, 96, 96, 128, 128]),
        (["train.sizes=[]"], [128] * 6),
        (["data.image_size=48"], [48] * 6),
        (["data.image_size=64"], [32, 32, 48, 48, 64, 64]),
        (["train.sizes=[32, 128]"], [32, 32, 32, 128, 128, 128]),
        (["train.sizes=[32, 128]", "train.size_shares=[2, 1]"], [32, 32, 32, 32, 128, 128]),
        (["model.widths=[4,4,4,4,4,4]", "data.image_size=64", "model.stride=1"], [64] * 6),
    ],
)
def test_the_pictures_grow_as_configured(overrides, sizes):
    config = load_config(None, ["train.epochs=6", *overrides])
    assert [config.training_size(epoch) for epoch in range(6)] == sizes


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("train.sizes=[64, 256]", "goes up to 256, more than data.image_size"),
        ("train.sizes=[96, 64]", "increasing order"),
        ("train.size_shares=[1, 2]", "2 numbers for 3 train.sizes"),
        ("train.sizes=[8, 128]", "8 px is down to"),
        ("model.residual=[1, 2]", "residual has 2 numbers for 4 blocks"),
        ("model.residual=-1", "expected 0 to 20"),
    ],
)
def test_sizes_that_can_not_work_are_refused(override, complaint):
    overrides = [override, "model.widths=[4,4,4,4]"]
    assert any(complaint in line for line in problems(*overrides)), problems(*overrides)


def test_the_default_file_is_the_default():
    assert load_config(CONFIGS / "small.toml") == Config()


def test_every_file_under_configs_loads_and_explains_itself():
    files = sorted(CONFIGS.rglob("*.toml"))
    assert len(files) >= 2
    for file in files:
        load_config(file)
        lines = [line for line in file.read_text().splitlines() if line]
        assert lines[0].startswith("#"), f"{file} does not say what it is for"
        for before, line in itertools.pairwise(lines):
            if " = " in line and not line.startswith("#"):
                assert before.startswith("#") or "#" in line, f"{file}: {line} is not explained"


def test_the_preset_for_tiny_pictures_halves_them_after_the_first_block():
    preset = load_config(CONFIGS / "pixel.toml")
    assert preset.model.map_sizes(preset.data.image_size) == (32, 16, 8, 4)


def test_a_body_alone_is_the_preset():
    preset = load_config(CONFIGS / "pretrained.toml")
    assert load_config(None, ["model.body=efficientnet_lite0", "train.name=pretrained"]) == preset
    assert preset.training_sizes == (224,)


def test_what_is_set_wins_over_the_preset_of_a_body():
    config = load_config(None, ["model.body=efficientnet_lite0", "model.kernel_size=3", "data.image_size=128"])
    assert (config.model.kernel_size, config.model.pool_size, config.data.image_size) == (3, 1, 128)
    assert make_config(tomllib.loads(dump_config(config))) == config


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("model.body=resnet", "there is no body 'resnet'"),
        ("model.body=timm:", "there is no body 'timm:'"),
        ("model.body_stage=-6", "efficientnet_lite0 has the maps -1 (the last) to -5"),
        ("augment.rotation=5", "set augment.rotation = 0"),
        ("train.sizes=[112, 224]", "set train.sizes = []"),
        ("augment.crop=0.5", "or train.views = 8, to keep variations as well; or train.unfreeze = 1"),
        ("train.views=3", "expected 1 or an even number: half of the views are mirrored"),
        ("train.views=1", "train.views = 1 keeps no mirror image: set augment.flip = 0"),
        ("train.views=8", None),
        ("model.body=my/body.safetensors", None),
        ("model.stride=2", None),
        ("model.widths=[32, 64, 128, 256]", None),
        ("data.image_size=32", None),
    ],
)
def test_what_a_body_can_not_do_is_refused(override, complaint):
    overrides = ["model.body=efficientnet_lite0", override]
    if complaint is None:
        load_config(None, overrides)
    else:
        assert any(complaint in line for line in problems(*overrides)), problems(*overrides)


def test_blocks_that_shrink_the_map_of_a_body_away_are_refused():
    found = problems("model.body=efficientnet_lite0", "model.stride=2", "model.widths=[8,8,8,8]")
    assert "224 px is down to 1 x 1 before block 4 of 4" in found[0]


def test_with_folds_no_photo_is_left_for_a_test_or_to_choose_an_epoch() -> None:
    config = load_config(None, ["train.folds=5"])
    assert (config.data.test_share, config.train.monitor) == (0, "last")
    assert load_config(None, ["train.folds=0"]) == Config()
    assert make_config(config.model_dump(mode="json")) == config
    for override in ("data.test_share=0.2", "train.monitor=f1"):
        with pytest.raises(ConfigError, match=r"train\.folds = 5 trains on every photo.*set data\.test_share = 0"):
            load_config(None, ["train.folds=5", override])
    for folds in (1, 21, -1):
        with pytest.raises(ConfigError, match=r"train\.folds: "):
            load_config(None, [f"train.folds={folds}"])


def test_unfreezing_needs_a_body_with_so_many_stages():
    assert problems("train.unfreeze=1") == ["train.unfreeze = 1 needs a pretrained body: set model.body"]
    body = "model.body=efficientnet_lite0"
    (found,) = problems(body, "train.unfreeze=6")
    assert found == "train.unfreeze = 6: efficientnet_lite0 has 5 stages up to model.body_stage"
    (found,) = problems(body, "model.body_stage=-4", "train.unfreeze=3")
    assert "has 2 stages up to model.body_stage" in found


def test_unfreezing_brings_the_usual_augmentation_back():
    config = load_config(None, ["model.body=efficientnet_lite0", "train.unfreeze=1"])
    assert config.augment == Config().augment
    assert config.train.total_epochs == 23
    assert load_config(None, ["model.body=efficientnet_lite0"]).train.total_epochs == 20
    varied = load_config(None, ["model.body=efficientnet_lite0", "train.unfreeze=1", "augment.rotation=5"])
    assert varied.augment.rotation == 5


def test_more_views_bring_the_usual_augmentation_back_and_need_a_body():
    config = load_config(None, ["model.body=efficientnet_lite0", "train.views=8"])
    assert config.augment == Config().augment
    assert problems("train.views=8") == ["train.views = 8 needs a pretrained body: set model.body"]
    single = load_config(None, ["model.body=efficientnet_lite0", "train.views=1", "augment.flip=0"])
    assert single.augment.crop == 1


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["data.path=l\udcf6we"], r"data.path: 'l\udcf6we' isn't UTF-8 and can't be written down"),
        (["data.detections=\udcf6.json"], r"data.detections: '\udcf6.json' isn't UTF-8"),
        (["data.positive=b\udcf6r"], r"data.positive: 'b\udcf6r' isn't UTF-8"),
        (["data.positive=['bear', '\x7f']"], "data.positive"),
        (["model.widths=[2048,2048,2048,2048]", "model.kernel_size=31"], "12,098,082,816 weights, 194 GB"),
        (["train.seed=" + "9" * 5_000], "train.seed: expected a whole number"),
        (["train.seed=" + "9" * 4_000], "train.seed: expected a number below 4294967296 (got a number of many digits)"),
        (["train.sizes=" + "[" * 5_000], "train.sizes: expected"),
        (["model.widths=" + "[" * 300 + "]" * 300], "model.widths: expected"),
    ],
)
def test_what_cannot_be_written_or_computed_is_refused_in_words(overrides, reason):
    found = problems(*overrides)
    assert reason in found[0]
    assert all(len(line) < 500 for line in found)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("[train]\nseed = " + "9" * 5_000, "is not a TOML file: Exceeds the limit"),
        ("[[train]]\n", "train: expected a table"),
    ],
    ids=["brackets", "digits", "list"],
)
def test_a_file_without_end_is_refused_in_words(tmp_path, content, reason):
    (tmp_path / "c.toml").write_text(content)
    with pytest.raises(ConfigError, match=reason):
        load_config(tmp_path / "c.toml")
