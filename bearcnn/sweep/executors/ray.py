"""The trials of a sweep on a Ray cluster (`pip install "bearcnn[ray]"`).

Every node must have bearcnn and see the photos at the same path; that is asked of each node before anything runs. Each
keeps its own cache of decoded pixels, and results travel back to the sweep's own process, which alone writes the
ledger. Ray's usage statistics are turned off: bearcnn phones no one.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bearcnn
from bearcnn.config import DataConfig
from bearcnn.errors import BearcnnError, MissingPackageError, SweepError
from bearcnn.sweep.executors.processes import Photos, Resources, lost_trial, run_here
from bearcnn.sweep.folder import Engine, TrialResult
from bearcnn.sweep.plan import Trial

RETRIES = 3
"""Times that a trial runs again when its process or its whole node is lost."""

_CHECK_SECONDS = 1800.0
"""How long a node may take to open the photos; the first time it has to decode them."""


@contextmanager
def on_ray(resources: Resources, data: DataConfig, fingerprint: str) -> Iterator[Engine]:
    """As many trials at a time as the cluster has room for; a lost worker's trial runs again elsewhere.

    Which of them are under way is Ray's business: the sweep hears of a trial when it is finished.

    Raises:
        MissingPackageError: Ray isn't installed.
        SweepError: the cluster can't be reached, has no room for a trial, or a node can't read the photos.
    """
    ray = _connect(resources)
    try:
        _check_nodes(ray, resources, data, fingerprint)
        task = ray.remote(_run_remotely).options(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=RETRIES)

        def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
            pending = {task.remote(trial, fingerprint, resources.cpus): trial for trial in trials}
            while pending:
                ready, _ = ray.wait(list(pending), num_returns=1)
                trial = pending.pop(ready[0])
                try:
                    yield ray.get(ready[0])
                except ray.exceptions.RayError as error:
                    reason = f"lost on the cluster {RETRIES + 1} times: {type(error).__name__}"
                    yield lost_trial(trial, fingerprint, reason)

        yield run
    finally:
        ray.shutdown()


def count_slots(resources: Resources) -> int:
    """How many trials the cluster that is connected runs at a time."""
    import ray

    return sum(_slots(node, resources) for node in ray.nodes() if node["Alive"])


def _connect(resources: Resources) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming default; without it Ray warns
    try:
        import ray
    except ImportError:
        raise MissingPackageError(
            '--engine ray needs Ray: pip install "bearcnn[ray]", on every node of the cluster'
        ) from None
    _check_address(resources.ray_address)
    try:
        ray.init(
            address=resources.ray_address or "local", include_dashboard=None if resources.ray_address else False,
            log_to_driver=False, logging_level="ERROR",
        )  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = (
            f"the Ray cluster at {resources.ray_address}" if resources.ray_address else "a Ray cluster on this computer"
        )
        reason = " ".join(str(error).split())[:200]
        raise SweepError(f"can't connect to {where}: {reason}; check --ray-address") from None
    return ray


def _check_address(address: str) -> None:
    """Whether anyone answers at host:port; Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # a name such as "auto", which Ray looks up
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError as error:
        reason = error.strerror or error
        raise SweepError(f"no Ray cluster answers at {address} ({reason}); check --ray-address") from None


def _slots(node: dict[str, Any], resources: Resources) -> int:
    has = node["Resources"]
    cpus = int(has.get("CPU", 0) // max(1, resources.cpus))
    return min(cpus, int(has.get("GPU", 0) / resources.gpus)) if resources.gpus else cpus


def _check_nodes(ray: Any, resources: Resources, data: DataConfig, fingerprint: str) -> None:
    """Every node that can run a trial opens the photos, which also decodes them there before the clock runs."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and _slots(node, resources)]
    if not nodes:
        wanted = f"{resources.cpus} CPUs" + (f" and {resources.gpus:g} GPUs" if resources.gpus else "")
        raise SweepError(f"no node of the Ray cluster has {wanted} for a trial; ask for less")
    check = ray.remote(_check_here)
    answers = {}
    for node in nodes:
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": here, "max_retries": 0}
        answers[node["NodeManagerAddress"], node["NodeID"]] = check.options(**options).remote(data, fingerprint)
    deadline = time.monotonic() + _CHECK_SECONDS
    problems = []
    for (address, node_id), answer in answers.items():
        try:
            problem = ray.get(answer, timeout=max(1.0, deadline - time.monotonic()))
        except ray.exceptions.RayError as error:
            problem = " ".join(str(error).split())[-300:]
        if problem:
            problems.append(f"node {address} ({node_id[:8]}): {problem}")
    if problems:
        raise SweepError("\n".join(problems))


def _check_here(data: DataConfig, fingerprint: str) -> str:
    """What keeps this node from running trials; empty if nothing does."""
    if data.path and not Path(data.path).is_dir():
        return f"the photos are not at {data.path}; put them there, or share the folder with every node"
    try:
        photos = Photos(fingerprint)
        photos.open(data)
    except (BearcnnError, OSError) as error:
        return f"{error} (bearcnn {bearcnn.__version__} there)"
    return ""


_PHOTOS: dict[str, Photos] = {}  # in a worker process of Ray, which stays for the next trial


def _run_remotely(trial: Trial, fingerprint: str, threads: int) -> TrialResult:
    import bearcnn._torch  # noqa: F401

    # isort: split
    import torch

    torch.set_num_threads(threads)
    photos = _PHOTOS.setdefault(fingerprint, Photos(fingerprint))
    folder = Path(tempfile.mkdtemp(prefix="bearcnn-trial-"))
    try:
        return run_here(trial, photos, folder / trial.id, lambda epoch: None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
