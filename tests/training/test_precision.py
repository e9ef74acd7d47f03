"""Number formats of 16 bits: which one a device gets, and float16's scaled loss."""

from collections.abc import Iterable

import pytest
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.learner import Learner

from bearcnn.data.dataset import Dataset
from bearcnn.runs import create_run
from bearcnn.training import fit as fitting
from bearcnn.training import learner as learners
from bearcnn.training.checkpoint import read_checkpoint
from bearcnn.training.learner import build_learner, choose_precision
from bearcnn.training.precision import Float16Blocks
from tests.helpers.training import StopAfter, small_config

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def opened(photos):
    config = small_config(photos, "data.image_size=24", "model.widths=[4, 8]")
    return config, Dataset.from_config(config.data)


class StopFit(Callback):
    """The end of a fit after some batches."""

    order = 2000

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def after_batch(self):
        if self.iter + 1 == self.count:
            raise CancelFitException


class Gradients(Callback):
    """The gradients of each step, as other callbacks see them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, torch.Tensor]] = []

    def before_step(self):
        self.seen.append({name: weights.grad.clone() for name, weights in self.model.named_parameters()})


def flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def train(opened, steps: int, *callbacks: Callback) -> Learner:
    learn = build_learner(*opened, cbs=callbacks)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=StopFit(steps))
    return learn


@pytest.mark.parametrize(
    ("bfloat16", "capability", "expected"),
    [(True, (9, 0), "bfloat16"), (False, (7, 5), "float16"), (False, (7, 0), "float16"), (False, (6, 1), "float32")],
)
def test_each_gpu_gets_its_fastest_format(bfloat16, capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", CUDA) == getattr(torch, expected)
    for asked in ("float32", "bfloat16"):
        assert choose_precision(asked, CUDA) == getattr(torch, asked)


def test_a_learner_takes_the_callback_of_its_format(opened, monkeypatch):
    for chosen, name in (
        (torch.float32, None),
        (torch.bfloat16, "b_float16_blocks"),
        (torch.float16, "float16_blocks"),
    ):
        monkeypatch.setattr(learners, "choose_precision", lambda *_, chosen=chosen: chosen)
        learn = build_learner(*opened)
        found = [each for each in ("b_float16_blocks", "float16_blocks") if hasattr(learn, each)]
        assert found == ([name] if name else [])


def test_float16_trains_as_float32_but_for_rounding(opened):
    gradients, exact_gradients = Gradients(), Gradients()
    learn, exact = train(opened, 2, Float16Blocks(CPU), gradients), train(opened, 2, exact_gradients)
    assert learn.float16_blocks.scaler.get_scale() == 2**16
    losses, expected = (torch.stack(list(each.recorder.losses)) for each in (learn, exact))
    torch.testing.assert_close(losses, expected, atol=0, rtol=0.01)
    # Other callbacks see the gradients as they are, not as they are scaled: clipping would go wrong.
    one, other = (flat(each.seen[0].values()) for each in (gradients, exact_gradients))
    assert (one - other).norm() < 0.1 * other.norm()
    fresh = flat(build_learner(*opened).model.parameters())
    moved, wanted = (flat(each.model.parameters()) - fresh for each in (learn, exact))
    assert (moved - wanted).norm() < 0.3 * wanted.norm()


def test_a_step_that_overflows_is_skipped_and_halves_the_scale(opened):
    learn = train(opened, 3, Float16Blocks(CPU, scale=2.0**60))
    for one, other in zip(learn.model.parameters(), build_learner(*opened).model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert learn.float16_blocks.scaler.get_scale() == 2.0**57
    assert all(torch.isfinite(loss) for loss in learn.recorder.losses)


@pytest.mark.slow
def test_float16_resumes_to_the_bit_with_its_scale(opened, tmp_path):
    config, dataset = opened

    def cbs():
        return [Float16Blocks(CPU, scale=2.0**40)]

    whole = create_run(tmp_path / "whole", config)
    fitting.fit(whole, dataset, cbs=cbs())
    broken = create_run(tmp_path / "broken", config)
    fitting.fit(broken, dataset, cbs=cbs(), reporter=StopAfter(1))
    assert read_checkpoint(broken).state.loss_scale["scale"] < 2.0**40
    fitting.fit(broken, dataset, resume=True, cbs=cbs())
    one, other = read_checkpoint(whole), read_checkpoint(broken)
    assert one.state.loss_scale == other.state.loss_scale
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
