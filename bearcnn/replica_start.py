"""The number of slices of a training run's batches, and processes for them that start while torch is loaded.

A replica needs as long to load torch and fastai as the training process does: started with it, it is ready when the
first batch is.
"""

import os
import pickle
import secrets
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Listener
from pathlib import Path
from typing import TYPE_CHECKING

from bearcnn.bodies import NO_BODY
from bearcnn.machine import usable_cpus, usable_threads
from bearcnn.workers import module_path

if TYPE_CHECKING:
    from bearcnn.config import Config

SMALLEST_SLICE = 8
"""Fewest photos of a slice by default: batch norm needs some."""

_WORTH_STARTING = 3_000 * 64**2
"""Pixels of a training run (photos x epochs x width x height) that keep one core busy for some seconds: a replica that
starts beside the command costs little on an idle computer."""

_started: "list[StartedReplica]" = []


class StartedReplica:
    """A process of `training.replica_worker`, which will connect to `listener`; it ends with this process."""

    def __init__(self) -> None:
        key = secrets.token_bytes(16)
        # On Linux a name that is in no folder: a socket's file would stay behind where this process is killed.
        address = f"\0bearcnn-{secrets.token_hex(16)}" if sys.platform == "linux" else None
        self.listener = Listener(address, authkey=key)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": module_path()}
        # In a session of its own: Ctrl-C is for the training process, which ends this one.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bearcnn.workers", "bearcnn.training.replica_worker"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(pickle.dumps((self.listener.address, key)))
        self.process.stdin.flush()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.listener.close()


def count_slices(config: "Config") -> int:
    """Count the slices of a batch on a processor: as configured, or else one for each core this process may use.

    A frozen body's maps are so little work that processes would only wait for each other.
    """
    train = config.train
    if train.replicas != "auto":
        return train.replicas
    if config.model.body != NO_BODY and not train.unfreeze:
        return 1
    return max(1, min(usable_cpus(), train.batch_size // SMALLEST_SLICE))


def start_ahead(config: "Config", photos: int, epochs: int) -> None:
    """Start the replicas of a training run that is long enough to need them.

    Args:
        config: of the training run.
        photos: number of photos of the train split, each of `config.data.image_size`.
        epochs: that are left.
    """
    wanted = min(count_slices(config), usable_threads()) - 1
    has_gpu = Path("/dev/nvidia0").exists()  # which then computes whole batches
    if not has_gpu and photos * epochs * config.data.image_size**2 > _WORTH_STARTING:
        _started.extend(StartedReplica() for _ in range(wanted))


def take_started() -> list[StartedReplica]:
    """Return the replicas that were started ahead, once."""
    taken = _started.copy()
    _started.clear()
    return taken
