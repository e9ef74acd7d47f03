import json
import os
import subprocess
import sys

import pytest

from bearcnn.errors import ClusterError, MissingPackageError
from bearcnn.sweep.executors.ray import _check_here, run_on_ray
from tests.helpers.sweeps import make_job

pytestmark = pytest.mark.slow  # trains, or starts processes

RAY_SCRIPT = """
import json, os, sys, threading, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
import ray
from ray.cluster_utils import Cluster
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.sweep.executors.base import Executor
from bearcnn.sweep.executors.ray import run_on_ray
from bearcnn.sweep.plan import plan_dropout
from bearcnn.sweep.folder import create_sweep
from bearcnn.sweep.run import run_plan
from tests.helpers.sweeps import make_job

photos, out, kill = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "kill"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
config = load_config(None, [f"data.path={photos}", "data.image_size=16", "model.widths=[4, 8]",
                            "train.batch_size=8", "train.epochs=40"])
plan = plan_dropout(config, "head", [0, 0.5], 3)
dataset = Dataset.from_config(config.data)
sweep = create_sweep(out, plan, dataset)
hosts = []
job = make_job(sweep, plan, dataset, executor="ray", ray_address=cluster.address)
with run_on_ray(job) as executor:
    def counting(trials):
        for result in executor.run(trials):
            if kill and not hosts:
                cluster.remove_node(second, allow_graceful=False)  # in the middle of its trial
            hosts.append(result.record.id)
            yield result
    run_plan(sweep, plan, Executor(counting, executor.slots))
cluster.shutdown()
print("RESULT", json.dumps({"slots": executor.slots, "order": hosts}))
"""


class TestRay:
    """A real cluster of two nodes on this computer."""

    def run_script(self, photos, out, kill):
        pytest.importorskip("ray")
        process = subprocess.run(
            [sys.executable, "-c", RAY_SCRIPT, str(photos), str(out), kill],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.rpartition("RESULT ")[2])

    def test_a_node_that_dies_midway_loses_no_trial(self, photos, tmp_path):
        result = self.run_script(photos, tmp_path / "s", "kill")
        assert result["slots"] == 2
        lines = (tmp_path / "s" / "trial_log.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        assert sorted(record["id"] for record in records) == sorted(
            f"dropout-{rate}_seed-{seed}" for rate in ("0", "0.5") for seed in (0, 1, 2)
        )
        assert {record["status"] for record in records} == {"done"}

    def test_a_cluster_that_is_not_there_is_one_clear_line(self, small):
        pytest.importorskip("ray")
        plan, dataset, sweep = small
        job = make_job(sweep, plan, dataset, executor="ray", ray_address="127.0.0.1:1")
        with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"), run_on_ray(job):
            pass

    def test_without_ray_it_says_what_to_install(self, small, monkeypatch):
        plan, dataset, sweep = small
        monkeypatch.setitem(sys.modules, "ray", None)
        job = make_job(sweep, plan, dataset, executor="ray")
        with pytest.raises(MissingPackageError, match=r"bearcnn\[ray\]"), run_on_ray(job):
            pass

    def test_a_node_says_what_it_can_not_read(self, small, tmp_path):
        plan, dataset, _ = small
        assert _check_here(plan.config.data, dataset.fingerprint, tmp_path) == ""
        elsewhere = plan.config.data.model_copy(update={"path": str(tmp_path / "not here")})
        assert "the photos are not at" in _check_here(elsewhere, dataset.fingerprint, tmp_path)
        assert "not those that the sweep began with" in _check_here(plan.config.data, "another", tmp_path)
