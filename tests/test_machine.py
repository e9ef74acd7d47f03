import os

from bearcnn.machine import usable_cpus


def test_there_is_a_core_to_run_on_and_no_more_than_the_computer_has() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
