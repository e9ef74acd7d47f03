"""Processes that the kernel ends when they open a socket."""

import os
import platform
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

# A filter of system calls (seccomp) ends the whole process when any thread of it, in any language, opens a socket.
# Even the name of a host can't be looked up without one. What loads fastai opens one to see whether there is IPv6, for
# urllib3: there, only connecting and sending is the end.
_FORBID = """
import ctypes, os, struct, sys
machines = {"x86_64": (0xC000003E, 41, 42, 44), "aarch64": (0xC00000B7, 198, 203, 206)}
architecture, *numbers = machines[os.uname().machine]
LOAD, IF_EQUAL, RETURN, ALLOW, KILL = 0x20, 0x15, 0x06, 0x7FFF0000, 0x80000000
calls = numbers[:1] if sys.argv.pop(1) == "socket" else numbers[1:]
rules = [(LOAD, 0, 0, 4), (IF_EQUAL, 0, len(calls) + 1, architecture), (LOAD, 0, 0, 0),
         *((IF_EQUAL, len(calls) - place, 0, number) for place, number in enumerate(calls)),
         (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Program(len(rules), ctypes.addressof(code))), 0, 0):
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
BAD_SYSTEM_CALL = -31
OPEN_A_SOCKET = "import ctypes; ctypes.CDLL(None).socket(2, 2, 0)"
CONNECT = "import socket; socket.socket().connect(('127.0.0.1', 9))"
SEND = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))"


def run(
    *arguments: object, until: str = "socket", stdin: "int | None" = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run Python so that a socket is its end, or with `until="connect"` what it connects or sends to."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    return subprocess.run(
        [sys.executable, "-c", _FORBID, until, *map(str, arguments)],
        env={**inherited, **environment},
        cwd=ROOT,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def skip_without_filter() -> None:
    """Skip the tests where there is no such filter."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the filter of system calls is Linux's, on two processors")
    if "no seccomp" in run("-c", "").stderr:
        pytest.skip("this kernel has no seccomp")
