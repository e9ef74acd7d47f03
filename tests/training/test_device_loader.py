"""Batches made on the device beside those of the processor, and a whole fit on them."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from fastai.learner import Recorder as FastaiRecorder
from torch.utils._python_dispatch import TorchDispatchMode

from bearcnn.config import AugmentConfig
from bearcnn.data.dataset import Dataset
from bearcnn.errors import RunError
from bearcnn.runs import create_run
from bearcnn.training import fit as fitting
from bearcnn.training import learner as learners
from bearcnn.training.callbacks import EpochMetrics
from bearcnn.training.checkpoint import TrainingState
from bearcnn.training.dataloaders import PixelLoader, build_dataloaders
from bearcnn.training.device_loader import DeviceLoader, HeldPhotos, keep_on_device
from bearcnn.training.device_recorder import DeviceRecorder
from bearcnn.training.pixel_dataset import PixelDataset
from tests.helpers.training import small_config

CPU = torch.device("cpu")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
STILL = AugmentConfig(flip=0, crop=1, stretch=1, rotation=0, brightness=0, contrast=0)


def make_data(count=21, maps_of=0, subclasses=True) -> PixelDataset:
    """Photos in another order than their rows; with `maps_of` views of each, maps that say which photo and view."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2 * count, 16, 16, 3), dtype=np.uint8)
    rows = random.permutation(2 * count)[:count]
    maps = None
    if maps_of:
        numbers = np.arange(2 * count * maps_of, dtype=np.float16).reshape(2 * count, maps_of, 1, 1, 1)
        maps = np.broadcast_to(numbers, (2 * count, maps_of, 2, 2, 5))
    labels = (np.arange(count) % 4 == 0).astype(np.int64)
    classes = ("not_bear", "bear")
    return PixelDataset(
        range(count), pixels, rows, labels, np.arange(count) % 5 if subclasses else None, classes, "squish", maps
    )


def pair(data: PixelDataset, device="cpu", batch_size=4, **options) -> tuple[PixelLoader, DeviceLoader]:
    target = torch.device(device)
    held = HeldPhotos.send(data, target)
    return (
        PixelLoader(data, batch_size, device=target, **options),
        DeviceLoader(data, batch_size, device=target, held=held, **options),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [16, 12, 8])
@pytest.mark.parametrize("augment", [STILL, AugmentConfig(), None], ids=["still", "varied", "validation"])
def test_batches_are_those_of_the_processor(augment, size, device):
    training = {"shuffle": True, "drop_last": True, "repeats": 2, "sampling": True} if augment else {}
    loaders = pair(make_data(), device, augment=augment, seed=3, **training)
    for loader in loaders:
        loader.epoch, loader.size = 2, size
    theirs, ours = (list(loader) for loader in loaders)
    assert len(theirs) == len(ours) == len(loaders[1])
    for (pixels, *targets), (others, *other_targets) in zip(theirs, ours, strict=True):
        assert pixels.shape == others.shape and others.dtype == torch.uint8
        assert others.is_contiguous(memory_format=torch.channels_last)
        assert (pixels.int() - others.int()).abs().max() <= 2  # rounding: see test_device_augment.py
        assert len(targets) == len(other_targets)
        assert all(torch.equal(one, other) for one, other in zip(targets, other_targets, strict=True))


@pytest.mark.parametrize("views", [2, 6])
@pytest.mark.parametrize("training", [True, False])
def test_maps_are_those_of_the_processor_to_the_bit(views, training):
    options = {"shuffle": True, "drop_last": True, "augment": AugmentConfig()} if training else {}
    theirs, ours = (list(loader) for loader in pair(make_data(maps_of=views), **options))
    for batch, other in zip(theirs, ours, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(batch, other, strict=True))
    assert ours[0][0].dtype == torch.float16


def test_batches_drawn_in_several_parts_are_the_same(monkeypatch):
    data, options = make_data(), {"shuffle": True, "drop_last": True, "augment": AugmentConfig(), "repeats": 3}
    together = list(pair(data, **options)[1])
    monkeypatch.setattr("bearcnn.training.device_loader._DRAWN_AHEAD", 4)
    apart = list(pair(data, **options)[1])
    assert len(apart) == 15
    assert all(torch.equal(one[0], other[0]) for one, other in zip(together, apart, strict=True))


def test_photos_sent_in_several_parts_are_the_same(monkeypatch):
    data = make_data()
    monkeypatch.setattr("bearcnn.training.device_loader._CHUNK", 5 * data.pixels[0].nbytes)
    np.testing.assert_array_equal(HeldPhotos.send(data, CPU).inputs.numpy(), data.pixels[data.rows])


def test_other_photos_come_from_a_loader_of_their_own():
    data = make_data(maps_of=2)
    _, loader = pair(data, shuffle=True, drop_last=True, augment=AugmentConfig())
    assert type(loader.new(shuffle=False)) is DeviceLoader
    new = loader.new([np.zeros((16, 16, 3), np.uint8)], shuffle=False, drop_last=False)
    assert type(new) is PixelLoader
    assert [batch[0].shape for batch in new] == [(1, 3, 16, 16)]
    assert loader.one_batch()[0].dtype == torch.uint8, "the photos, to look at"
    assert type(loader.new(data.new_empty())) is PixelLoader, "what is exported has no photos"


