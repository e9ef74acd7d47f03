"""Training on several cores: each step's slices are computed side by side, each with one compute thread.

Which process computes a slice changes no bit. So replicas join while the training run goes on, when they are ready, and
where one is lost the training process computes its slices itself.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, SkipToEpoch
from fastai.learner import Recorder
from torch import Tensor

from bearcnn.config import Config
from bearcnn.machine import usable_threads
from bearcnn.replica_start import count_slices, take_started
from bearcnn.training.dataloaders import PixelLoader
from bearcnn.training.gradients import SliceStep, StepMemory, count_elements, validate_slices
from bearcnn.training.pixel_dataset import PixelDataset
from bearcnn.training.replica_process import NewSharedFile, Pixels, ReplicaProcess, SharedFile, Task, use_one_thread
from bearcnn.training.slices import Batches, Slices

_START_SECONDS = 10.0
"""Seconds that replicas must save for the rest of a fit before they are started: becoming ready takes each of them some
seconds of a core, and twice that beside other programs."""

_MEASURED_STEPS = 10
"""Steps of an epoch before it is known how long one takes."""

_LOOKERS = (TrainEvalCallback, Recorder, ParamScheduler, SkipToEpoch, ProgressCallback)
"""fastai's callbacks that change nothing about a batch."""


def choose_replicas(config: Config, device: torch.device, cbs: Sequence[Callback] = ()) -> int:
    """Choose the number of slices of a batch, as `replica_start.count_slices` does for a processor.

    A user's own callbacks see whole batches, and CUDA computes them.
    """
    if config.train.replicas == "auto" and (cbs or device.type != "cpu"):
        return 1
    return count_slices(config)


class ReplicaPool:
    """Replicas that several training runs use one after the other, such as the folds of a cross-validation.

    Those that were started ahead are in it.
    """

    def __init__(self) -> None:
        self.processes = [ReplicaProcess(started) for started in take_started()]

    def __enter__(self) -> "ReplicaPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of them."""
        while self.processes:
            self.processes.pop().close()


