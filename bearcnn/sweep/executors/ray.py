"""The trials of a sweep on a Ray cluster (`pip install "bearcnn[ray]"`).

Every node must have bearcnn and see the photos at the same path; this is checked on each node before any trial runs.
Each node keeps its own cache of decoded pixels. Results return to the sweep's process, which alone writes the trial
log.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bearcnn._ray import ask_nodes, connect, live_nodes
from bearcnn._version import __version__
from bearcnn.config import DataConfig
from bearcnn.errors import BearcnnError, ClusterError
from bearcnn.sweep.executors.base import Executor, Job, Photos, Resources, run_here
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
        ClusterError: the cluster can't be reached, has no room for a trial, or a node can't read the photos.
    """
    resources = job.resources
    with connect(resources.ray_address, "ray_address", "the executor ray") as ray:
        _check_nodes(ray, resources, job.data, job.fingerprint)
        task = ray.remote(_run_remotely).options(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=RETRIES)

        def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
            pending = {task.remote(trial, job.fingerprint, resources.cpus, Path.cwd()): trial for trial in trials}
            while pending:
                ready, _ = ray.wait(list(pending), num_returns=1)
                trial = pending.pop(ready[0])
                try:
                    yield ray.get(ready[0])
                except ray.exceptions.RayError as error:
                    reason = f"lost on the cluster {RETRIES + 1} times: {type(error).__name__}"
                    yield failed_result(trial, job.fingerprint, reason)

        yield Executor(run, slots=sum(_slots(node, resources) for node in live_nodes(ray)))


def _slots(node: dict[str, Any], resources: Resources) -> int:
    has = node["Resources"]
    cpus = int(has.get("CPU", 0) // max(1, resources.cpus))
    return min(cpus, int(has.get("GPU", 0) / resources.gpus)) if resources.gpus else cpus


def _check_nodes(ray: Any, resources: Resources, data: DataConfig, fingerprint: str) -> None:
    """Open the photos on every node that can run a trial, which also decodes them there."""
    nodes = [node for node in live_nodes(ray) if _slots(node, resources)]
    if not nodes:
        wanted = f"{resources.cpus} CPUs" + (f" and {resources.gpus:g} GPUs" if resources.gpus else "")
        raise ClusterError(f"no node of the Ray cluster has {wanted} for a trial; give a trial fewer CPUs or GPUs")
    problems = ask_nodes(ray, nodes, _check_here, data, fingerprint, Path.cwd(), seconds=_CHECK_SECONDS)
    if problems:
        raise ClusterError("\n".join(problems))


def _check_here(data: DataConfig, fingerprint: str, here: Path) -> str:
    """Return the reason why this node can't run trials, or an empty text."""
    _enter(here)
    if data.path and not Path(data.path).exists():
        return f"the photos are not at {data.path}; copy them there, or share the folder with every node"
    try:
        photos = Photos(fingerprint)
        photos.open(data)
    except (BearcnnError, OSError) as error:
        return f"{error} (bearcnn {__version__} there)"
    return ""


def _enter(folder: Path) -> None:
    """Go to the folder of the sweep's process, if it is on this node: paths may be relative to it."""
    with suppress(OSError):
        os.chdir(folder)


_PHOTOS: dict[str, Photos] = {}  # in a worker process of Ray, which stays for the next trial


def _run_remotely(trial: Trial, fingerprint: str, threads: int, here: Path) -> TrialResult:
    _enter(here)
    photos = _PHOTOS.setdefault(fingerprint, Photos(fingerprint))
    folder = Path(tempfile.mkdtemp(prefix="bearcnn-trial-"))
    try:
        return run_here(trial, photos, folder / trial.id, lambda epoch: None, threads)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
