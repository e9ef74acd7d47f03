"""Batches computed by torch on several cores, each batch by one thread."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from bearcnn.workers import map_ahead

Batch = TypeVar("Batch")
Result = TypeVar("Result")


@contextmanager
def keeping_threads() -> Iterator[None]:
    """Give torch, in the end, the number of threads that it has now."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def map_batches(function: Callable[[Batch], Result], batches: Iterable[Batch]) -> Generator[Result, None, None]:
    """Yield the results of a function in the order of the batches, as many at a time as torch has threads.

    Threads that share a batch meet after every operator. Beside another busy program each meeting waits for the one
    that was put aside, and everything takes many times as long. Here none waits for another, and the results are the
    same for any number of threads, to the bit. `function` turns off gradients itself: that holds for one thread only.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield from map(function, batches)
        return
    try:
        yield from map_ahead(function, batches, threads, 2 * threads, partial(torch.set_num_threads, 1))
    finally:
        torch.set_num_threads(threads)
