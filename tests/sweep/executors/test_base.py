import os
import subprocess
import sys

import pytest

from bearcnn.errors import SweepError
from bearcnn.machine import usable_threads
from bearcnn.sweep.executors import EXECUTORS, find_executor
from bearcnn.sweep.executors.base import Resources, share_threads
from bearcnn.sweep.executors.processes import run_in_processes
from bearcnn.sweep.executors.serial import run_serially


class TestRegistry:
    """One row each: name, help, module."""

    def test_every_row_leads_to_a_context_manager(self):
        assert [row.name for row in EXECUTORS] == ["local", "ray"]
        for row in EXECUTORS:
            for workers in (1, 2):
                assert callable(find_executor(row.name, workers))

    def test_local_is_serial_or_in_processes_by_the_number_of_workers(self):
        assert find_executor("local", 1) is run_serially
        assert find_executor("local", 2) is run_in_processes

    def test_an_unknown_name_is_an_error_that_lists_the_known_ones(self):
        with pytest.raises(SweepError, match="no executor 'slurm': expected local or ray"):
            find_executor("slurm")

    @pytest.mark.slow  # starts a process
    def test_a_sweep_is_planned_and_analysed_without_anything_heavy(self):
        code = (
            "import sys; import bearcnn.sweep.run, bearcnn.sweep.executors.processes, bearcnn.sweep.executors.ray\n"
            "heavy = {'torch', 'fastai', 'matplotlib', 'pandas', 'scipy.stats', 'ray', 'optuna'}\n"
            "print(*sorted(heavy & {*sys.modules}))"
        )
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert process.stdout.split() == []


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

    def test_a_trial_gets_its_share_or_the_cpus_it_is_given(self, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert Resources().threads == 1
        assert Resources("ray", cpus=3).threads == 3
