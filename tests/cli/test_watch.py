import json
import os
import shlex
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
from PIL import Image

from tests.helpers.onnx_models import write_model
from tests.helpers.places import ROOT

NOTE = "import sys, os; open(sys.argv[1], 'ab').write(os.fsencode(sys.argv[2]) + b'\\0')"


def picture(grey: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 48), (grey, grey, grey)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


BEAR, OTHER = picture(220), picture(20)


class Watch:
    """A running `bearcnn predict --watch`, whose bears are bright photos."""

    def __init__(self, tmp_path: Path, *arguments: object, style: str = "jsonl") -> None:
        self.card, self.log = tmp_path / "card", tmp_path / "alarms"
        self.card.mkdir(exist_ok=True)
        model = write_model(tmp_path / "model.onnx", classes=("nothing", "bear"))
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bearcnn",
                "predict",
                "--watch",
                "card",
                "--model",
                str(model),
                "--format",
                style,
                *map(str, arguments),
            ],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.frame = 0
        self.said: list[str] = []
        self.rows: Queue[str] = Queue()
        self._readers = [Thread(target=self._read_rows, daemon=True), Thread(target=self._read_notes, daemon=True)]
        for reader in self._readers:
            reader.start()
        self.until("watching card")

    def _read_rows(self) -> None:
        with self.process.stdout as lines:
            for line in lines:
                self.rows.put(line)

    def _read_notes(self) -> None:
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line.rstrip("\n"))

    def until(self, words: str, times: int = 1) -> None:
        deadline = time.monotonic() + 60
        while sum(words in line for line in self.said) < times:
            assert time.monotonic() < deadline and self.process.poll() is None, self.said
            time.sleep(0.02)

    def photos(self, **named: bytes) -> None:
        """Put a photo into each camera's folder at once, and wait for their rows."""
        names = {f"{camera}/{self.frame}.jpg": content for camera, content in named.items()}
        for name, content in names.items():
            (self.card / name).parent.mkdir(exist_ok=True)
            (self.card / name).write_bytes(content)
        rows = [json.loads(self.rows.get(timeout=60)) for _ in names]
        assert {row["path"] for row in rows} == {f"card/{name}" for name in names}
        self.frame += 1

    def end(self, number: int = signal.SIGINT) -> list[str]:
        self.process.send_signal(number)
        assert self.process.wait(60) == 0, self.said
        self.close()
        return self.said

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(10)

    def alarms(self) -> list[str]:
        names = self.log.read_bytes().split(b"\0")[:-1] if self.log.exists() else []
        return [Path(os.fsdecode(name)).name for name in names]


@pytest.fixture
def watch(tmp_path):
    running: list[Watch] = []

    def start(*arguments: object, command: str | None = None, style: str = "jsonl") -> Watch:
        words = [sys.executable, "-c", command, str(tmp_path / "alarms")]
        on_bear = ["--on-bear", shlex.join(words)] if command else []
        running.append(Watch(tmp_path, *on_bear, *arguments, style=style))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.mark.slow
