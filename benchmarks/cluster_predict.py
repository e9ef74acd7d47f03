"""Photos predicted on a Ray cluster of two nodes, one of which is killed midway, beside this computer alone.

    python benchmarks/cluster_predict.py [--photos 2400] [--data SMALL_PHOTOS] [--body efficientnet_lite0]

Both nodes are on this computer, with one core each. This shows that no row is lost or comes twice, that the order stays
and the bytes are the same; a cluster on one computer can't be faster than the computer. Every 50th photo is cut off.
Linux only, with `pip install "bearcnn[ray]"`.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cold_predict import FRESH_MODEL, add_body, name_body
from measure import Sample, alternate, arguments, finish, in_own_process, middle, share, time_process
from pictures import multiply, small_photos

CLUSTER = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
if sys.stdin.readline():
    cluster.remove_node(second, allow_graceful=False)
    print("killed", flush=True)
    sys.stdin.readline()
cluster.shutdown()
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=1)
    parser.add_argument("--photos", type=int, default=2400, help="how many")
    add_body(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, photos = folder / "fresh.onnx", folder / "photos"
        time_process([sys.executable, "-c", FRESH_MODEL, str(model), options.body])
        for file in in_own_process(multiply, small_photos(folder, options.data), options.photos, photos)[::50]:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        command = [sys.executable, "-m", "bearcnn", "predict", str(photos), "--model", str(model), "--format", "jsonl"]
        sides = {
            "this computer": partial(_predict, command),
            "two nodes": partial(_predict_on_cluster, command, None),
            "two nodes, one killed midway": partial(_predict_on_cluster, command, options.photos // 3),
        }
        samples = alternate(sides, options.rounds, warm_up=False)
    expected = samples["this computer"][0].values["rows"]
    unreadable = sum(json.loads(row)["error"] is not None for row in expected)
    lines = [f"{len(expected)} rows, {unreadable} of them unreadable photos"]
    for side, found in samples.items():
        seconds = middle([sample.seconds for sample in found], "s", 1)
        differences = [_compare(sample.values["rows"], expected) for sample in found]
        lines.append(f"{side:28} {seconds}; {'; '.join(differences)}")
        if "running" in found[0].values:
            lines[-1] += f"; chunks running before and after the kill: {found[0].values['running']}"
    lines.append(f"two nodes reach {share(*(_speeds(samples[side]) for side in list(sides)[1::-1]))} of this computer")
    for sample in [sample for found in samples.values() for sample in found]:
        sample.values["rows"] = len(sample.values["rows"])
    name, words = name_body("cluster_predict", options.body)
    finish(f"{options.photos} photos on two nodes{words}", options.out / f"{name}.json", lines, samples)


def _speeds(samples: list[Sample]) -> list[float]:
    return [1 / sample.seconds for sample in samples]


def _compare(rows: list[str], expected: list[str]) -> str:
    """Say in what the rows of a run differ from those of this computer alone."""
    if rows == expected:
        return "the same bytes"
    paths, wanted = ([json.loads(row)["path"] for row in side] for side in (rows, expected))
    order = "kept" if paths == wanted else "NOT KEPT"
    lost, twice, other = len(set(wanted) - set(paths)), len(paths) - len(set(paths)), len(set(rows) - set(expected))
    return f"{lost} rows LOST, {twice} TWICE, {other} DIFFERENT, order {order}"


def _predict(command: list[str]) -> Sample:
    start = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    _check(process.returncode, process.stderr)
    return Sample(time.perf_counter() - start, values={"rows": process.stdout.splitlines()})


def _predict_on_cluster(command: list[str], kill_at: int | None) -> Sample:
    """Predict on a new cluster, and kill a node when so many rows are there."""
    values: dict[str, Any] = {"rows": []}
    with _two_nodes() as cluster, tempfile.TemporaryFile("w+") as notes:
        start = time.perf_counter()
        command = [*command, "--engine", "ray", "--address", cluster.stdout.readline().strip()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=notes, text=True) as process:
            for line in process.stdout:
                values["rows"].append(line.rstrip("\n"))
                if len(values["rows"]) == kill_at:
                    before = _wait_for_chunks(2)
                    print("kill", file=cluster.stdin, flush=True)
                    cluster.stdout.readline()
                    values["running"] = [before, _running_chunks()]
        seconds = time.perf_counter() - start
        notes.seek(0)
        _check(process.returncode, notes.read())
    return Sample(seconds, values=values)


@contextmanager
def _two_nodes() -> "Iterator[subprocess.Popen[str]]":
    """Start a cluster in a process of its own, which prints its address; a line on its stdin kills the second node."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        try:
            yield cluster
        finally:
            cluster.stdin.close()


def _wait_for_chunks(number: int) -> int:
    """Wait until so many chunks are being answered, for at most 20 seconds."""
    deadline = time.monotonic() + 20
    while (running := _running_chunks()) < number and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


def _running_chunks() -> int:
    """Count the processes that answer a chunk: Ray shows in a process's title what it does."""
    titles = []
    for process in Path("/proc").iterdir():
        try:
            titles.append((process / "cmdline").read_bytes())
        except OSError:  # no process, or one that has ended
            continue
    return sum(title.startswith(b"ray::Map(_answer_chunk)") for title in titles)


def _check(returncode: int, said: str) -> None:
    if returncode != 1:  # the code for unreadable photos, which there are
        raise RuntimeError(f"bearcnn predict ended with {returncode}:\n{said[-2000:]}")


if __name__ == "__main__":
    main()
