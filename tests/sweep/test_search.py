import sys
from dataclasses import replace

import pytest

from bearcnn.data.dataset import Dataset
from bearcnn.errors import MissingPackageError
from bearcnn.sweep.executors.serial import run_serially
from bearcnn.sweep.folder import create_sweep
from bearcnn.sweep.plan import parse_vary, plan_grid
from bearcnn.sweep.run import run_plan
from bearcnn.sweep.search import choose_points
from tests.helpers.sweeps import make_job, tiny_config


class TestSampling:
    """Optuna chooses, the same sweep the same settings."""

    def test_tries_so_many_settings_of_the_grid_and_goes_on_where_it_was(self, photos, tmp_path):
        pytest.importorskip("optuna")
        config = tiny_config(photos, "train.epochs=1")
        vary = parse_vary(["model.pooling=max,avg,concat", "model.kernel_size=1,3,[3, 5]"])
        plan = plan_grid(config, vary, 1, sample=3)
        dataset = Dataset.from_config(config.data)
        ids = []
        for name in ("one", "two"):
            sweep = create_sweep(tmp_path / name, plan, dataset)
            with run_serially(make_job(sweep, plan, dataset)) as executor:
                if name == "two":  # stopped after the first setting
                    run_plan(sweep, replace(plan, sample=1), executor)
                run_plan(sweep, plan, executor)
            ids.append(list(sweep.records()))
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 3

    def test_learns_which_settings_are_good_and_never_repeats_one(self, photos):
        pytest.importorskip("optuna")
        values = [number / 100 for number in range(30)]
        plan = plan_grid(tiny_config(photos), {"model.dropout": values, "model.pooling": ["max", "avg"]}, 1, sample=60)
        tried = []
        while points := choose_points(plan, tried, 1):
            good = points[0].settings["model.pooling"] == "avg"
            tried.append((points[0], 0.9 if good else 0.5))
        assert len({point.key for point, _ in tried}) == len(tried) == 60
        later = [point.settings["model.pooling"] for point, _ in tried[15:30]]
        assert later.count("avg") > 10

    def test_without_optuna_it_says_what_to_install(self, photos, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(MissingPackageError, match=r"bearcnn\[optuna\]"):
            choose_points(plan_grid(tiny_config(photos), {"model.pooling": ["max", "avg"]}, 1, sample=1), [], 1)
