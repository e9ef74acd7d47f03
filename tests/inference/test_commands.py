import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bearcnn.errors import BearcnnError
from bearcnn.inference import commands
from bearcnn.inference.commands import BackgroundCommands, Ended, fill_in, split_command

pytestmark = pytest.mark.slow  # starts processes

WRITE = "import sys, os; open(sys.argv[1], 'ab').write(os.fsencode('\\0'.join(sys.argv[2:])) + b'\\1')"
NAMES = [
    "plain.jpg",
    "with space.jpg",
    'quote\'s "double".jpg',
    "$(rm -rf x) `id` ; & | > y.jpg",
    "-rf.jpg",
    "--help.jpg",
    "new\nline.jpg",
    "{}.jpg",
    "*.jpg",
    "[red].jpg",
    "\\back.jpg",
    os.fsdecode(b"latin\xe4.jpg"),
    "%s$HOME~.jpg",
]


class Commands:
    """Commands, and what became of each."""

    def __init__(self, *words: str, timeout: float = 30) -> None:
        self.started: list[str] = []
        self.ended: list[Ended] = []
        self.commands = BackgroundCommands(list(words), timeout, self.ended.append)

    def start(self, photo: str, **environment: str) -> None:
        self.commands.start(photo, environment, lambda: self.started.append(photo))

    def wait(self, count: int) -> list[Ended]:
        deadline = time.monotonic() + 60
        while len(self.ended) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.ended) == count
        return self.ended


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_every_name_arrives_as_one_argument(tmp_path):
    commands = Commands(*python(WRITE, tmp_path / "seen", "first", "--photo={}", "{}"))
    for name in NAMES:
        commands.start(name)
    assert all(ended.ok and ended.outcome == "exit code 0" for ended in commands.wait(len(NAMES)))
    seen = (tmp_path / "seen").read_bytes().split(b"\1")[:-1]
    assert sorted(seen) == sorted(os.fsencode(f"first\0--photo={name}\0{name}") for name in NAMES)
    assert sorted(commands.started) == sorted(NAMES)


def test_without_a_place_the_photo_is_the_last_word():
    assert fill_in(["a", "b c"], "-x y.jpg") == ["a", "b c", "-x y.jpg"]
    assert fill_in(["a", "{}", "b={},{}"], "{}.jpg") == ["a", "{}.jpg", "b={}.jpg,{}.jpg"]


def test_a_command_is_split_as_by_a_shell_but_nothing_else():
    assert split_command("siren --text 'a bear!' \"$HOME\" $(rm) | tee") == [
        "siren",
        "--text",
        "a bear!",
        "$HOME",
        "$(rm)",
        "|",
        "tee",
    ]


@pytest.mark.parametrize(("command", "reason"), [("", "empty"), ("  ", "empty"), ("siren 'x", "no closing quotation")])
def test_a_command_that_is_none_is_refused(command, reason):
    with pytest.raises(BearcnnError, match=reason):
        split_command(command)


def test_failing_missing_and_hanging_commands_are_noted_and_harm_nobody(tmp_path):
    failing = Commands(*python("import sys; sys.exit(3)"))
    failing.start("a.jpg")
    missing = Commands("/no/such/program")
    missing.start("b.jpg")
    forbidden = Commands(str(tmp_path))
    forbidden.start("c.jpg")
    killed = Commands(*python("import os; os.kill(os.getpid(), 9)"))
    killed.start("d.jpg")
    (one,), (two,), (three,), (four,) = failing.wait(1), missing.wait(1), forbidden.wait(1), killed.wait(1)
    assert (one.photo, one.outcome, one.ok) == ("a.jpg", "exit code 3", False)
    assert (two.outcome, two.ok, missing.started) == ("can't be started: No such file or directory", False, [])
    assert three.outcome == "can't be started: Permission denied"
    assert four.outcome == "ended by signal 9"


CHILD = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(2); open(sys.argv[2], 'w').close()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}, *sys.argv[1:]])"


def test_a_hanging_command_is_stopped_with_what_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "_GRACE", 0.2)
    hanging = Commands(*python(PARENT, tmp_path / "begun", tmp_path / "survived"), timeout=1)
    hanging.start("a.jpg")
    (ended,) = hanging.wait(1)
    assert (ended.outcome, ended.ok) == ("stopped after 1 s", False)
    assert (tmp_path / "begun").exists()
    time.sleep(1.5)
    assert not (tmp_path / "survived").exists()


def test_a_command_that_ignores_the_polite_signal_is_stopped_too(monkeypatch):
    monkeypatch.setattr(commands, "_GRACE", 0.2)
    stubborn = Commands(*python("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"), timeout=1)
    stubborn.start("a.jpg")
    assert stubborn.wait(1)[0].outcome == "stopped after 1 s"


def test_closing_waits_a_moment_and_then_stops_what_runs_and_starts_nothing_more(monkeypatch):
    monkeypatch.setattr(commands, "_RUNNING", 2)
    monkeypatch.setattr(commands, "_FAREWELL", 1.0)
    running = Commands(*python("import sys, time; time.sleep(0.1 if sys.argv[1] == 'quick' else 60)"))
    for name in ("quick", "slow", "slow", "slow"):
        running.start(name)
        time.sleep(0.2)
    begin = time.monotonic()
    running.commands.close()
    assert time.monotonic() - begin < 10
    outcomes = sorted(ended.outcome for ended in running.ended)
    assert outcomes == ["ended by signal 15", "ended by signal 15", "exit code 0", "not started: the watch ended"]


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(commands, "_RUNNING", 1)
    monkeypatch.setattr(commands, "_QUEUED", 3)
    monkeypatch.setattr(commands, "_FAREWELL", 0.0)
    slow = Commands(*python("import time; time.sleep(60)"))
    for number in range(5):
        slow.start(str(number))
    assert [ended.outcome for ended in slow.ended] == ["not started: 3 others are waiting"] * 2
    slow.commands.close()
    assert len(slow.ended) == 5


def test_it_gets_the_environment_and_writes_to_stderr_alone(tmp_path):
    code = (
        "import os, sys, pathlib; from threading import Event\n"
        "from bearcnn.inference.commands import BackgroundCommands\n"
        "over = Event()\n"
        "commands = BackgroundCommands(sys.argv[1:], 30, lambda ended: over.set())\n"
        "commands.start('x.jpg', {'BEARCNN_LABEL': 'bear'}, lambda: None)\n"
        "over.wait(30); print('data', flush=True)\n"
    )
    shown = "import os, sys; print(os.environ['BEARCNN_LABEL'], os.environ['PATH'] != '', repr(sys.stdin.read()))"
    process = subprocess.run(
        [sys.executable, "-c", code, *python(shown)],
        cwd=Path(commands.__file__).parents[2],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert process.stdout == "data\n"
    assert process.stderr == "bear True ''\n"