@pytest.fixture(scope="module")
def opened(photos):
    config = small_config(photos, "data.image_size=24", "model.widths=[4, 8]")
    return config, Dataset.from_config(config.data)


def test_photos_that_do_not_fit_stay_where_they_are(opened):
    loaders = build_dataloaders(*opened, CPU)
    train, valid = (len(loader.dataset) * 3 * 24 * 24 for loader in loaders.loaders)
    assert train > valid

    def kinds(memory):
        return [type(loader) for loader in keep_on_device(loaders, memory).loaders]

    assert kinds(train + valid) == [DeviceLoader, DeviceLoader]
    assert kinds(train + valid - 1) == [DeviceLoader, PixelLoader]
    assert kinds(train - 1) == [PixelLoader, DeviceLoader]
    assert kinds(0) == [PixelLoader, PixelLoader]
    kept, plain = keep_on_device(loaders, 10**9).train, loaders.train
    for name in ("repeats", "n", "bs", "shuffle", "drop_last", "augment", "sampling", "seed", "size", "device"):
        assert getattr(kept, name) == getattr(plain, name)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Training on the processor in the way of a GPU."""
    monkeypatch.setattr(
        learners, "build_dataloaders", lambda *given: keep_on_device(build_dataloaders(*given), memory=10**9)
    )
    monkeypatch.setattr(learners, "Recorder", DeviceRecorder)
    monkeypatch.setattr(fitting, "EpochMetrics", partial(EpochMetrics, check_every=100))


def quietly(learn, call):
    with learn.no_bar(), learn.no_logging():
        return call()


def test_a_fit_on_the_device_learns_the_same(opened, monkeypatch, request):
    def fitted():
        learn = learners.build_learner(*opened)
        quietly(learn, lambda: learn.fit_one_cycle(2))
        return learn

    theirs = fitted()
    assert type(theirs.recorder) is FastaiRecorder
    request.getfixturevalue("as_on_a_gpu")
    ours = fitted()
    assert type(ours.dls.train) is DeviceLoader
    assert list(ours.recorder.values[-1]) == pytest.approx(list(theirs.recorder.values[-1]), abs=2e-3)
    assert len(ours.recorder.losses) == len(theirs.recorder.losses) == 2 * len(ours.dls.train)
    losses, expected = (torch.stack(list(learn.recorder.losses)) for learn in (ours, theirs))
    torch.testing.assert_close(losses, expected, atol=2e-3, rtol=0)
    probabilities, labels = quietly(ours, ours.get_preds)
    assert labels.tolist() == opened[1].arrays("valid")[1].tolist()
    assert probabilities.shape == (len(labels), 2)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_loss_that_is_not_a_number_is_never_kept(opened, tmp_path, monkeypatch):
    config, dataset = opened
    forward = learners.SubclassCrossEntropy.forward
    seen = Counter()

    def breaks_in_the_second_epoch(self, logits, *targets):
        if self.training and torch.is_grad_enabled() and logits.requires_grad:
            seen["batches"] += 1
            if seen["batches"] == per_epoch + 2:
                return forward(self, logits * torch.nan, *targets)
        return forward(self, logits, *targets)

    per_epoch = len(build_dataloaders(config, dataset, CPU).train)
    assert per_epoch < 100
    monkeypatch.setattr(learners.SubclassCrossEntropy, "forward", breaks_in_the_second_epoch)
    run = create_run(tmp_path / "run", config)
    with pytest.raises(RunError, match="not a number in epoch 2;"):
        fitting.fit(run, dataset)
    assert seen["batches"] == 2 * per_epoch, "nobody looked before the epoch's end"
    assert [record.epoch for record in run.history()] == [1]


class Waits(TorchDispatchMode):
    """Counts what would wait for a GPU: values read back, and results whose size depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}:
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.usefixtures("as_on_a_gpu")
def test_no_batch_waits_for_the_device(opened, monkeypatch):
    config, dataset = opened

    def waits(repeats: int) -> tuple[int, int]:
        learn = learners.build_learner(config, dataset)
        train = learn.dls.train
        learn.dls.loaders[0] = train.new(repeats=repeats)
        copies = Counter()
        to_processor = torch.Tensor.cpu

        def cpu(tensor, *given):
            copies["cpu"] += 1
            return to_processor(tensor, *given)

        monkeypatch.setattr(torch.Tensor, "cpu", cpu)
        metrics = fitting.EpochMetrics(TrainingState(), "roc_auc")
        with Waits() as counted:
            # Without one cycle: its schedule is computed with tensors that are on the processor in any case.
            quietly(learn, lambda: learn.fit(1, cbs=metrics))
        monkeypatch.setattr(torch.Tensor, "cpu", to_processor)
        return sum(counted.counts.values()) + copies["cpu"], len(learn.recorder.losses)

    (few, batches), (many, more) = waits(1), waits(5)
    assert more > 4 * batches
    assert few > 0, "the epoch's end does wait"
    assert many == few
