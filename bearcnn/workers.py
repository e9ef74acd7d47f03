"""Worker threads, and worker processes that run no code from the current folder and never outlive their parent."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

RENDEZVOUS = "BEARCNN_RENDEZVOUS"
"""The environment variable with the folder where the processes of `bearcnn train --devices` meet."""


def map_in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Generator[Result, None, None]:
    """Yield the results of a function in the order of the tasks, from `workers` processes.

    The function must be one that can be pickled. Closing the generator ends the processes; so does the end of this
    process, whatever the signal.
    """
    # Spawned: a forked child would inherit the locks of the caller's threads.
    with safe_path():  # `map` starts all processes
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=prepare_worker)
        results = pool.map(function, tasks, chunksize=25)
    with pool:
        try:
            yield from results
        except BaseException:
            pool.shutdown(cancel_futures=True)  # waits: no worker writes after this
            raise


def map_ahead(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    ahead: int,
    prepare: Callable[[], object] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield the results of a function in the order of the tasks, from `workers` threads.

    At most `ahead` tasks are begun or waiting beyond the one that is yielded. Each thread calls `prepare` first. An
    exception of a task is raised in its turn; closing the generator drops what isn't begun.
    """
    pool = ThreadPoolExecutor(workers, function.__name__.lstrip("_"), prepare)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def map_in_threads(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Return the results of a function in the order of the tasks, from `workers` threads; `on_progress` counts them."""
    results = []
    with ThreadPoolExecutor(workers, thread_name_prefix=function.__name__.lstrip("_")) as pool:
        for result in pool.map(function, tasks):
            results.append(result)
            if on_progress is not None:
                on_progress(len(results), len(tasks))
    return results


@contextmanager
def safe_path() -> Iterator[None]:
    """Keep the current folder off the module path of processes started in this block.

    A spawned process begins as `python -c`, which looks for modules in the current folder first: a file `socket.py`
    beside somebody's photos would run.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit in this block, for `finally` to clean up; the caller's own handler stays."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def prepare_worker() -> None:
    """End this worker process with its parent, whatever the signal, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def started_as_rank() -> bool:
    """Check whether the environment names this process as one of several of a training run, as torchrun does."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") not in ("", "1")


def module_path() -> str:
    """Return the PYTHONPATH of a process that runs one of this package's modules."""
    package = str(Path(__file__).parents[1])
    return os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])


def end_with_parent(stdin: int) -> None:
    """End this process when the one that holds the other end of its standard input (a number) ends, however it ends."""
    threading.Thread(target=_read_to_end, args=(stdin,), daemon=True).start()


def _read_to_end(stdin: int) -> None:
    while os.read(stdin, 1):  # not through a buffer, whose lock would be in the way of this process's own end
        pass
    os._exit(1)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    sys.stderr = None  # nobody is left to read it
    os._exit(1)
