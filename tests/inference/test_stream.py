import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.inference.stream import batch_stream


@given(st.lists(st.integers(), max_size=60), st.integers(1, 9), st.integers(1, 20))
def test_batches_are_the_items_in_order_and_never_too_large(items: list[int], most: int, ahead: int) -> None:
    batches = list(batch_stream(items, lambda: most, ahead))
    assert [item for batch in batches for item in batch] == items
    assert all(0 < len(batch) <= most for batch in batches)


def test_the_size_may_change_from_batch_to_batch() -> None:
    sizes = iter([1, 2, 3, 100])
    ready = threading.Event()

    def items() -> Iterator[int]:
        yield from range(20)
        ready.set()

    batches = batch_stream(items(), lambda: next(sizes), 100)
    first = next(batches)
    assert ready.wait(10)
    assert [first, *batches] == [[0], [1, 2], [3, 4, 5], list(range(6, 20))]


def test_an_item_that_comes_alone_is_a_batch() -> None:
    taken = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert taken.wait(30)
        yield 2

    batches = batch_stream(items(), lambda: 10, 10)
    assert next(batches) == [1]
    taken.set()
    assert list(batches) == [[2]]


def test_only_so_many_items_are_read_ahead_and_those_left_are_dropped() -> None:
    read: list[int] = []
    dropped: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield read[-1]

    batches = batch_stream(endless(), lambda: 4, 10, dropped.append)
    taken = next(batches)
    time.sleep(0.05)  # the chance to read on without end
    assert len(read) <= len(taken) + 10 + 1
    batches.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "read-ahead" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the reading thread goes on after its reader has left"
        time.sleep(0.01)
    assert set(taken).isdisjoint(dropped)
    assert len(read) - len(taken) - len(dropped) <= 1  # the one that was put when the queue had just been emptied


def test_an_exception_of_the_items_comes_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    batches = batch_stream(items(), lambda: 4, 10)
    assert next(batches) == [1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