class TestWatch:
    """Photos arrive, and a command is called exactly as often as stated."""

    def test_photos_that_are_copied_in_slowly_are_answered_once_with_any_name(self, watch, tmp_path):
        (tmp_path / "card").mkdir()
        (tmp_path / "card" / "old.jpg").write_bytes(BEAR)
        running = watch("--pause", 0, command=NOTE)
        names = ["with space.jpg", "a'quote\".jpg", "$(rm -rf x) `id`; & |.jpg", "-rf.jpg", "new\nline [red].jpg"]
        files = [(running.card / name).open("wb") for name in names]
        for start in range(0, len(BEAR), 1 + len(BEAR) // 4):  # over three listings
            for file in files:
                file.write(BEAR[start : start + 1 + len(BEAR) // 4])
                file.flush()
            time.sleep(0.8)
        for file in files:
            file.close()
        rows = [json.loads(running.rows.get(timeout=60)) for _ in names]
        assert sorted(row["path"] for row in rows) == sorted(f"card/{name}" for name in names)
        assert {row["label"] for row in rows} == {"bear"}
        running.until("command for", len(names))
        said = running.end()
        assert running.rows.empty()
        assert sorted(running.alarms()) == sorted(names)
        assert "1 photo already there is skipped" in said[1]
        assert "5 photos: 0 nothing, 5 bear" in said
        assert any(line.endswith("5 alarms (commands: 5 ended well)") for line in said)
        assert (
            sum(line.startswith(("photo seen to answer: median ", "answer to command started: ")) for line in said) == 2
        )

    def test_two_of_three_frames_of_a_camera_and_a_pause(self, watch):
        running = watch("--alarm", "2/3", "--pause", "1h", command=NOTE)
        running.photos(a=BEAR, b=BEAR)
        running.photos(a=OTHER, b=OTHER)
        running.photos(a=BEAR, b=OTHER)
        running.until("command for")
        running.photos(a=BEAR, b=BEAR)  # within a's pause; b's second of the last three is gone
        running.photos(b=BEAR)
        running.until("command for", 2)
        said = running.end(signal.SIGTERM)
        assert running.alarms() == ["2.jpg", "4.jpg"]
        assert (
            "10" not in said[1]
            and "2 bears in the last 3 frames of a folder, at most one per folder in 60 min" in said[1]
        )

    def test_a_failing_a_missing_and_a_broken_photo_do_not_end_it(self, watch):
        running = watch("--pause", 0, "--command-timeout", "1s", command="import sys, time; time.sleep(60)")
        running.photos(a=BEAR)
        running.until("stopped after 1 s")
        running.photos(a=OTHER)
        said = running.end()
        assert any("1 alarm (commands: 1 failed)" in line for line in said)

    def test_a_program_that_is_not_there_is_said_at_once_and_noted_later(self, watch):
        running = watch("--on-bear", "no-such-siren --loud")
        running.photos(a=BEAR)
        running.until("can't be started: No such file or directory")
        running.photos(a=BEAR)
        said = running.end()
        assert "warning: --on-bear: there is no program no-such-siren; alarms will fail until there is one" in said
        assert any("1 alarm (commands: 1 failed)" in line for line in said)  # the second is within the pause

    def test_a_card_comes_and_goes_and_the_output_stays_whole(self, watch, tmp_path):
        running = watch(style="json")
        (running.card / "a.jpg").write_bytes(BEAR)
        running.until("alarm card/a.jpg: bear ")
        running.card.rename(tmp_path / "away")
        running.until("card can't be listed")
        (tmp_path / "away").rename(running.card)
        running.until("card is back")
        said, text = running.end(), ""
        while not running.rows.empty():
            text += running.rows.get()
        assert [(row["path"], row["label"]) for row in json.loads(text)] == [("card/a.jpg", "bear")]
        assert any("1 alarm" in line for line in said)

    def test_existing_photos_are_answered_on_request_and_a_table_is_for_people(self, watch, tmp_path):
        (tmp_path / "card").mkdir()
        (tmp_path / "card" / "old.jpg").write_bytes(OTHER)
        running = watch("--existing", style="table")
        assert running.rows.get(timeout=60).split() == ["nothing", "0.033", "card/old.jpg"]
        assert "skipped" not in running.end()[1]


class TestOptions:
    """What can't be is one line."""

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "name photos or folders, or a folder that they arrive in: --watch DIR"),
            (["--on-bear", "siren"], "--on-bear goes with --watch"),
            (["x.jpg", "--existing"], "--existing goes with --watch"),
            (["x.jpg", "--alarm", "2/3"], "--alarm goes with --watch"),
            (["x.jpg", "--watch", "."], "photos and --watch don't go together"),
            (["--watch", "missing"], "missing can't be watched: No such file or directory"),
            (["--watch", ".", "--alarm", "3/2"], "--alarm is '3/2': expected N/M, such as 2/3"),
            (["--watch", ".", "--pause", "soon"], "--pause is 'soon': expected a time such as 30s"),
            (["--watch", ".", "--on-bear", "siren 'x"], "--on-bear \"siren 'x\" can't be read: no closing quotation"),
            (["--watch", ".", "--on-bear", " "], "--on-bear is empty: name a program"),
            (["--watch", ".", "--command-timeout", "5s"], "--command-timeout goes with --on-bear"),
            (["--watch", ".", "--heatmaps", "drawn"], "--heatmaps would be read as photos: choose a folder outside"),
            (
                ["x.jpg", "--engine", "opencvv"],
                "no engine 'opencvv': expected auto, onnxruntime, opencv or ray",
            ),
        ],
    )
    def test_options_that_do_not_go_together_are_refused(self, command, arguments, reason, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        said = command("predict", *arguments, code=1)
        assert said.stdout == ""
        assert said.stderr.count("\n") == 1
        assert reason in said.stderr
