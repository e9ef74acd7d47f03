"""One training run in several processes, on one computer or on several: which they are, and what they tell each other.

In torch.distributed's terms, a world has ranks. Each is told by the environment variables RANK, WORLD_SIZE and
LOCAL_RANK, as `torchrun` and `bearcnn train --devices` set them, or is in a process group that somebody else has set
up, as Ray does. Rank 0 leads: it alone writes and prints.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from bearcnn.errors import BearcnnError, ConfigError, DataError, RankLostError
from bearcnn.workers import RENDEZVOUS, started_as_rank

STEP_SECONDS = 45
"""A rank that is so far behind the others in a step is taken for lost; one whose process ends is missed at once."""

_START = timedelta(minutes=10)
_PATIENCE = timedelta(days=7)  # while rank 0 decodes photos or exports a model, others wait as long as that takes
_FIRST_TELLER = "bearcnn-lost"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of a training run, seen from one of them. By default there is one alone.

    Each method must be called by all ranks in the same order. It raises RankLostError where one of them is gone.
    """

    rank: int = 0
    size: int = 1
    steps: Any = None  # the process group of tensors, which doesn't wait long
    words: Any = None  # the process group of everything else

    @property
    def leads(self) -> bool:
        """Whether this rank writes and prints."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait for the other ranks, however long they take."""
        if self.size > 1:
            with _telling_losses():
                distributed.barrier(group=self.words)

    def share(self, make: Callable[[], Value]) -> Value:
        """Call a function on rank 0 alone, and return its result on every rank.

        What the user can fix is raised on every rank, and is `told` by rank 0.
        """
        if self.size == 1:
            return make()
        box: list[Any] = [None]
        raised: BaseException | None = None
        if self.leads:
            try:
                box = [(make(), None)]
            except BaseException as caught:
                raised = caught
                box = [(None, caught if isinstance(caught, BearcnnError) else SystemExit(1))]
        with _telling_losses():
            distributed.broadcast_object_list(box, 0, group=self.words)
        if raised is not None:
            raise raised
        value, error = box[0]
        if isinstance(error, BearcnnError):
            error.told = True
        if error is not None:
            raise error
        return value

    def in_turn(self, make: Callable[[], Value]) -> Value:
        """Call a function on rank 0, and then on all others; each gets its own result."""
        made: list[Value] = []
        self.share(lambda: made.append(make()))
        return made[0] if made else make()

    def check_photos(self, fingerprint: str, side: int) -> None:
        """Check that every rank has the same photos, of the same size.

        Raises:
            DataError: a rank has others.
        """
        if self.size == 1:
            return
        found: list[Any] = [None] * self.size
        with _telling_losses():
            distributed.all_gather_object(found, (fingerprint, side), group=self.words)
        others = [rank for rank, each in enumerate(found) if each != found[0]]
        if others:
            error = DataError(
                f"rank {others[0]} of the training run has other photos than rank 0: every computer must see the same "
                "files at data.path, and get the same options"
            )
            error.told = not self.leads
            raise error

    def check_batches(self, batch_size: int) -> None:
        """Check that a batch has photos for every rank.

        Raises:
            ConfigError: batch norm would lack a second one.
        """
        if self.size > 1 and batch_size < 2 * self.size:
            error = ConfigError(
                f"train.batch_size: {batch_size} photos are too few for {self.size} devices, of which each needs at "
                f"least 2 of a batch: use fewer devices, or a batch (and a training set) of {2 * self.size} or more"
            )
            error.told = not self.leads
            raise error

    def copy(self, tensor: Tensor) -> None:
        """Replace a tensor's values by those of rank 0."""
        with _telling_losses():
            distributed.broadcast(tensor, 0, group=self.steps)

    def add(self, tensor: Tensor) -> None:
        """Replace a tensor's values by their sums over all ranks."""
        with _telling_losses():
            distributed.all_reduce(tensor, group=self.steps)

    def join(self, part: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the parts of all ranks, one after the other along the first dimension, of which each has a count."""
        padded = part.new_zeros(max(counts), *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in counts]
        with _telling_losses():
            distributed.all_gather(parts, padded, group=self.steps)
        return torch.cat([each[:count] for each, count in zip(parts, counts, strict=True)])


ALONE = World()


@contextmanager
def join_world() -> Iterator[World]:
    """Join the other ranks, if there are any, and leave them at the end; joining once more within changes nothing.

    Raises:
        RankLostError: the others didn't come within ten minutes.
        ConfigError: there are more ranks on this computer than GPUs.
    """
    starts = not (distributed.is_available() and distributed.is_initialized())
    if starts and not started_as_rank():
        yield ALONE
        return
    if starts:
        _start()
    backend = distributed.get_backend()
    world = World(
        distributed.get_rank(),
        distributed.get_world_size(),
        distributed.new_group(backend=backend, timeout=timedelta(seconds=STEP_SECONDS)),
        distributed.new_group(backend="gloo", timeout=_PATIENCE),
    )
    try:
        with _hidden_from_fastai():
            yield world if world.size > 1 else ALONE
    finally:
        if starts:
            distributed.destroy_process_group()


@contextmanager
def _hidden_from_fastai() -> Iterator[None]:
    """Unset WORLD_SIZE: where it is more than 1, fastai's Recorder gathers each batch's loss from all ranks.

    That is one more meeting a step, and a deadlock in validation, where one rank can have a batch more than another.
    """
    size = os.environ.pop("WORLD_SIZE", None)
    try:
        yield
    finally:
        if size is not None:
            os.environ["WORLD_SIZE"] = size


def _start() -> None:
    """Set up the process group that the environment describes: NCCL between GPUs, gloo between processors."""
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        device, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if device >= count:
            raise ConfigError(f"this computer has {count} GPUs, and no {device + 1}th: use fewer `devices`")
        torch.cuda.set_device(device)
    folder = os.environ.get(RENDEZVOUS)
    with _telling_losses():
        distributed.init_process_group(
            "nccl" if on_gpus else "gloo",
            init_method=f"file://{folder}/store" if folder else "env://",
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
            timeout=_START,
        )


@contextmanager
def _telling_losses() -> Iterator[None]:
    """Turn the error of a collective call, which has no type of its own, into RankLostError."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        late = "imed out" in reason or "timeout" in reason.lower()
        lost = RankLostError(
            f"another process of this training run hasn't answered for {STEP_SECONDS} s: it hangs, or its computer "
            "can't be reached"
            if late
            else "another process of this training run has ended"
        )
        lost.told = not _is_first_teller()
        raise lost from error


def _is_first_teller() -> bool:
    """Check whether no other rank has told of a loss; where rank 0 itself kept the list and is lost, each tells."""
    try:
        return bool(distributed.distributed_c10d._get_default_store().add(_FIRST_TELLER, 1) == 1)
    except (RuntimeError, ValueError):
        return True
