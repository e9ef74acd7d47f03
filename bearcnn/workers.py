"""Worker threads, and worker processes that run no code from the current folder and never outlive their parent."""

import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import IO, Any, TypeVar

from bearcnn.errors import BearcnnError

Task = TypeVar("Task")
Result = TypeVar("Result")

_CHUNK = 25
"""Tasks that go to a process together."""

_LENGTH = struct.Struct("<Q")

RENDEZVOUS = "BEARCNN_RENDEZVOUS"
"""The environment variable with the folder where the processes of `bearcnn train --devices` meet."""


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """The last that is heard of a process."""

    code: int

    @property
    def words(self) -> str:
        """The reason, in words."""
        if self.code >= 0:
            return f"its process ended with exit code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else str(-self.code)
        hint = " (out of memory? try fewer `workers`)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"


class WorkerProcess:
    """A process that calls `function(receive, send, *arguments)`; it ends with this process, however that ends.

    The function, of a module of this package, receives what `send` gives, and what it sends comes into the queue
    `heard` together with this object. After its end a `WorkerEnd` comes.

    Not multiprocessing's, which runs the caller's script once more in each process: a script without
    `if __name__ == "__main__"` would train there again. And nothing from the current folder is imported: a file
    `socket.py` beside somebody's photos would run.
    """

    def __init__(self, heard: "SimpleQueue[Heard]", function: Callable[..., None], *arguments: Any) -> None:
        # In a session of its own: Ctrl-C is for this process, which ends that one.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bearcnn.workers"],
            env=os.environ | {"PYTHONPATH": module_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._stdin, self._stdout, self._heard = self.process.stdin, self.process.stdout, heard
        threading.Thread(target=self._listen, daemon=True).start()
        self.send((function, arguments))

    def send(self, message: Any) -> None:
        """Send a message; the end of a process is heard, and is no error here."""
        with suppress(OSError):
            _write_message(self._stdin, message)

    def _listen(self) -> None:
        with suppress(EOFError, OSError, ValueError):
            while True:
                self._heard.put((self, pickle.loads(_read_message(self._stdout))))  # noqa: S301 - from our own process
        self._stdout.close()
        self._heard.put((self, WorkerEnd(self.process.wait())))

    def close(self) -> None:
        """End the process: it does nothing after this."""
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            self._stdin.close()


Heard = tuple[WorkerProcess, Any]
"""A message, and the process that it is from."""


def _write_message(file: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message)
    file.write(_LENGTH.pack(len(content)) + content)
    file.flush()


def _read_message(file: IO[bytes]) -> bytes:
    """Read a message as it was pickled; raises EOFError at the end of the file."""
    length = file.read(_LENGTH.size)
    content = file.read(_LENGTH.unpack(length)[0]) if len(length) == _LENGTH.size else b""
    if not content:
        raise EOFError
    return content


def _serve() -> None:
    """Run the function of a `WorkerProcess`, in that process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    inbox: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive_all, args=(inbox,), daemon=True).start()

    def receive() -> Any:
        return pickle.loads(inbox.get())  # noqa: S301 - from the process that started this one

    function, arguments = receive()
    function(receive, partial(_write_message, answers), *arguments)


def _receive_all(inbox: "SimpleQueue[bytes]") -> None:
    messages = os.fdopen(os.dup(0), "rb")  # not sys.stdin, whose lock would be in the way of this process's own end
    with suppress(EOFError):
        while True:
            inbox.put(_read_message(messages))
    os._exit(1)  # the process that started this one has ended


def map_in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Generator[Result, None, None]:
    """Yield the results of a function in the order of the tasks, from `workers` processes.

    The function must be one of this package's modules, and an exception of a task is raised in its turn. Closing the
    generator ends the processes; so does the end of this process, whatever the signal.

    Raises:
        BearcnnError: a process was ended by something else.
    """
    waiting = deque(range(0, len(tasks), _CHUNK))
    done: dict[int, list[Result] | Exception] = {}
    heard: SimpleQueue[Heard] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(min(workers, len(waiting))):
            process = WorkerProcess(heard, _map_chunks, function)
            stack.callback(process.close)
            first = waiting.popleft()
            process.send((first, tasks[first : first + _CHUNK]))
        for start in range(0, len(tasks), _CHUNK):
            while start not in done:
                process, answer = heard.get()
                if isinstance(answer, WorkerEnd):
                    raise BearcnnError(f"a worker process was ended by something else: {answer.words}")
                done.update([answer])
                if waiting:
                    following = waiting.popleft()
                    process.send((following, tasks[following : following + _CHUNK]))
            results = done.pop(start)
            if isinstance(results, Exception):
                raise results
            yield from results


def _map_chunks(receive: Callable[[], Any], send: Callable[[Any], None], function: Callable[[Any], Any]) -> None:
    while True:
        start, tasks = receive()
        try:
            send((start, [function(task) for task in tasks]))
        except Exception as error:
            send((start, error))


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


def exit_on_sigterm() -> AbstractContextManager[None]:
    """Turn SIGTERM into SystemExit in a block, for `finally` to clean up; the caller's own handler stays."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    return _handling_sigterm(leave)


def sigterm_as_ctrl_c() -> AbstractContextManager[None]:
    """Turn SIGTERM into KeyboardInterrupt in a block: a service that is stopped keeps what Ctrl-C keeps."""
    return _handling_sigterm(signal.default_int_handler)


@contextmanager
def _handling_sigterm(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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


def ignore_local_style() -> None:
    """Load matplotlib without a `matplotlibrc` of the current folder, which may be anybody's and comes before others.

    Only where there is one, and before any thread is started.
    """
    if Path("matplotlibrc").exists():
        with chdir(Path.cwd().anchor):
            import matplotlib  # noqa: F401


if __name__ == "__main__":  # with the name of a module: that module's own main
    ignore_local_style()
    import_module(sys.argv[1]).main() if len(sys.argv) > 1 else _serve()
