"""Tasks in threads, a few ahead of the caller."""

import threading
import time

import pytest

from bearcnn.workers import map_ahead


def test_results_come_in_order_and_only_so_many_tasks_are_taken():
    taken = []

    def tasks():
        for number in range(60):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        time.sleep(0.004 if number % 5 == 0 else 0)  # later ones are ready before it
        return -number

    for place, result in enumerate(map_ahead(work, tasks(), workers=3, ahead=6)):
        assert result == -place
        assert len(taken) <= place + 1 + 6


def test_an_error_comes_in_its_turn_and_what_is_not_begun_is_dropped():
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.001)
        return 6 // (3 - number)

    results = map_ahead(work, range(1000), workers=2, ahead=4)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) <= 3 + 1 + 4


def test_each_thread_is_prepared_and_ends_when_nobody_wants_the_rest():
    here = threading.local()
    before = threading.active_count()
    results = map_ahead(lambda number: here.value, range(100), 2, 4, lambda: setattr(here, "value", "ready"))
    assert next(results) == "ready"
    results.close()
    assert threading.active_count() == before
