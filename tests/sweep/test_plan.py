from pathlib import Path

import pytest

from bearcnn.config import Config, load_config
from bearcnn.errors import ConfigError, SweepError
from bearcnn.sweep.plan import (
    digest_config,
    extend_plan,
    list_points,
    make_trials,
    parse_values,
    parse_vary,
    plan_dropout,
    plan_grid,
)
from tests.helpers.sweeps import tiny_config


class TestPlan:
    """Values x seeds -> trials with names that stay."""

    def test_dropout_trials_share_everything_but_the_rate(self, photos):
        plan = plan_dropout(tiny_config(photos), "head", [0.4, 0, 0.2], 2)
        trials = make_trials(plan, list_points(plan))
        assert [trial.id for trial in trials] == [
            f"dropout-{rate}_seed-{seed}" for seed in (0, 1) for rate in ("0", "0.2", "0.4")
        ]
        for trial in trials:
            model = trial.config.model
            assert model.dropout == trial.settings["model.dropout"]
            assert trial.config.train.seed == trial.seed
            same = trial.config.model_copy(
                update={"model": model.model_copy(update={"dropout": 0.0}), "train": plan.config.train}
            )
            assert same == trials[0].config.model_copy(update={"train": plan.config.train})

    @pytest.mark.parametrize(
        ("where", "keys"),
        [
            ("head", {"dropout"}),
            ("conv", {"conv_dropout"}),
            ("input", {"input_dropout"}),
            ("all", {"dropout", "conv_dropout", "input_dropout"}),
        ],
    )
    def test_rate_0_is_no_dropout_at_all(self, photos, where, keys):
        config = tiny_config(photos, "model.dropout=0.3", "model.conv_dropout=0.2", "model.input_dropout=0.1")
        plan = plan_dropout(config, where, [0, 0.5], 1)
        for trial, rate in zip(make_trials(plan, list_points(plan)), (0, 0.5), strict=True):
            for key in ("dropout", "conv_dropout", "input_dropout"):
                assert getattr(trial.config.model, key) == (rate if key in keys else 0)

    def test_a_dropout_that_is_asked_for_stays(self, photos):
        config = tiny_config(photos, "model.dropout=0.3", "model.conv_dropout=0.2")
        plan = plan_dropout(config, "conv", [0, 0.5], 1, kept=["model.dropout"])
        assert plan.config.model.dropout == 0.3

    def test_seeds_begin_at_the_configurations_own(self, photos):
        assert plan_dropout(tiny_config(photos, "train.seed=7"), "head", [0], 3).seeds == (7, 8, 9)

    def test_no_trial_stops_early(self, photos):
        assert plan_dropout(tiny_config(photos, "train.patience=2"), "head", [0], 1).config.train.patience == 0

    def test_a_grid_is_every_combination(self, photos):
        plan = plan_grid(tiny_config(photos), {"model.pooling": ["max", "avg"], "model.kernel_size": [3, [5, 3]]}, 1)
        assert [trial.id.rpartition("-")[0].split("_seed")[0] for trial in make_trials(plan, list_points(plan))]
        settings = [
            (point.settings["model.pooling"], point.settings["model.kernel_size"]) for point in list_points(plan)
        ]
        assert settings == [("max", 3), ("max", [5, 3]), ("avg", 3), ("avg", [5, 3])]
        ids = [trial.id for trial in make_trials(plan, list_points(plan))]
        assert len(set(ids)) == 4
        assert all(Path(name).name == name and " " not in name for name in ids)

    def test_folds_are_refused_and_do_not_count_at_their_default(self, photos):
        with pytest.raises(SweepError, match=r"train\.folds = 5 is for `bearcnn train` alone"):
            plan_dropout(tiny_config(photos, "train.folds=5"), "head", [0, 0.3], 1)
        with pytest.raises(SweepError, match=r"train\.folds can't be varied"):
            plan_grid(tiny_config(photos), {"train.folds": [2, 3]}, 1)
        validated = tiny_config(photos, "data.test_share=0", "train.monitor=last", "train.folds=5")
        plain = tiny_config(photos, "data.test_share=0", "train.monitor=last")
        assert digest_config(validated) != digest_config(plain)

    def test_what_photos_are_seen_as_is_not_varied_and_does_not_count_at_its_default(self, photos):
        for key, values in {
            "data.tiles": [0, 2],
            "data.detections": ["a.json"],
            "data.detection_threshold": [0.1],
        }.items():
            with pytest.raises(SweepError, match=rf"{key} can't be varied"):
                plan_grid(tiny_config(photos), {key: values}, 1)
        assert digest_config(load_config()) == "4678fd39a69c9395"  # as of sweeps before these keys
        settings = ["data.tiles=2"], ["data.detections=a.json"], ["data.detections=a.json", "data.crop_padding=0.3"]
        assert len({digest_config(load_config(None, setting)) for setting in ([], *settings)}) == 4

    def test_a_grouping_is_part_of_the_digest_only_where_it_is_set(self, photos):
        assert digest_config(tiny_config(photos, "data.group=1")) != digest_config(tiny_config(photos))
        assert digest_config(Config()) == "4678fd39a69c9395", "sweeps of before can be extended"
        with pytest.raises(SweepError, match=r"data\.group can't be varied: settings are compared on the same photos"):
            plan_grid(tiny_config(photos), {"data.group": ["auto", 1]}, 1)

    def test_norm_and_schedule_do_not_count_at_their_defaults(self):
        settings = [], ["model.norm=none"], ["train.schedule=constant"]
        digests = [digest_config(load_config(None, setting)) for setting in settings]
        assert digests[0] == "4678fd39a69c9395"  # as of sweeps before these keys
        assert len(set(digests)) == 3

    def test_ids_stay_when_the_sweep_grows(self, photos):
        config = tiny_config(photos)
        small, large = plan_dropout(config, "head", [0, 0.3], 1), plan_dropout(config, "head", [0, 0.1, 0.3], 2)
        ids = {trial.id: digest_config(trial.config) for trial in make_trials(large, list_points(large))}
        for trial in make_trials(small, list_points(small)):
            assert ids[trial.id] == digest_config(trial.config)

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("3,5,7", [3, 5, 7]),
            ("max,avg", ["max", "avg"]),
            ("1e-3, 3e-3", [1e-3, 3e-3]),
            ("[16, 32],[32, 64]", [[16, 32], [32, 64]]),
            ("true,false", [True, False]),
            ('"a,b",c', ['"a', 'b"', "c"]),
            ("max,3", ["max", 3]),
        ],
    )
    def test_values_are_toml_or_words(self, text, values):
        assert parse_values(text) == values

    @pytest.mark.parametrize(
        ("vary", "said"),
        [
            (["model.poling=max,avg"], "did you mean model.pooling"),
            (["model.pooling"], "expected section.key=value,value"),
            (["train.seed=1,2"], "use `seeds`"),
            (["data.path=a,b"], "the same photos"),
            (["model.kernel_size=3,4"], "4: model.kernel_size: 4 is not odd"),
            (["model.dropout=0,1.5"], "nothing would be left"),
            ([], "nothing to vary"),
        ],
    )
    def test_what_can_not_work_is_said_before_anything_runs(self, photos, vary, said):
        with pytest.raises((SweepError, ConfigError), match=said.replace("(", r"\(")):
            plan_grid(tiny_config(photos), parse_vary(vary), 1)

    def test_a_sweep_grows_and_never_shrinks(self, photos):
        config = tiny_config(photos)
        before = plan_dropout(config, "head", [0, 0.4], 3)
        after = extend_plan(before, plan_dropout(config, "head", [0.2], 2))
        assert (after.swept[0].values, after.seeds) == ((0, 0.2, 0.4), (0, 1, 2))
        assert extend_plan(before, plan_dropout(config, "head", [0], 5)).seeds == (0, 1, 2, 3, 4)

    def test_a_sweep_that_grows_keeps_its_baseline(self, photos):
        before = plan_grid(tiny_config(photos), {"model.stride": [2, 1]}, 1)
        assert extend_plan(before, before) == before
        after = extend_plan(before, plan_grid(tiny_config(photos), {"model.stride": [1, 2]}, 1))
        assert after.swept[0].values == (2, 1)

    def test_a_sweep_is_not_continued_as_another(self, photos):
        before = plan_dropout(tiny_config(photos), "head", [0, 0.4], 1)
        with pytest.raises(SweepError, match="for other keys start a new one"):
            extend_plan(before, plan_dropout(tiny_config(photos), "conv", [0, 0.4], 1))
        with pytest.raises(SweepError, match=r"train.epochs \(was 2, asked for 3\)"):
            extend_plan(before, plan_dropout(tiny_config(photos, "train.epochs=3"), "head", [0, 0.4], 1))

    def test_columns_change_a_sweeps_digest_only_where_they_are_named(self, photos):
        plain = tiny_config(photos)
        assert digest_config(plain) == digest_config(tiny_config(photos, "data.columns={}"))
        assert digest_config(plain) != digest_config(tiny_config(photos, "data.columns.label=Species"))
        with pytest.raises(SweepError, match=r"data\.columns can't be varied"):
            plan_grid(plain, {"data.columns": [{}]}, 1)
