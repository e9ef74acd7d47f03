import os
import subprocess
import sys
import time

import pytest

from bearcnn.machine import seconds_without_core, usable_cpus


def test_there_is_a_core_to_run_on_and_no_more_than_the_computer_has() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not os.path.exists("/proc/thread-self/schedstat"), reason="Linux counts this")  # noqa: PTH110
def test_waiting_for_a_core_beside_a_busy_program_is_counted() -> None:
    cores = os.sched_getaffinity(0)
    one = {min(cores)}
    os.sched_setaffinity(0, one)  # the other program inherits it
    try:
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
            before, end = seconds_without_core(), time.monotonic() + 20
            while seconds_without_core() - before < 0.2:
                assert time.monotonic() < end, "no waiting was counted"
            busy.kill()
    finally:
        os.sched_setaffinity(0, cores)
