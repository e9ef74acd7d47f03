import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bearcnn.errors import ClusterError, MissingPackageError
from bearcnn.inference.cluster import RETRIES, _Attempts, _check_here, _versions, predict_on_ray
from bearcnn.inference.predictor import Predictor
from tests.helpers.commands import bearcnn_command
from tests.helpers.onnx_models import write_model
from tests.helpers.ray_cluster import FATAL, TwoNodes, running_chunks, two_nodes


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(write_model(tmp_path_factory.mktemp("model") / "model.onnx"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.skipif(
    not (importlib.util.find_spec("ray") and importlib.util.find_spec("pyarrow")), reason="needs bearcnn[ray]"
)
class TestOnTwoNodes:
    """The command line on a real cluster."""

    def test_photos_that_take_down_their_process_again_and_again_are_one_clear_line(
        self, cluster: TwoNodes, predictor: Predictor, tmp_path: Path
    ) -> None:
        photo = tmp_path / FATAL
        Image.new("RGB", (20, 16)).save(photo)
        where = ("--engine", "ray", "--address", cluster.address)
        process = bearcnn_command("predict", photo, "--model", predictor.file, *where, "--json", code=1)
        assert f"{RETRIES + 1} processes were lost over the same photos, {photo} to {photo}" in process.stderr
        assert process.stdout == ""

    def test_a_node_that_dies_midway_loses_no_row_and_repeats_none(
        self, cluster: TwoNodes, predictor: Predictor, tmp_path: Path
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "large.png")  # takes long enough that a node dies while it reads it
        names = [f"{number:03}.png" for number in range(160)]
        for name in names:
            os.link(tmp_path / "large.png", tmp_path / name)
        names[5] = "missing.png"
        names[50] = os.fsdecode(b"no text \xff.png")
        (tmp_path / names[50]).write_bytes((tmp_path / "large.png").read_bytes()[:5000])
        command = [sys.executable, "-m", "bearcnn", "predict", "-", "--model", str(predictor.file), "--format", "jsonl"]
        listed = b"\n".join(os.fsencode(tmp_path / name) for name in names)
        alone = subprocess.run(command, input=listed, capture_output=True, check=False)
        assert len(alone.stdout.splitlines()) == len(names)

        command += ["--engine", "ray", "--address", cluster.address]
        rows = []
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.write(listed)
            process.stdin.close()
            for row in process.stdout:
                rows.append(row)
                if len(rows) == 40:
                    deadline = time.monotonic() + 60
                    while (before := running_chunks()) < 2 and time.monotonic() < deadline:
                        time.sleep(0.01)
                    cluster.kill_second()
            said = process.stderr.read()
        assert before == 2, "the second node had nothing to lose"
        assert b"".join(rows) == alone.stdout
        assert [json.loads(row)["error"] for row in rows if b'"error": null' not in row] == [
            "file not found",
            "file is truncated",
        ]
        assert (process.returncode, said) == (alone.returncode, alone.stderr) == (1, said)


def test_without_ray_it_says_what_to_install(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r'the engine ray needs Ray: pip install "bearcnn\[ray\]"'):
        next(predict_on_ray(predictor, [Path("a.jpg")]))


def test_an_address_from_outside_of_the_cluster_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ClusterError, match="start bearcnn on a node"):
        next(predict_on_ray(predictor, [Path("a.jpg")], address="ray://head:10001"))


def test_a_node_says_what_it_does_not_see_and_what_it_has_in_another_version(tmp_path: Path) -> None:
    assert _check_here(_versions(), None) == ""
    assert _check_here(_versions(), str(tmp_path)) == ""
    assert "share the folder" in _check_here(_versions(), str(tmp_path / "not here.jpg"))
    assert _check_here(_versions() | {"pillow": "1.0"}, None).endswith(
        ", not 1.0; install the same versions on every node"
    )


def test_attempts_are_counted_for_each_chunk_of_a_window() -> None:
    attempts = _Attempts()
    assert [attempts.begin(1, 0), attempts.begin(1, 1), attempts.begin(1, 0)] == [1, 1, 2]
    assert attempts.begin(2, 0) == 1
