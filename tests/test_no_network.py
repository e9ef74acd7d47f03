"""Nothing is sent: neither by us, nor by onnxruntime, whose telemetry is on unless a variable says otherwise."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bearcnn.data.photos import find_photos
from tests.helpers.onnx_models import write_model
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow  # starts processes

# A filter of system calls (seccomp) ends the whole process when any thread of it, in any language, opens a socket.
# Even the name of a host can't be looked up without one.
FORBID_SOCKETS = """
import ctypes, os, struct, sys
architecture, socket = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}[os.uname().machine]
LOAD, IF_EQUAL, RETURN, ALLOW, KILL = 0x20, 0x15, 0x06, 0x7FFF0000, 0x80000000
rules = [(LOAD, 0, 0, 4), (IF_EQUAL, 0, 3, architecture), (LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, socket),
         (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Program(len(rules), ctypes.addressof(code))), 0, 0):
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
BAD_SYSTEM_CALL = -31


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    return subprocess.run(
        [sys.executable, "-c", FORBID_SOCKETS, *map(str, arguments)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _the_filter_works():
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the filter of system calls is Linux's, on two processors")
    if "no seccomp" in run("-c", "").stderr:
        pytest.skip("this kernel has no seccomp")
    assert run("-c", "import ctypes; ctypes.CDLL(None).socket(2, 2, 0)").returncode == BAD_SYSTEM_CALL


def test_a_prediction_opens_no_socket(tmp_path: Path, photos: Path) -> None:
    model = write_model(tmp_path / "model.onnx")
    drawn = tmp_path / "drawn"
    process = run("-m", "bearcnn", "predict", next(find_photos(photos)), "--model", model, "--heatmaps", drawn)
    assert process.returncode == 0, process.stderr
    assert (drawn / "index.html").exists()


@pytest.mark.parametrize(
    "module",
    ["bearcnn", "bearcnn.cli.app", "bearcnn.inference.engines.onnxruntime", "bearcnn.export.base", "bearcnn.__main__"],
)
def test_telemetry_is_off_before_onnxruntime_is_imported(module: str) -> None:
    code = (
        "import sys, os\n"
        "class Look:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': print('imported', os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Look())\n"
        f"import {module}, onnxruntime\n"
    )
    process = run("-c", code)
    assert process.stdout.splitlines() == ["imported 1"], process.stderr


def test_a_users_own_setting_stays() -> None:
    code = "import bearcnn, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    process = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert process.stdout == "0\n"
