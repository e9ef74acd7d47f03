"""What a process unpickles."""

import os
import subprocess
import sys

from tests.helpers.places import ROOT

# Python tells its hooks of every class that an unpickler looks for, whoever unpickles.
_WATCH = """
import atexit, runpy, sys
found = set()
def hook(event, arguments):
    if event == "pickle.find_class": found.add(".".join(map(str, arguments)))
sys.addaudithook(hook)
atexit.register(lambda: print("UNPICKLED", *sorted(found)))
"""


def unpickled(code: str, *arguments: object, **environment: str) -> set[str]:
    """The classes that unpicklers looked for while this code ran, in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", _WATCH + code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, **environment},
    )
    assert process.returncode == 0, process.stderr
    (line,) = [line for line in process.stdout.splitlines() if line.startswith("UNPICKLED")]
    return set(line.split()[1:])


RUN = "sys.argv[0] = 'bearcnn'\nrunpy.run_module('bearcnn', run_name='__main__')\n"
"""Code that is the command line."""
