"""A real Ray cluster of two nodes with one core each, on this computer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("killed", flush=True)
cluster.shutdown()
"""

FATAL = "fatal.png"
"""A photo of this name ends the process that opens it, on either node."""

_HOOK = f"""
import os, sys
sys.addaudithook(lambda event, given: event == "open" and str(given[0]).endswith("{FATAL}") and os._exit(7))
"""


@dataclass(frozen=True)
class TwoNodes:
    """A running cluster."""

    address: str
    process: "subprocess.Popen[str]"

    def kill_second(self) -> None:
        """Kill the node that the driver isn't on, and wait until it is dead."""
        assert self.process.stdin and self.process.stdout
        print("kill", file=self.process.stdin, flush=True)
        assert "killed" in self.process.stdout.readline()


@contextmanager
def two_nodes(folder: Path) -> Iterator[TwoNodes]:
    """Start a cluster, and stop it at the end."""
    (folder / "sitecustomize.py").write_text(_HOOK)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin and process.stdout
        try:
            yield TwoNodes(process.stdout.readline().strip(), process)
        finally:
            process.stdin.close()


def running_chunks() -> int:
    """Count the processes that answer photos: Ray shows in a process's title what it does."""
    titles = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            titles.append((process / "cmdline").read_bytes())
        except OSError:  # it has ended
            continue
    return sum(title.startswith(b"ray::Map(_answer_chunk)") for title in titles)
