import subprocess
import sys
from pathlib import Path

import pytest

from bearcnn.errors import RunError
from bearcnn.files import write_atomically
from bearcnn.runs.lock import is_empty, lock_folder

HOLD = (
    "import sys, time; from pathlib import Path; from bearcnn.runs.lock import lock_folder\n"
    "with lock_folder(Path(sys.argv[1]), 'held'): print('held', flush=True); time.sleep(60)"
)


def test_a_folder_is_for_one_process_until_that_ends_however_it_ends(tmp_path: Path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="somebody else"), lock_folder(tmp_path, "somebody else"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert not list(tmp_path.glob("*.tmp")) and is_empty(tmp_path)
    for _ in range(2):
        with lock_folder(tmp_path, "held"):  # a killed process holds nothing
            assert [path.name for path in tmp_path.iterdir()] == [".lock"]
            with pytest.raises(RunError, match="mine"), lock_folder(tmp_path, "mine"):
                pass
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    leftovers = [tmp_path / ".0123456789abcdef.tmp", tmp_path / "checkpoints" / ".0123456789abcdef.tmp"]
    others = [tmp_path / "config.toml", tmp_path / ".mine.tmp", tmp_path / "0123456789abcdef.tmp"]
    for path in leftovers + others:
        path.write_text("half")
    with lock_folder(tmp_path, "held"):
        assert not any(path.exists() for path in leftovers)
        write_atomically(tmp_path / "config.toml", b"whole", overwrite=True)
    assert all(path.exists() for path in others)
    assert not is_empty(tmp_path)


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RunError, match="can't be written to"), lock_folder(tmp_path, "held"):
        pass
