"""Worker processes in the world: strange files beside them, and parents that are killed."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bearcnn
from bearcnn.errors import BearcnnError
from bearcnn.workers import exit_on_sigterm, map_in_processes
from tests.helpers.places import ROOT
from tests.helpers.processes import MARK, children, find_processes, wait_until_gone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="processes are looked up in /proc"),
]

# A script without `if __name__ == "__main__"`, whose current folder is another than its own, as an installed command's.
DRAW = (
    "import sys; from pathlib import Path\n"
    "from bearcnn.data.synthetic.scenes import write_scenes\n"
    "print('started', flush=True)\n"
    "write_scenes(Path(sys.argv[1]), count=int(sys.argv[2]), size=int(sys.argv[3]), workers=2,\n"
    "             on_progress=lambda done, total: done == 50 and print('drawing', flush=True))\n"
)

EVERY_WAY = (
    "from bearcnn.replica_start import StartedReplica\n"
    "from bearcnn.cli.devices import _start\n"
    "from bearcnn.inference.engines.probe import _survives\n"
    "from bearcnn.cli.app import main\n"
    "from bearcnn.workers import map_in_processes\n"
    "import sys\n"
    "given, sys.argv = sys.argv, ['bearcnn', '--version']\n"
    "replica, device = StartedReplica(), _start(0, 1, '')\n"
    "assert _survives('cv2')\n"
    "assert device.wait(60) == 0; device.stdin.close()\n"
    "try: main()\n"
    "except SystemExit: import matplotlib\n"
    "assert not matplotlib.rcParams['text.usetex']\n"
    "assert [*map_in_processes(eval, [\"__import__('matplotlib').rcParams['text.usetex']\"], 1)] == [False]\n"
    "sys.argv = given\n" + DRAW + "replica.listener.accept(); replica.close()\n"
)


def start_drawing(script: Path, folder: Path, count: int, size: int, code: str = DRAW) -> "subprocess.Popen[str]":
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT), MARK: str(folder)}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(count), str(size)],
        cwd=script.parent / "stranger",
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_no_file_beside_the_photos_is_ever_run_and_no_script_runs_twice(tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    # With a byte that is no text, which ends every process that reads it: the replica too, which answers nobody then.
    (tmp_path / "stranger/matplotlibrc").write_bytes(b"text.usetex: True\n# \xff\n")
    for name in ("socket", "random", "numpy", "cv2", "torch", "pickle", "subprocess", "multiprocessing", "bearcnn"):
        (tmp_path / f"stranger/{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__)\n")
    with start_drawing(tmp_path / "script.py", tmp_path / "set", 120, 16, EVERY_WAY) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert said.splitlines() == [*[f"bearcnn {bearcnn.__version__}"] * 2, "started", "drawing"]
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 120
    assert not (tmp_path / "ran").exists()
    wait_until_gone(str(tmp_path / "set"))


def test_every_python_that_is_started_is_started_without_the_current_folder() -> None:
    started = 0
    for file in Path(bearcnn.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                assert ast.unparse(node.elts[1]) == "'-P'", file
                started += 1
            # Its processes begin in the current folder, and with the caller's script.
            assert not (isinstance(node, ast.Name | ast.Attribute) and "get_context" in ast.unparse(node)), file
    assert started >= 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_and_a_termination_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "stranger").mkdir()
    with start_drawing(tmp_path / "draw.py", tmp_path / "set", 100_000, 96) as process:
        assert process.stdout is not None and [process.stdout.readline() for _ in range(2)][1] == "drawing\n"
        assert len(find_processes(str(tmp_path / "set"))) >= 3
        process.send_signal(number)
        assert process.wait(60) == (143 if number == signal.SIGTERM else -number)
    wait_until_gone(str(tmp_path / "set"))
    if number == signal.SIGTERM:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["draw.py", "stranger"]


def test_an_error_in_a_task_is_raised_in_its_turn() -> None:
    results = map_in_processes(int, ["1"] * 30 + ["x"], 2)
    assert [next(results) for _ in range(25)] == [1] * 25
    with pytest.raises(ValueError, match="invalid literal"):
        list(results)


def test_a_worker_that_is_killed_is_an_error_in_one_line() -> None:
    results = map_in_processes(time.sleep, [0.0] * 25 + [60.0], 1)
    next(results)
    (worker,) = children("bearcnn.workers")
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(BearcnnError, match=r"ended by SIGKILL \(out of memory"):
        list(results)


def test_the_signals_are_the_callers_again() -> None:
    with pytest.raises(SystemExit) as ended, exit_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
