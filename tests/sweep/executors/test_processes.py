import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from bearcnn.data.dataset import Dataset
from bearcnn.errors import MissingPackageError, SweepError
from bearcnn.sweep.executors.processes import (
    Resources,
    in_processes,
    in_this_process,
    open_engine,
    share_threads,
    usable_threads,
)
from bearcnn.sweep.folder import create_sweep, run_sweep
from bearcnn.sweep.plan import list_cells, make_trials, plan_dropout, plan_grid
from tests.helpers.sweeps import Quiet, tiny_config


@pytest.fixture
def small(photos, tmp_path):
    """A sweep of two rates and two seeds of one epoch, not yet run."""
    plan = plan_dropout(tiny_config(photos, "train.epochs=1"), "head", [0, 0.5], 2)
    dataset = Dataset.from_config(plan.config.data)
    return plan, dataset, create_sweep(tmp_path / "s", plan, dataset)


class TestThreads:
    @pytest.mark.parametrize(
        ("threads", "workers", "shares"), [(2, 2, [1, 1]), (8, 3, [3, 3, 2]), (2, 3, [1, 1, 1]), (16, 1, [16])]
    )
    def test_are_shared_out_fairly(self, threads, workers, shares):
        assert share_threads(threads, workers) == shares

    def test_the_user_may_allow_fewer(self, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert usable_threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
        assert usable_threads() == len(os.sched_getaffinity(0))


class TestProcesses:
    """Several at a time, with the same results."""

    def test_give_what_one_process_gives(self, small, tmp_path, monkeypatch):
        plan, dataset, sweep = small
        monkeypatch.setenv("OMP_NUM_THREADS", "2")  # one for each
        watcher = Quiet()
        with in_processes(sweep, dataset.fingerprint, 2, watcher) as engine:
            run_sweep(sweep, plan, engine, watcher, 2)
        assert len(watcher.started) == len(watcher.finished) == 4
        alone, threads = create_sweep(tmp_path / "alone", plan, dataset), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with in_this_process(alone, dataset, plan.config.data, Quiet()) as engine:
                run_sweep(alone, plan, engine, Quiet(), 1)
        finally:
            torch.set_num_threads(threads)
        assert {name: record.scores for name, record in sweep.records().items()} == {
            name: record.scores for name, record in alone.records().items()
        }
        assert {record.threads for record in sweep.records().values()} == {1}

    def test_a_process_that_is_killed_costs_its_trial_and_no_other(self, small):
        plan, dataset, sweep = small

        class Assassin(Quiet):
            def trial_started(self, trial, epochs):
                super().trial_started(trial, epochs)
                if trial == "dropout-0.5_seed-0":
                    (worker,) = multiprocessing.active_children()
                    worker.kill()

        watcher = Assassin()
        with in_processes(sweep, dataset.fingerprint, 1, watcher) as engine:
            run_sweep(sweep, plan, engine, watcher, 1)
        statuses = {name: record.status for name, record in sweep.records().items()}
        assert statuses.pop("dropout-0.5_seed-0") == "failed"
        assert set(statuses.values()) == {"done"}
        assert "SIGKILL" in sweep.records()["dropout-0.5_seed-0"].reason

    def test_changed_photos_fail_the_trial_with_the_reason(self, small):
        plan, _, sweep = small
        with in_processes(sweep, "another fingerprint", 1, Quiet()) as engine:
            results = list(engine(make_trials(plan, list_cells(plan))[:1]))
        assert "not those that the sweep began with" in results[0].record.reason


class TestSampling:
    """Optuna chooses, the same sweep the same settings."""

    def test_tries_so_many_settings_of_the_grid_and_goes_on_where_it_was(self, photos, tmp_path):
        pytest.importorskip("optuna")
        config = tiny_config(photos, "train.epochs=1")
        vary = ["model.pooling=max,avg,concat", "model.kernel_size=1,3,[3, 5]"]
        plan = plan_grid(config, vary, 1, sample=3)
        dataset = Dataset.from_config(config.data)
        ids = []
        for name in ("one", "two"):
            sweep = create_sweep(tmp_path / name, plan, dataset)
            with in_this_process(sweep, dataset, plan.config.data, Quiet()) as engine:
                if name == "two":  # broken off after the first setting
                    run_sweep(sweep, replace(plan, sample=1), engine, Quiet(), 1)
                run_sweep(sweep, plan, engine, Quiet(), 1)
            ids.append(list(sweep.records()))
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 3

    def test_learns_which_settings_are_good_and_never_repeats_one(self, photos):
        pytest.importorskip("optuna")
        from bearcnn.sweep.search import choose_cells

        values = ",".join(str(number / 100) for number in range(30))
        plan = plan_grid(tiny_config(photos), [f"model.dropout={values}", "model.pooling=max,avg"], 1, sample=60)
        tried = []
        while cells := choose_cells(plan, tried, 1):
            good = cells[0].settings["model.pooling"] == "avg"
            tried.append((cells[0], 0.9 if good else 0.5))
        assert len({cell.key for cell, _ in tried}) == len(tried) == 60
        later = [cell.settings["model.pooling"] for cell, _ in tried[15:30]]
        assert later.count("avg") > 10

    def test_without_optuna_it_says_what_to_install(self, photos, monkeypatch):
        from bearcnn.sweep.search import choose_cells

        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(MissingPackageError, match=r"bearcnn\[optuna\]"):
            choose_cells(plan_grid(tiny_config(photos), ["model.pooling=max,avg"], 1, sample=1), [], 1)


RAY_SCRIPT = """
import json, os, sys, threading, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
import ray
from ray.cluster_utils import Cluster
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.sweep.executors.processes import Resources, open_engine
from bearcnn.sweep.plan import plan_dropout
from bearcnn.sweep.folder import create_sweep, run_sweep
from tests.helpers.sweeps import Quiet

photos, out, kill = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "kill"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
config = load_config(None, [f"data.path={photos}", "data.image_size=16", "model.widths=[4, 8]",
                            "train.batch_size=8", "train.epochs=40"])
plan = plan_dropout(config, "head", [0, 0.5], 3)
dataset = Dataset.from_config(config.data)
sweep = create_sweep(out, plan, dataset)
watcher = Quiet()
hosts = []
resources = Resources("ray", ray_address=cluster.address)
with open_engine(resources, sweep, dataset, config.data, watcher) as (engine, slots):
    def counting(trials):
        for result in engine(trials):
            if kill and not hosts:
                cluster.remove_node(second, allow_graceful=False)  # in the middle of its trial
            hosts.append(result.record.id)
            yield result
    run_sweep(sweep, plan, counting, watcher, slots)
cluster.shutdown()
print("RESULT", json.dumps({"slots": slots, "order": hosts}))
"""


class TestRay:
    """A real cluster of two nodes on this computer."""

    def run_script(self, photos, out, kill):
        pytest.importorskip("ray")
        process = subprocess.run(
            [sys.executable, "-c", RAY_SCRIPT, str(photos), str(out), kill],
            capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.rpartition("RESULT ")[2])

    def test_a_node_that_dies_midway_loses_no_trial(self, photos, tmp_path):
        result = self.run_script(photos, tmp_path / "s", "kill")
        assert result["slots"] == 2
        lines = (tmp_path / "s" / "ledger.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        assert sorted(record["id"] for record in records) == sorted(
            f"dropout-{rate}_seed-{seed}" for rate in ("0", "0.5") for seed in (0, 1, 2)
        )
        assert {record["status"] for record in records} == {"done"}

    def test_a_cluster_that_is_not_there_is_one_clear_line(self, small):
        pytest.importorskip("ray")
        plan, dataset, sweep = small
        resources = Resources("ray", ray_address="127.0.0.1:1")
        with (
            pytest.raises(SweepError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"),
            open_engine(resources, sweep, dataset, plan.config.data, Quiet()),
        ):
            pass

    def test_without_ray_it_says_what_to_install(self, small, monkeypatch):
        plan, dataset, sweep = small
        monkeypatch.setitem(sys.modules, "ray", None)
        with (
            pytest.raises(MissingPackageError, match=r"bearcnn\[ray\]"),
            open_engine(Resources("ray"), sweep, dataset, plan.config.data, Quiet()),
        ):
            pass

    def test_a_node_says_what_it_can_not_read(self, small, tmp_path):
        from bearcnn.sweep.executors.ray import _check_here

        plan, dataset, _ = small
        assert _check_here(plan.config.data, dataset.fingerprint) == ""
        elsewhere = plan.config.data.model_copy(update={"path": str(tmp_path / "not here")})
        assert "the photos are not at" in _check_here(elsewhere, dataset.fingerprint)
        assert "not those that the sweep began with" in _check_here(plan.config.data, "another")
