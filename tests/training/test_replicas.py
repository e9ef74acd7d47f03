"""Training with replicas: real processes, and the same weights to the bit without them."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from fastai.callback.core import Callback

import bearcnn
from bearcnn import replica_start
from bearcnn.machine import usable_cpus
from bearcnn.runs import create_run
from bearcnn.training import replicas as replicas_module
from bearcnn.training.checkpoint import last_file
from bearcnn.training.fit import fit
from bearcnn.training.replica_process import ReplicaProcess
from bearcnn.training.replicas import ReplicaPool, Replicas, choose_replicas
from tests.helpers.training import Recorder, StopAfter, small_config

pytestmark = pytest.mark.slow  # trains, or starts processes

IN_TWO = ("train.replicas=2", "train.epochs=3", "train.subclasses=true", "model.conv_dropout=0.1")


class Watch(Callback):
    """Waits for a fit's replicas before epoch 2, does something in its third step, and counts who computed."""

    def __init__(self, in_step: object = None, waits: bool = True) -> None:
        super().__init__()
        self.in_step, self.waits, self.joined = in_step, waits, []

    def before_epoch(self) -> None:
        if self.epoch != 1 or not self.waits:
            return
        end = time.monotonic() + 60
        while not all(replica.ready or replica.lost for replica in self.replicas._pool.processes):
            assert time.monotonic() < end, "a replica isn't ready after a minute"
            time.sleep(0.05)

    def before_batch(self) -> None:
        if self.training and self.epoch == 1 and self.iter == 2 and self.in_step:
            self.in_step(self.replicas)

    def after_train(self) -> None:
        self.joined.append(len(self.replicas._joined) if self.replicas._sliced else None)


