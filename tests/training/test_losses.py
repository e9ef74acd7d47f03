import pytest
import torch
from torch.nn import functional as F

from bearcnn.training.losses import SubclassCrossEntropy

CLASSES = (0, 0, 0, 1, 1)


def logits_and_subclasses(count=50):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 5, generator=generator), torch.randint(0, 5, (count,), generator=generator)


def test_two_kinds_are_plain_cross_entropy_with_or_without_naming_them():
    logits, weights = torch.randn(20, 2), torch.tensor([0.7, 1.6])
    labels = torch.arange(20) % 2
    loss = SubclassCrossEntropy((0, 1), weights, 0.1)
    expected = F.cross_entropy(logits, labels, weight=weights, label_smoothing=0.1)
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(loss(logits, labels, labels), expected)


def test_where_only_the_class_is_known_its_kinds_are_summed():
    logits, subclasses = logits_and_subclasses()
    labels = (subclasses >= 3).long()
    bear = logits.softmax(1)[:, 3:].sum(1)
    expected = -torch.where(labels == 1, bear, 1 - bear).log().mean()
    torch.testing.assert_close(SubclassCrossEntropy(CLASSES, torch.ones(2), 0.0)(logits, labels), expected)


def test_a_kind_weighs_as_much_as_its_class():
    logits, subclasses = logits_and_subclasses()
    labels = (subclasses >= 3).long()
    weights = torch.tensor([0.5, 2.0])
    each = F.cross_entropy(logits, subclasses, reduction="none") * weights[labels]
    expected = each.sum() / weights[labels].sum()
    torch.testing.assert_close(SubclassCrossEntropy(CLASSES, weights, 0.0)(logits, labels, subclasses), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_least_for_the_right_answer(smoothing):
    loss = SubclassCrossEntropy(CLASSES, torch.ones(2), smoothing)
    right, wrong = torch.eye(5)[[3]] * 3, torch.eye(5)[[0]] * 3
    label, kind = torch.tensor([1]), torch.tensor([3])
    assert loss(right, label, kind) < loss(wrong, label, kind)
    assert loss(right, label) < loss(wrong, label)