class Replicas(Slices):
    """A step in slices, by this process and its replicas; with one slice, fastai's own step.

    Other callbacks see this process's last slice as the batch.

    Args:
        config: the network and how it is trained.
        slices: number of slices of a batch; by default as `train.replicas` says, and one if that is still auto.
        pool: where replicas stay after a fit; None to end them with it.
        yields: whether a callback that isn't known to leave batches alone gets whole batches, and so other weights.
        on_lost: is told, in a sentence, of a lost replica.
    """

    def __init__(
        self,
        config: Config,
        slices: int | None = None,
        *,
        pool: ReplicaPool | None = None,
        yields: bool = False,
        on_lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__()
        said = config.train.replicas
        self.slices = slices or (1 if said == "auto" else said)
        self.config, self.yields, self.on_lost = config, yields, on_lost
        self._own_pool = pool is None
        self._pool = pool or ReplicaPool()
        self._shares_validation = False
        self._files: list[NewSharedFile] = []

    def before_fit(self) -> None:
        self.close()
        if self.slices == 1 or (self.yields and self._changes_batches()) or self.dls.train.dataset.maps is not None:
            return
        self._sliced = True
        self._threads = torch.get_num_threads(), cv2.getNumThreads()
        use_one_thread()
        flat = None
        self._wanted = min(self.slices, usable_threads()) - 1
        if self._wanted > 0:
            size = count_elements(self.model, self.slices)
            with self._share().opened(os.O_RDWR) as path:
                flat = torch.from_file(path, shared=True, size=size)
        memory = StepMemory(self.model, self.slices, flat)
        memory.share_weights()
        self._slice_step = SliceStep(self.model, memory, self.loss_func, self.config.train.seed)
        self._joined: list[ReplicaProcess] = []
        self._message = 0
        if self._wanted and self._pool.processes:
            self._start()

    def before_train(self) -> None:
        if self._sliced:
            self._asked_at, self._gone = time.perf_counter(), -1
            self._assign(0)

    def before_batch(self) -> None:
        if not self._sliced or not self.training:
            return
        loader: PixelLoader = self.dl
        delivered = loader.delivered
        if self._gone < self.iter:
            self._go(self.iter)
        slices = zip(*(part.split(loader.slice_sizes(delivered)) for part in (*self.xb, *self.yb)), strict=True)
        parts = dict(zip(delivered, slices, strict=True))
        for each in self._own_slices[:-1]:
            self._compute(each, parts.get(each))
        self._row = self._own_slices[-1]
        batch = parts.get(self._row) or loader.make_slices(self.iter, (self._row,))
        self._slice_step.begin(loader.epoch, self.iter, self._row)
        self.learn.xb, self.learn.yb = batch[:1], batch[1:]

    def after_backward(self) -> None:
        if not self._sliced:
            return
        self._slice_step.keep(self._row)
        for replica in self._joined:
            if replica.receive(self._message) is None:
                for each in replica.own:
                    self._compute(each, None)
        self.learn.loss, self.class_loss = self._slice_step.add_up()

    def after_step(self) -> None:
        # Replicas begin the next step while fastai finishes this one.
        if self._sliced and self.iter + 1 < self.n_iter:
            self._go(self.iter + 1)

    def after_batch(self) -> None:
        if (
            self._sliced
            and self.training
            and self.iter == _MEASURED_STEPS
            and self._wanted
            and not self._pool.processes
        ):
            step = (time.perf_counter() - self._asked_at) / (self.iter + 1)
            steps = self.n_iter * (self.n_epoch - self.epoch) - self.iter
            if steps * step * (1 - 1 / (self._wanted + 1)) > _START_SECONDS:
                self._start()

    def share_validation(self) -> None:
        """Let replicas validate their slices of the photos; the Learner then goes through its own."""
        self._shares_validation = self._sliced and self.dl is self.dls.valid
        if self._shares_validation:
            self._message += 1
            self.dl.cut(self.slices, self._own_slices)
            for replica in self._joined:
                replica.send("validate", self._message, self.dl.size, replica.own)

    def collect_validation(self, logits: Batches, labels: Batches) -> tuple[Batches, Batches]:
        """Return own logits (photos, outputs) and labels (photos,), and those of what replicas validated."""
        if not self._shares_validation:
            return logits, labels
        loader: PixelLoader = self.dls.valid
        for replica in self._joined:
            answers = replica.receive(self._message)
            loader.cut(self.slices, replica.own)
            assert loader.dataset.labels is not None
            theirs = np.concatenate([loader.dataset.labels[each :: self.slices] for each in replica.own])
            logits.append(validate_slices(self.model, loader) if answers is None else torch.from_numpy(answers))
            labels.append(torch.from_numpy(theirs))
        loader.cut(1, (0,))
        return logits, labels

    def close(self) -> None:
        """End the fit's replicas, or leave them to the pool, and give the network memory of its own again."""
        if not self._sliced:
            return
        super().close()
        torch.set_num_threads(self._threads[0])
        cv2.setNumThreads(self._threads[1])
        if self._own_pool:
            self._pool.close()
        while self._files:
            self._files.pop().close()

    def _changes_batches(self) -> bool:
        others = [each for each in self.learn.cbs if not isinstance(each, _LOOKERS)]
        return any(not type(each).__module__.startswith("bearcnn.") for each in others)

    def _compute(self, each: int, batch: Sequence[Tensor] | None) -> None:
        """Compute a slice in this process, besides the one that fastai computes."""
        loader: PixelLoader = self.dl
        self._slice_step.begin(loader.epoch, self.iter, each)
        self._slice_step.compute(self.model, each, batch or loader.make_slices(self.iter, (each,)))
        self._slice_step.uncount()

    def _go(self, number: int) -> None:
        """Let replicas begin batch `number`, those that have become ready as well."""
        if self._joined != self._present():
            self._assign(number)
        self._message += 1
        self._gone = number
        for replica in self._joined:
            replica.send("step", self._message)

    def _present(self) -> list[ReplicaProcess]:
        """List the replicas that can compute for this fit; others of the pool may be ready for an earlier one."""
        return [replica for replica in self._pool.processes[: self._wanted] if replica.ready and not replica.lost]

    def _assign(self, number: int) -> None:
        """Deal the slices out to the processes that are there, from batch `number` of this epoch."""
        for replica in self._pool.processes:
            replica.check()
        for replica in [each for each in self._pool.processes if each.lost]:
            if replica in self._joined:
                self.on_lost("a process of the training run was ended by something else; it goes on with one less")
            replica.close()
            self._pool.processes.remove(replica)
        loader: PixelLoader = self.dls.train
        self._joined = self._present()
        own, *others = np.array_split(np.arange(self.slices), len(self._joined) + 1)
        self._own_slices = tuple(own.tolist())
        loader.cut(self.slices, self._own_slices)
        for replica, each in zip(self._joined, others, strict=True):
            replica.own = tuple(each.tolist())
            replica.send("epoch", loader.epoch, loader.size, number, replica.own)

    def _start(self) -> None:
        """Start the replicas that are missing, and give all of them this fit."""
        missing = self._wanted - len(self._pool.processes)
        self._pool.processes += [ReplicaProcess() for _ in range(missing)]
        train, valid = self.dls.train, self.dls.valid
        body = self.model.body
        task = Task(
            model=self.config.model,
            output_classes=self.model.output_classes,
            unfrozen=0 if body is None else body.unfrozen,
            loss_weights=tuple(self.loss_func.weights.tolist()),
            label_smoothing=self.loss_func.smoothing,
            bfloat16=hasattr(self.learn, "b_float16_blocks"),
            seed=self.config.train.seed,
            slices=self.slices,
            memory=self._files[0].place,
            pixels=Pixels.of(train.dataset.pixels, self._share),
            train=_without_pixels(train.dataset),
            valid=_without_pixels(valid.dataset),
            batch_size=train.bs,
            valid_batch_size=valid.bs,
            augment=train.augment,
            sampling=train.sampling,
            repeats=train.repeats,
        )
        for replica in self._pool.processes[: self._wanted]:
            replica.prepare(task)

    def _share(self) -> SharedFile:
        """Make a file for this process and its replicas, until the end of this fit."""
        self._files.append(NewSharedFile())
        return self._files[-1].place


def _without_pixels(photos: PixelDataset) -> PixelDataset:
    return replace(photos, items=range(len(photos)), pixels=np.empty((0, *photos.pixels.shape[1:]), np.uint8))
