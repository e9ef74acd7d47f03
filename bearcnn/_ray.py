"""Ray's preparation: connecting to a cluster, and asking its nodes (`pip install "bearcnn[ray]"`).

Ray's usage statistics are turned off: bearcnn sends no data to anyone.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from bearcnn.errors import ClusterError
from bearcnn.optional import load_optional

INSTALL = '{what} needs Ray: pip install "bearcnn[ray]", on every node of the cluster'


@contextmanager
def connect(address: str, option: str, what: str) -> Iterator[Any]:
    """Connect to a Ray cluster and give the module `ray`; disconnect at the end.

    Ray puts the current folder of this moment before the standard library on its workers' module path: a file
    `queue.py` beside somebody's photos would run. So it is bearcnn's own folder, and workers need absolute paths.

    Args:
        address: host:port or "auto"; empty for a new cluster on this computer, which is stopped at the end.
        option: the parameter that holds the address, for the error.
        what: needs Ray, for the error.

    Raises:
        MissingPackageError: Ray isn't installed.
        ClusterError: the cluster can't be reached.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming default; without it Ray warns
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # Ray prints what happens to nodes on stdout, between rows
    ray: Any = load_optional("ray", INSTALL.format(what=what))
    _check_address(address, option)
    try:
        with chdir(Path(__file__).parents[1]):
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level="ERROR",
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this computer"
        reason = " ".join(str(error).split())[:200]
        raise ClusterError(f"can't connect to {where}: {reason}; check `{option}`") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str, option: str) -> None:
    """Check that a server answers at host:port; Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # a name such as "auto", which Ray looks up
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError as error:
        reason = error.strerror or error
        raise ClusterError(f"no Ray cluster answers at {address} ({reason}); check `{option}`") from None


def live_nodes(ray: Any) -> list[dict[str, Any]]:
    """List the nodes of the cluster that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def only_on(ray: Any, node_id: str) -> Any:
    """Return the scheduling strategy of what must run on one node."""
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)


def ask_nodes(
    ray: Any, nodes: Sequence[dict[str, Any]], check: Callable[..., str], *arguments: object, seconds: float
) -> list[str]:
    """Call a function on each node, all at once, and list the problems that it returns, with the nodes' names.

    An empty text is no problem. A node that doesn't answer in time, or is lost, is one.
    """
    remote = ray.remote(check)
    answers = {}
    for node in nodes:
        options = {"num_cpus": 0, "scheduling_strategy": only_on(ray, node["NodeID"]), "max_retries": 0}
        answers[node["NodeManagerAddress"], node["NodeID"]] = remote.options(**options).remote(*arguments)
    deadline = time.monotonic() + seconds
    problems = []
    for (address, node_id), answer in answers.items():
        try:
            problem = ray.get(answer, timeout=max(1.0, deadline - time.monotonic()))
        except ray.exceptions.RayError as error:
            problem = " ".join(str(error).split())[-300:]
        if problem:
            problems.append(f"node {address} ({node_id[:8]}): {problem}")
    return problems
