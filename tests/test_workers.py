"""Worker processes in the world: strange files beside them, and parents that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bearcnn.workers import exit_on_sigterm, safe_path
from tests.helpers.places import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="processes are looked up in /proc"),
]

DRAW = (
    "import sys; sys.path[:] = [entry for entry in sys.path if entry]\n"  # as the installed script starts
    "from pathlib import Path\n"
    "from bearcnn.data.synthetic.scenes import write_scenes\n"
    "if __name__ == '__main__':\n"
    "    write_scenes(Path(sys.argv[1]), count=int(sys.argv[2]), size=int(sys.argv[3]), workers=2,\n"
    "                 on_progress=lambda done, total: done == 50 and print('drawing', flush=True))\n"
)


def start_drawing(script: Path, folder: Path, count: int, size: int) -> "subprocess.Popen[str]":
    script.write_text(DRAW)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TEST_MARK": str(folder)}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(count), str(size)],
        cwd=script.parent / "stranger", env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def find_processes(mark: str) -> list[int]:
    """The processes with this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"TEST_MARK={mark}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # gone, or another user's
            continue
    return found


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + 30
    while find_processes(mark):
        assert time.monotonic() < deadline, "processes outlive their parent"
        time.sleep(0.05)


def test_no_file_beside_the_photos_is_ever_run(tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    for name in ("socket", "random", "numpy", "multiprocessing"):
        (tmp_path / f"stranger/{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with start_drawing(tmp_path / "draw.py", tmp_path / "set", 120, 16) as process:
        assert process.wait(120) == 0
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 120
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_and_a_termination_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "stranger").mkdir()
    with start_drawing(tmp_path / "draw.py", tmp_path / "set", 100_000, 96) as process:
        assert process.stdout is not None and process.stdout.readline() == "drawing\n"
        assert len(find_processes(str(tmp_path / "set"))) >= 3
        process.send_signal(number)
        assert process.wait(60) == (143 if number == signal.SIGTERM else -number)
    wait_until_gone(str(tmp_path / "set"))
    if number == signal.SIGTERM:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["draw.py", "stranger"]


def test_the_environment_and_the_signals_are_the_callers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with safe_path():
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert os.environ["PYTHONSAFEPATH"] == ""
    monkeypatch.delenv("PYTHONSAFEPATH")
    with pytest.raises(SystemExit) as ended, safe_path(), exit_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert ended.value.code == 143
    assert "PYTHONSAFEPATH" not in os.environ
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
