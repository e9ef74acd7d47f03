"""The same seed gives the same bits: weights, answers and the report's numbers, wherever and beside whatever."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bearcnn.data.cache import build_cache
from bearcnn.data.photos import find_photos
from bearcnn.runs import Run
from tests.helpers.commands import bearcnn_command
from tests.helpers.training import assert_same_weights

TIMES = {"seconds", "images_per_second", "busy"}
"""What differs from run to run."""


def without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: without_times(value) for name, value in content.items() if name not in TIMES}
    return [without_times(each) for each in content] if isinstance(content, list) else content


def read_lines(text: str) -> list[Any]:
    return [without_times(json.loads(line)) for line in text.splitlines()]


def report_of(run: Run) -> str:
    """The report without the run's name, its time, and how long it took."""
    page = run.report_file.read_text(encoding="utf-8")
    page = re.sub(r"\d[\d,.]* (?:s|seconds|minutes?|images/s)\b|\d{4}-\d\d-\d\d[ T][\d:]+", "", page)
    (place,) = set(re.findall(r"--config (\S*)/config\.toml", page))  # where it was made
    return re.sub(rf"{re.escape(place)}\b|\b{re.escape(Path(place).name)}\b", "", page)


@pytest.mark.slow  # starts processes
def test_another_process_with_another_cache_beside_a_busy_one_gives_the_same_bits(trained, tmp_path) -> None:
    run = trained[0]
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            bearcnn_command(
                "train",
                "--config",
                run.config_file,
                "--out",
                "run",
                cwd=tmp_path,
                BEARCNN_CACHE=str(tmp_path / "cache"),
                PYTHONHASHSEED="7",
            )
        finally:
            busy.kill()
    other = Run(tmp_path / "run")
    assert_same_weights(run, other)
    assert other.predictions_file.read_bytes() == run.predictions_file.read_bytes()
    assert read_lines(other.history_file.read_text()) == read_lines(run.history_file.read_text())
    assert without_times(other.metrics()) == without_times(run.metrics())
    assert report_of(other) == report_of(run)


def test_any_number_of_threads_decodes_the_same_pixels(photos, tmp_path) -> None:
    paths = list(find_photos(photos))
    one, three = (build_cache(paths, 32, "squish", root=tmp_path / str(n), workers=n) for n in (1, 3))
    assert one.pixels.tobytes() == three.pixels.tobytes()
    assert one.looks.tobytes() == three.looks.tobytes()
    assert one.digests == three.digests
