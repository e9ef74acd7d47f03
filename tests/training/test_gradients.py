import copy

import pytest
import torch
from torch import nn

from bearcnn.config import ModelConfig
from bearcnn.model.network import build_model
from bearcnn.training.gradients import SliceStep, StepMemory
from bearcnn.training.learner import lay_out
from bearcnn.training.losses import SubclassCrossEntropy

CLASSES = (0, 0, 1)


def make_network(norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    config = ModelConfig(widths=(8, 16), dropout=0.0, norm="batch" if norm else "none")
    network = build_model(config, CLASSES).train()
    return lay_out(network, torch.device("cpu"))


def make_batch(photos: int = 12) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (photos, 16, 16, 3), generator=random, dtype=torch.uint8).permute(0, 3, 1, 2)
    subclasses = torch.randint(0, 3, (photos,), generator=random)
    return pixels, (subclasses == 2).long(), subclasses


def make_loss(smoothing: float = 0.1) -> SubclassCrossEntropy:
    return SubclassCrossEntropy(CLASSES, torch.tensor([0.6, 1.4]), smoothing)


def step_in_slices(network: nn.Module, slices: int, order: list[int] | None = None):
    step = SliceStep(network, StepMemory(network, slices), make_loss(), seed=0)
    step.memory.share_weights()
    for each in order or range(slices):
        step.begin(0, 0, each)
        step.compute(network, each, [part[each::slices] for part in make_batch()])
        step.uncount()
    return step.add_up()


@pytest.mark.parametrize("slices", [2, 3, 5])
def test_slices_give_the_gradient_and_the_losses_of_the_whole_batch_without_batch_norm(slices):
    whole, sliced = make_network(norm=False), make_network(norm=False)
    pixels, labels, subclasses = make_batch()
    logits = whole(pixels)
    loss = make_loss()(logits, labels, subclasses)
    loss.backward()
    got, of_classes = step_in_slices(sliced, slices)
    assert got.item() == pytest.approx(loss.item(), rel=1e-6)
    assert of_classes.item() == pytest.approx(make_loss()(logits, labels).item(), rel=1e-6)
    for expected, weight in zip(whole.parameters(), sliced.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, expected.grad, rtol=1e-4, atol=1e-6)
        assert weight.grad.stride() == weight.stride()  # what the fused optimizer expects


def test_the_order_in_which_slices_are_computed_changes_no_bit():
    first, second = make_network(), make_network()
    step_in_slices(first, 3)
    step_in_slices(second, 3, [2, 0, 1])
    for left, right in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(left.grad, right.grad)
    averages = dict(first.named_buffers())
    for name, value in second.named_buffers():
        if "running" in name:
            assert torch.equal(value, averages[name])


def test_running_averages_are_the_mean_of_the_slices():
    network, alone = make_network(), make_network()
    step_in_slices(network, 2)
    means = []
    for each in range(2):
        one = copy.deepcopy(alone)
        one(make_batch()[0][each::2])
        means.append(one.blocks[0].convolution[1].running_mean)
    torch.testing.assert_close(network.blocks[0].convolution[1].running_mean, torch.stack(means).mean(0))


def test_a_network_has_memory_of_its_own_again_with_the_same_values():
    network = make_network()
    step = SliceStep(network, StepMemory(network, 2), make_loss(), seed=0)
    step.memory.share_weights()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    step.memory.release_weights()
    step.release_averages()
    step.memory.flat.fill_(7)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert network.blocks[0].convolution[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_weight_without_gradient_counts_as_zero():
    network = make_network()
    network.unused = nn.Parameter(torch.ones(3))
    step_in_slices(network, 2)
    assert torch.equal(network.unused.grad, torch.zeros(3))
