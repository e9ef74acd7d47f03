"""Batches of a source that may be slow or endless."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


def batch_stream(
    items: Iterable[Item],
    most: Callable[[], int],
    ahead: int,
    drop: Callable[[Item], object] = lambda item: None,
) -> Generator[list[Item], None, None]:
    """Yield items in batches, in order, while a thread reads at most `ahead` of them in advance.

    A batch has as many items as are there, at least one and at most `most()`: it is full unless they come more slowly
    than the caller takes them. Items that nobody takes any more are given to `drop`. An exception of `items` is raised
    here, after what came before it.
    """
    waiting: Queue[Item | _End] = Queue(ahead)
    stopped = Event()

    def read() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    drop(item)
                    return
                waiting.put(item)
            waiting.put(_End())
        except Exception as error:
            waiting.put(_End(error))

    # A daemon: a thread that waits for the next line of stdin can't be stopped.
    Thread(target=read, name="read-ahead", daemon=True).start()
    try:
        while True:
            batch: list[Item] = []
            size = most()
            while not isinstance(item := waiting.get(), _End):
                batch.append(item)
                if len(batch) == size or waiting.empty():
                    break
            if batch:
                yield batch
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return
    finally:
        stopped.set()
        while not waiting.empty():  # the thread may be waiting for room
            left = waiting.get_nowait()
            if not isinstance(left, _End):
                drop(left)
