"""A process that computes slices of another's training steps, with one compute thread.

The training process keeps everything: weights, optimizer, schedule, callbacks, files. A replica computes gradients: it
reads the weights from memory that both share, and writes its slices' gradients there. Nothing is lost with a replica:
the training process computes its slices itself.

Two compute threads in one process meet hundreds of times a step, and beside any other busy program each meeting waits
for the slower one; processes meet once a step.
"""

import mmap
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bearcnn.config import AugmentConfig, ModelConfig
from bearcnn.replica_start import StartedReplica
from bearcnn.training.pixel_dataset import PixelDataset

LOST = (EOFError, OSError)
"""What a connection raises whose other end is gone."""

FAILED = -1
"""The number of the answer that is a traceback."""


@dataclass(frozen=True, slots=True)
class SharedFile:
    """The place of a file that the training process and its replicas map."""

    path: str
    nameless: str = ""
    """What the system calls a file that has no name in any folder."""

    @contextmanager
    def opened(self, flags: int = os.O_RDONLY) -> Iterator[str]:
        """Give a path that leads to this file as long as it is open here.

        Raises:
            OSError: the training process has closed it.
        """
        if not self.nameless:
            yield self.path
            return
        self._check(self.path)  # its number may be another file's by now, even before that is opened
        descriptor = os.open(self.path, flags)
        try:
            path = f"/proc/self/fd/{descriptor}"
            self._check(path)
            yield path
        finally:
            os.close(descriptor)

    def exists(self) -> bool:
        """Check that the training process still has the file."""
        try:
            with self.opened():
                return Path(self.path).exists()
        except OSError:
            return False

    def _check(self, path: str) -> None:
        if self.nameless not in str(Path(path).readlink()):
            raise FileNotFoundError(path)


class NewSharedFile:
    """A new, empty file to share.

    On Linux it is in memory and has no name: it goes with the last process that has it open or mapped, even if all are
    killed. Elsewhere it is in a temporary folder.
    """

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self._descriptor: int | None = None
        if hasattr(os, "memfd_create") and Path("/proc/self/fd").exists():
            name = f"bearcnn-{secrets.token_hex(8)}"
            self._descriptor = os.memfd_create(name)
            self.place = SharedFile(f"/proc/{os.getpid()}/fd/{self._descriptor}", name)
        else:
            self._folder = TemporaryDirectory(prefix="bearcnn-", ignore_cleanup_errors=True)
            self.place = SharedFile(str(Path(self._folder.name) / "memory"))

    def close(self) -> None:
        """Close it; what is mapped stays."""
        if self._folder is not None:
            self._folder.cleanup()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class Pixels:
    """Decoded pixels as a file that another process can map: a data set's own, or a copy."""

    file: SharedFile
    offset: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], new: Callable[[], SharedFile]) -> "Pixels":
        """Find the file of pixels, uint8, or write a `new` one."""
        base: Any = pixels.base  # a view's is another array
        if isinstance(pixels, np.memmap) and isinstance(base, mmap.mmap):
            return cls(SharedFile(str(pixels.filename)), pixels.offset, pixels.shape)
        file = new()
        np.ascontiguousarray(pixels).tofile(file.path)
        return cls(file, 0, pixels.shape)

    def open(self) -> NDArray[np.uint8]:
        """Map the file."""
        with self.file.opened() as path:
            return np.memmap(path, np.uint8, "r", self.offset, self.shape)


@dataclass(frozen=True, slots=True)
class Task:
    """What a replica needs to compute slices of a training run."""

    model: ModelConfig
    output_classes: tuple[int, ...]
    unfrozen: int
    loss_weights: tuple[float, float]
    label_smoothing: float
    bfloat16: bool
    seed: int
    slices: int
    memory: SharedFile
    pixels: Pixels
    train: PixelDataset  # without pixels
    valid: PixelDataset
    batch_size: int
    valid_batch_size: int
    augment: AugmentConfig
    sampling: bool
    repeats: int


class ReplicaProcess:
    """The training process's side of one replica; it is `ready` some seconds after it was started."""

    def __init__(self, started: StartedReplica | None = None) -> None:
        self.started = started or StartedReplica()
        self.ready = self.lost = False
        self.own: tuple[int, ...] = ()
        self.error = ""
        self._connection: Connection | None = None
        self._task: Task | None = None
        self._preparing = threading.Lock()

    def prepare(self, task: Task) -> None:
        """Give it a training run; `ready` turns true when it can compute. An earlier run's is forgotten."""
        self.ready, self._task = False, task
        threading.Thread(target=self._prepare, args=(task,), daemon=True).start()

    def _prepare(self, task: Task) -> None:
        with self._preparing:
            if self._task is not task:
                return
            try:
                if self._connection is None:
                    self._connection = self.started.listener.accept()
                self._connection.send(task)
                answer = self._connection.recv()
                while not isinstance(answer, bool) and answer[0] != FAILED:  # of steps that nobody waited for
                    answer = self._connection.recv()
            except LOST:
                self.lost = True
                return
            if not isinstance(answer, bool):
                self.error = answer[1]
            elif self._task is task:
                self.ready = answer

    def send(self, *message: Any) -> None:
        """Send a message; a lost replica is only marked."""
        if not self.lost:
            assert self._connection is not None
            try:
                self._connection.send(message)
            except OSError:
                self._lose()

    def receive(self, number: int) -> Any:
        """Wait for the answer to message `number`, passing over older ones; None from a lost replica.

        Raises:
            RuntimeError: as `check`.
        """
        assert self._connection is not None
        while not self.lost:
            try:
                answered, answer = self._connection.recv()
            except LOST:
                self.lost = True
            else:
                if answered == number:
                    return answer
                if answered == FAILED:
                    self.error = answer
                    self._lose()
        self.check()
        return None

    def _lose(self) -> None:
        """Mark the replica as lost, and read what it may have left."""
        self.lost = True
        assert self._connection is not None
        with suppress(*LOST):
            while True:
                answered, answer = self._connection.recv()
                if answered == FAILED:
                    self.error = answer

    def check(self) -> None:
        """Raise an error of the process as this process's own, with its traceback.

        Raises:
            RuntimeError: it had one.
        """
        if self.error:
            raise RuntimeError(f"a replica failed:\n{self.error}")

    def close(self) -> None:
        """End the process."""
        self.lost = True
        self.started.close()
        if self._connection is not None:
            self._connection.close()


def use_one_thread() -> None:
    """Let torch and OpenCV compute in the thread that calls them: other threads would wait, or spin."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
