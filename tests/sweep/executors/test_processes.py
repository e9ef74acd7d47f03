import os
import signal
from dataclasses import replace

import pytest
import torch

from bearcnn.sweep.executors.processes import run_in_processes
from bearcnn.sweep.executors.serial import run_serially
from bearcnn.sweep.folder import create_sweep
from bearcnn.sweep.plan import list_points, make_trials
from bearcnn.sweep.run import run_plan
from tests.helpers.processes import children
from tests.helpers.sweeps import RecordingReporter, make_job

pytestmark = pytest.mark.slow  # trains, or starts processes


class TestProcesses:
    """Several at a time, with the same results."""

    def test_give_what_one_process_gives(self, small, tmp_path, monkeypatch):
        plan, dataset, sweep = small
        monkeypatch.setenv("OMP_NUM_THREADS", "2")  # one for each
        reporter = RecordingReporter()
        with run_in_processes(make_job(sweep, plan, dataset, reporter, workers=2)) as executor:
            assert executor.slots == 2
            run_plan(sweep, plan, executor, reporter)
        assert len(reporter.started) == len(reporter.finished) == 4
        alone, threads = create_sweep(tmp_path / "alone", plan, dataset), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with run_serially(make_job(alone, plan, dataset)) as executor:
                run_plan(alone, plan, executor)
        finally:
            torch.set_num_threads(threads)
        assert {name: record.scores for name, record in sweep.records().items()} == {
            name: record.scores for name, record in alone.records().items()
        }
        assert {record.threads for record in sweep.records().values()} == {1}

    def test_a_process_that_is_killed_costs_its_trial_and_no_other_and_every_epoch_is_reported(self, small):
        plan, dataset, sweep = small
        heard = []

        class Assassin(RecordingReporter):
            def trial_started(self, trial, epochs):
                super().trial_started(trial, epochs)
                if trial == "dropout-0.5_seed-0":
                    (worker,) = children("bearcnn.workers")
                    os.kill(worker, signal.SIGKILL)

            def epoch_done(self, trial, epoch):
                heard.append((trial, epoch, len(self.finished)))

        reporter = Assassin()
        with run_in_processes(make_job(sweep, plan, dataset, reporter)) as executor:
            run_plan(sweep, plan, executor, reporter)
        statuses = {name: record.status for name, record in sweep.records().items()}
        assert statuses.pop("dropout-0.5_seed-0") == "failed"
        assert set(statuses.values()) == {"done"}
        assert "SIGKILL" in sweep.records()["dropout-0.5_seed-0"].reason
        assert [each for each in heard if each[0] != "dropout-0.5_seed-0"] == [
            (name, 1, number) for number, name in enumerate(reporter.started) if name != "dropout-0.5_seed-0"
        ], "while the trial runs"

    def test_changed_photos_fail_the_trial_with_the_reason(self, small):
        plan, dataset, sweep = small
        with run_in_processes(make_job(sweep, plan, replace(dataset, fingerprint="another"))) as executor:
            results = list(executor.run(make_trials(plan, list_points(plan))[:1]))
        assert "not those that the sweep began with" in results[0].record.reason
