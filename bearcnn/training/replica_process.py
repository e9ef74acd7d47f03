"""A process that computes slices of another's training steps, with one compute thread.

The training process keeps everything: weights, optimizer, schedule, callbacks, files. A replica computes gradients: it
reads the weights from memory that both share, and writes its slices' gradients there. Nothing is lost with a replica:
the training process computes its slices itself.

Two compute threads in one process meet hundreds of times a step, and beside any other busy program each meeting waits
for the slower one; processes meet once a step.
"""

import mmap
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
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
class Pixels:
    """Decoded pixels as a file that another process can map: a data set's own, or a copy."""

    file: str
    offset: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], folder: Path) -> "Pixels":
        """Find the file of pixels, uint8, or write one."""
        base: Any = pixels.base  # a view's is another array
        if isinstance(pixels, np.memmap) and isinstance(base, mmap.mmap):
            return cls(str(pixels.filename), pixels.offset, pixels.shape)
        file = folder / "pixels"
        if not file.exists():
            np.ascontiguousarray(pixels).tofile(file)
        return cls(str(file), 0, pixels.shape)

    def open(self) -> NDArray[np.uint8]:
        """Map the file."""
        return np.memmap(self.file, np.uint8, "r", self.offset, self.shape)


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
    memory: str
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


def memory_folder() -> str | None:
    """Return the folder for a training run's memory: one in memory where the computer has that; None for the usual."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - the names in it can't be guessed


def use_one_thread() -> None:
    """Let torch and OpenCV compute in the thread that calls them: other threads would wait, or spin."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
