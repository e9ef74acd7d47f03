"""The trials of a sweep on a Ray cluster (`pip install "bearcnn[ray]"`).

Every node must have bearcnn and see the photos at the same path; this is checked on each node before any trial runs.
Each node keeps its own cache of decoded pixels. Results return to the sweep's process, which alone writes the trial
log. Ray's usage statistics are turned off: bearcnn sends no data to anyone.
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

from bearcnn._version import __version__
from bearcnn.config import DataConfig
from bearcnn.errors import BearcnnError, SweepError
from bearcnn.sweep.executors.base import Executor, Job, Photos, Resources, run_here
from bearcnn.sweep.optional import load_optional
from bearcnn.sweep.plan import Trial
from bearcnn.sweep.trial_log import TrialResult, failed_result

RETRIES = 3
"""The number of times that a trial runs again after the loss of its process or node."""

_CHECK_SECONDS = 1800.0
"""The time limit of a node for opening the photos; the first time it decodes them."""


@contextmanager
def run_on_ray(job: Job) -> Iterator[Executor]:
    """Run as many trials at a time as the cluster has room for; a lost worker's trial runs again elsewhere.

    Ray decides when a trial runs: the reporter is called only when a trial is finished.

    Raises:
        MissingPackageError: Ray isn't installed.
        SweepError: the cluster can't be reached, has no room for a trial, or a node can't read the photos.
    """
    resources = job.resources
    ray = _connect(resources)
    try:
        _check_nodes(ray, resources, job.data, job.fingerprint)
        task = ray.remote(_run_remotely).options(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=RETRIES)

        def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
            pending = {task.remote(trial, job.fingerprint, resources.cpus): trial for trial in trials}
            while pending:
                ready, _ = ray.wait(list(pending), num_returns=1)
                trial = pending.pop(ready[0])
                try:
                    yield ray.get(ready[0])
                except ray.exceptions.RayError as error:
                    reason = f"lost on the cluster {RETRIES + 1} times: {type(error).__name__}"
                    yield failed_result(trial, job.fingerprint, reason)

        yield Executor(run, slots=sum(_slots(node, resources) for node in ray.nodes() if node["Alive"]))
    finally:
        ray.shutdown()


def _connect(resources: Resources) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming default; without it Ray warns
    ray: Any = load_optional(
        "ray", 'the executor ray needs Ray: pip install "bearcnn[ray]", on every node of the cluster'
    )
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
        raise SweepError(f"can't connect to {where}: {reason}; check `ray_address`") from None
    return ray


def _check_address(address: str) -> None:
    """Check that a server answers at host:port; Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # a name such as "auto", which Ray looks up
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError as error:
        reason = error.strerror or error
        raise SweepError(f"no Ray cluster answers at {address} ({reason}); check `ray_address`") from None


def _slots(node: dict[str, Any], resources: Resources) -> int:
    has = node["Resources"]
    cpus = int(has.get("CPU", 0) // max(1, resources.cpus))
    return min(cpus, int(has.get("GPU", 0) / resources.gpus)) if resources.gpus else cpus


def _check_nodes(ray: Any, resources: Resources, data: DataConfig, fingerprint: str) -> None:
    """Open the photos on every node that can run a trial, which also decodes them there."""
    nodes = [node for node in ray.nodes() if node["Alive"] and _slots(node, resources)]
    if not nodes:
        wanted = f"{resources.cpus} CPUs" + (f" and {resources.gpus:g} GPUs" if resources.gpus else "")
        raise SweepError(f"no node of the Ray cluster has {wanted} for a trial; give a trial fewer CPUs or GPUs")
    check = ray.remote(_check_here)
    answers = {}
    for node in nodes:
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
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
    """Return the reason why this node can't run trials, or an empty text."""
    if data.path and not Path(data.path).exists():
        return f"the photos are not at {data.path}; copy them there, or share the folder with every node"
    try:
        photos = Photos(fingerprint)
        photos.open(data)
    except (BearcnnError, OSError) as error:
        return f"{error} (bearcnn {__version__} there)"
    return ""


_PHOTOS: dict[str, Photos] = {}  # in a worker process of Ray, which stays for the next trial


def _run_remotely(trial: Trial, fingerprint: str, threads: int) -> TrialResult:
    photos = _PHOTOS.setdefault(fingerprint, Photos(fingerprint))
    folder = Path(tempfile.mkdtemp(prefix="bearcnn-trial-"))
    try:
        return run_here(trial, photos, folder / trial.id, lambda epoch: None, threads)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