class Sentences(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.warnings = []

    def warn(self, what):
        self.warnings.append(what)


@pytest.fixture(scope="module")
def dataset(trained):
    return trained[1]


@pytest.fixture(scope="module")
def alone(photos, dataset, tmp_path_factory):
    """The end of a run in two slices by this process alone."""
    run = create_run(tmp_path_factory.mktemp("alone") / "run", small_config(photos, *IN_TWO))
    reporter = Recorder()
    fit(run, dataset, reporter=reporter)
    return last_file(run).read_bytes(), reporter.records


def same_training(run, records, alone) -> None:
    """The checkpoint has weights and optimizer; seconds and speed differ from run to run."""
    from safetensors import safe_open

    other = run.directory / "alone"
    other.write_bytes(alone[0])
    with safe_open(last_file(run), "pt") as left, safe_open(other, "pt") as right:
        assert set(left.keys()) == set(right.keys())
        for name in left.keys():  # noqa: SIM118 - it isn't a dict
            assert torch.equal(left.get_tensor(name), right.get_tensor(name)), name
    for got, expected in zip(records, alone[1], strict=True):
        assert (got.train_loss, got.valid_loss, got.roc_auc) == (
            expected.train_loss,
            expected.valid_loss,
            expected.roc_auc,
        )


@pytest.fixture(scope="module")
def pool():
    """A pool with one replica, which takes seconds to start."""
    with ReplicaPool() as pool:
        pool.processes.append(ReplicaProcess())
        yield pool


def fit_with_replica(photos, dataset, folder, monkeypatch, watch, pool=None):
    if usable_cpus() < 2:
        pytest.skip("one core")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(replicas_module, "_MEASURED_STEPS", 0)
    monkeypatch.setattr(replicas_module, "_START_SECONDS", 0.0)
    run = create_run(folder / "run", small_config(photos, *IN_TWO))
    reporter = Sentences()
    before = torch.get_num_threads()
    fit(run, dataset, reporter=reporter, cbs=[watch], pool=pool)
    assert torch.get_num_threads() == before
    return run, reporter


def test_a_replica_joins_and_changes_no_bit_beside_a_busy_program(photos, dataset, alone, tmp_path, monkeypatch, pool):
    early, _ = fit_with_replica(photos, dataset, tmp_path / "early", monkeypatch, Watch(waits=False), pool)
    same_training(early, early.history(), alone)  # it ended before the replica was ready, which is now for the next
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        watch = Watch()
        run, reporter = fit_with_replica(photos, dataset, tmp_path, monkeypatch, watch, pool)
        busy.kill()
    assert watch.joined[1:] == [1, 1]
    assert not reporter.warnings
    same_training(run, reporter.records, alone)


@pytest.fixture
def one_core():
    """One core for this process, as `taskset` gives it, and one thread of torch more than elsewhere."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(threads + 1)
    yield
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(threads)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the cores of a process are Linux's")
@pytest.mark.parametrize("cores", [2, 1])
def test_ctrl_c_and_resume_come_to_the_same_bits_on_fewer_cores_too(
    photos, dataset, alone, tmp_path, monkeypatch, pool, request, cores
):
    run = create_run(tmp_path / "run", small_config(photos, *IN_TWO))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    fit(run, dataset, reporter=StopAfter(1), pool=pool)
    if cores == 1:
        request.getfixturevalue("one_core")
    listener = Sentences()
    fit(run, dataset, resume=True, pool=pool if cores == 2 else None, reporter=listener)
    assert not listener.warnings, "nothing changes the bits"
    same_training(run, run.history(), alone)


def test_a_replica_s_own_error_keeps_its_traceback(photos, dataset, tmp_path, monkeypatch, pool):
    watch = Watch(lambda replicas: replicas._joined[0].send("epoch", "no number"))
    with pytest.raises(RuntimeError, match=r"a replica failed:\nTraceback[\s\S]*start_epoch"):
        fit_with_replica(photos, dataset, tmp_path, monkeypatch, watch, pool)


def test_a_killed_replica_is_told_of_and_changes_no_bit(photos, dataset, alone, tmp_path, monkeypatch):
    watch = Watch(lambda replicas: os.kill(replicas._joined[0].started.process.pid, signal.SIGKILL))
    run, reporter = fit_with_replica(photos, dataset, tmp_path, monkeypatch, watch)
    assert watch.joined[2] == 0
    assert reporter.warnings == ["a process of the training run was ended by something else; it goes on with one less"]
    same_training(run, reporter.records, alone)


def test_the_learner_of_a_notebook_comes_to_the_same_bits(photos, dataset, alone):
    learn = bearcnn.build_learner(small_config(photos, *IN_TWO), dataset)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(3)
    assert learn.recorder.values[-1][1] == pytest.approx(alone[1][-1].valid_loss, abs=1e-6)


def test_a_callback_that_may_change_batches_gets_whole_ones(photos, dataset):
    class Sizes(Callback):
        seen = ()

        def before_batch(self) -> None:
            self.seen = {*self.seen, len(self.x)}

    learn = bearcnn.build_learner(small_config(photos, *IN_TWO), dataset)
    sizes = Sizes()
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=sizes)
    assert 8 in sizes.seen
    assert 4 not in sizes.seen


def test_a_loss_that_is_no_number_ends_the_run(photos, dataset, tmp_path):
    run = create_run(tmp_path / "run", small_config(photos, *IN_TWO, "train.lr=10", "train.weight_decay=0"))

    class Spoil(Callback):
        def before_batch(self) -> None:
            if self.training and self.iter == 1:
                self.model.head.bias.data.fill_(float("nan"))

    with pytest.raises(bearcnn.BearcnnError, match="not a number in epoch 1"):
        fit(run, dataset, cbs=[Spoil()])


def test_auto_is_a_slice_for_each_core_of_at_least_eight_photos(photos, monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(replica_start, "usable_cpus", lambda: 4)
    config = small_config(photos)
    assert [choose_replicas(small_config(photos, f"train.batch_size={size}"), cpu) for size in (8, 16, 64)] == [1, 2, 4]
    assert choose_replicas(small_config(photos, "train.replicas=3"), cpu) == 3
    assert choose_replicas(config, torch.device("cuda")) == 1
    assert choose_replicas(small_config(photos, "model.body=efficientnet_lite0", "train.batch_size=64"), cpu) == 1


def test_a_replica_ends_with_the_training_process(tmp_path):
    code = (
        "import os, time\nfrom bearcnn.training.replica_process import ReplicaProcess\n"
        "print(ReplicaProcess().started.process.pid, flush=True)\ntime.sleep(60)"
    )
    training = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with training:
        replica = int(training.stdout.readline())
        training.kill()
    end = time.monotonic() + 60
    while state := subprocess.run(["ps", "-o", "stat=", "-p", str(replica)], capture_output=True, text=True).stdout:
        if state.startswith("Z"):  # nobody collects it, but it has ended
            break
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.3)


def test_a_cut_run_says_its_number_of_slices(trained):
    assert trained[0].config().train.replicas == 1
    assert isinstance(Replicas(trained[0].config(), 1), Callback)


def test_a_long_run_has_its_replica_before_torch_is_loaded(photos, monkeypatch):
    if usable_cpus() < 2:
        pytest.skip("one core")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    config = small_config(photos, *IN_TWO)
    replica_start.start_ahead(config, photos=100, epochs=3)
    assert not replica_start.take_started(), "a short run needs none"
    with ReplicaPool() as none:
        assert not none.processes
    replica_start.start_ahead(config, photos=1_000_000, epochs=3)
    with ReplicaPool() as pool:
        (replica,) = pool.processes
        assert replica.started.process.poll() is None
    assert replica.started.process.poll() is not None
    assert not replica_start.take_started(), "another run starts its own"
