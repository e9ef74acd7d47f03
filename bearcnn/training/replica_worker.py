"""A replica's own side: it computes what the training process asks for, until that is gone."""

import os
import pickle
import signal
import sys
import traceback
from dataclasses import replace
from multiprocessing.connection import Client, Connection
from typing import Any

import torch

from bearcnn.model.bodies import load_body
from bearcnn.model.network import build_model
from bearcnn.training.dataloaders import PixelLoader
from bearcnn.training.gradients import SliceStep, StepMemory, count_elements, validate_slices
from bearcnn.training.losses import SubclassCrossEntropy
from bearcnn.training.precision import compute_in
from bearcnn.training.replica_process import FAILED, LOST, Task, use_one_thread
from bearcnn.workers import end_with_parent


class _Worker:
    """A replica's side: the network and loaders of a task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        body = load_body(task.model)
        if body is not None and task.unfrozen:
            body.unfreeze(task.unfrozen)
        self.model = build_model(task.model, task.output_classes, body=body)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own types
        self.loss = SubclassCrossEntropy(
            self.model.output_classes, torch.tensor(task.loss_weights), task.label_smoothing
        )
        with task.memory.opened(os.O_RDWR) as path:
            flat = torch.from_file(path, shared=True, size=count_elements(self.model, task.slices))
        memory = StepMemory(self.model, task.slices, flat, joins=True)
        memory.share_weights()
        self.step = SliceStep(self.model, memory, self.loss, task.seed)
        if task.bfloat16:
            compute_in(torch.bfloat16, self.model, "cpu")
        pixels = task.pixels.open()
        self.train = PixelLoader(
            replace(task.train, pixels=pixels),
            task.batch_size,
            shuffle=True,
            drop_last=True,
            augment=task.augment,
            sampling=task.sampling,
            seed=task.seed,
            repeats=task.repeats,
        )
        self.valid = PixelLoader(replace(task.valid, pixels=pixels), task.valid_batch_size, seed=task.seed)
        self.batches: Any = iter(())

    def warm_up(self) -> None:
        """Compute the first forward and backward pass, which prepares the convolutions; the memory stays untouched."""
        side = self.train.size
        pixels = torch.zeros(max(2, self.task.batch_size // self.task.slices), 3, side, side, dtype=torch.uint8)
        self.model.train()
        self.model(pixels.contiguous(memory_format=torch.channels_last)).sum().backward()
        for weight in self.model.parameters():
            weight.grad = None

    def start_epoch(self, epoch: int, size: int, first: int, own: tuple[int, ...]) -> None:
        self.model.train()
        self.train.epoch, self.train.size = epoch, size
        self.train.cut(self.task.slices, own)
        self.number, self.own = first, own
        self.batches = self.train.create_batches(self.train.get_idxs(), first)

    def compute(self) -> None:
        batch = next(self.batches)
        sizes = self.train.slice_sizes(self.own)
        for each, *part in zip(self.own, *(tensor.split(sizes) for tensor in batch), strict=True):
            self.step.begin(self.train.epoch, self.number, each)
            self.step.compute(self.model, each, part)
        self.number += 1

    def validate(self, size: int, own: tuple[int, ...]) -> Any:
        self.valid.size = size
        self.valid.cut(self.task.slices, own)
        self.step.restore_averages()
        return validate_slices(self.model, self.valid).numpy()


def _open(task: Task) -> _Worker | None:
    """Open a task, unless its training run has ended meanwhile: then its memory is gone."""
    try:
        worker = _Worker(task)
    except Exception:
        if not task.memory.exists():
            return None
        raise
    worker.warm_up()
    return worker


def _serve(connection: Connection) -> None:
    """Answer the training process until it is gone."""
    worker: _Worker | None = None
    while True:
        message = connection.recv()
        if isinstance(message, Task):
            worker = _open(message)
            connection.send(worker is not None)
            continue
        assert worker is not None
        what, *arguments = message
        if what == "epoch":
            worker.start_epoch(*arguments)
        elif what == "step":
            worker.compute()
            connection.send((arguments[0], True))
        elif what == "validate":
            connection.send((arguments[0], worker.validate(*arguments[1:])))


def main() -> None:
    """Serve the training process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    address, key = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    end_with_parent(sys.stdin.fileno())
    with Client(address, authkey=key) as connection:
        try:
            _serve(connection)
        except LOST:
            pass
        except Exception:
            connection.send((FAILED, traceback.format_exc()))
