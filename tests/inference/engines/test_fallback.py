"""The command line where onnxruntime is missing, broken or deadly: real processes with a package that is."""

import os
import subprocess
import sys

import pytest

from bearcnn.data.photos import find_photos
from tests.helpers.onnx_models import write_model
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow  # starts processes

AS_ON_ARM = """
import os, sys
sys.platform, os.uname = "linux", lambda: os.uname_result(("Linux", "pi", "6.1", "1", "aarch64"))
"""
MAIN = "import sys; from bearcnn.cli.app import main; main()"


@pytest.fixture
def predict(tmp_path, photos):
    """Predict one photo in a process whose onnxruntime is this Python source."""
    model, photo = write_model(tmp_path / "model.onnx"), next(find_photos(photos))

    def run(source: str, *arguments: str, before: str = "", code: int = 0, opencv: str | None = None):
        for name, content in (("onnxruntime", source), ("cv2", opencv)):
            file = tmp_path / "packages" / name / "__init__.py"
            if content is not None and not (file.exists() and file.read_text() == content):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
        process = subprocess.run(
            [sys.executable, "-c", before + MAIN, "predict", str(photo), "--model", str(model), "--json", *arguments],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(tmp_path / "packages"), str(ROOT))),
                "COLUMNS": "80",
                "BEARCNN_CACHE": str(tmp_path / "cache"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode == code, process.stderr
        return process

    return run


def test_a_missing_or_broken_onnxruntime_is_replaced_with_one_note(predict):
    process = predict("raise ImportError('DLL load failed\\nfor many reasons')")
    assert '"label": ' in process.stdout
    notes = [line for line in process.stderr.splitlines() if "OpenCV" in line]
    assert notes == ["note: ONNX Runtime can't be loaded here (DLL load failed); OpenCV computes instead"]
    assert "Traceback" not in process.stderr


def test_who_asks_for_it_by_name_is_told_how_to_install_it(predict):
    process = predict("raise ImportError('no wheel')", "--engine", "onnxruntime", code=1)
    assert process.stderr == (
        "error: ONNX Runtime can't be loaded here (no wheel): predictions need it; install with pip: onnxruntime\n"
    )


def test_without_any_engine_both_are_named(predict):
    process = predict("raise ImportError('no wheel')", opencv="raise ImportError('no libGL')", code=1)
    assert process.stderr.count("\n") == 1
    assert "(no wheel); OpenCV can't be loaded here (no libGL)" in process.stderr
    assert "onnxruntime or opencv-python-headless" in process.stderr


def test_an_onnxruntime_that_kills_its_process_is_found_out_once(predict, tmp_path):
    log = tmp_path / "imports.txt"
    deadly = f"import os, signal\nopen({str(log)!r}, 'a').write('x')\nos.kill(os.getpid(), signal.SIGILL)"
    for _ in range(2):
        process = predict(deadly, before=AS_ON_ARM)
        assert "ONNX Runtime can't be loaded here (importing it crashes); OpenCV computes instead" in process.stderr
        assert '"label": ' in process.stdout
    assert log.read_text() == "x"  # the second run remembers


def test_another_version_is_tried_again_and_a_good_one_is_remembered_too(predict, tmp_path):
    log = tmp_path / "imports.txt"
    predict("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", before=AS_ON_ARM)
    count = f"open({str(log)!r}, 'a').write('x')\nraise ImportError('only asked')"
    predict(count, before=AS_ON_ARM)
    assert log.read_text() == "xx"  # once to try, once in earnest
    predict(count, before=AS_ON_ARM)
    assert log.read_text() == "xxx"


def test_elsewhere_no_process_is_started_to_try(predict, tmp_path):
    log = tmp_path / "imports.txt"
    predict(f"open({str(log)!r}, 'a').write('x')\nraise ImportError('only asked')")
    assert log.read_text() == "x"
    assert not (tmp_path / "cache" / "engines").exists()


def test_a_cache_that_cannot_be_written_only_costs_time(predict, tmp_path):
    (tmp_path / "cache").write_text("a file")
    process = predict("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", before=AS_ON_ARM)
    assert "importing it crashes" in process.stderr
