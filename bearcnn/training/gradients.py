"""A training step in slices: each gives its gradient, and their sum is the batch's.

A slice has batch norm's statistics of its own photos ("ghost" batch norm; Hoffer et al. 2017), and its own dropout
masks. So the result depends on the number of slices alone: not on which process computes one, or when.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bearcnn.model.network import BearCNN
from bearcnn.training.dataloaders import PixelLoader
from bearcnn.training.losses import SubclassCrossEntropy

_SUMS = 5
"""Behind a slice's gradient and statistics: weight and loss of what is trained, weight and loss of the two classes, and
whether its process was told to stop."""


class StepMemory:
    """What the processes of one training run share: one flat tensor, float32.

    The weights that learn come first, then batch norm's running averages, and then a row for each slice: gradients,
    running averages, sums. A tensor keeps the order of its elements in memory, such as channels last.

    Args:
        model: the network; its weights and averages are copied here.
        slices: number of slices.
        flat: the tensor, of `count_elements`; None for one in the memory of this process.
        joins: whether the tensor has the weights of another network already, which stay.
    """

    def __init__(self, model: nn.Module, slices: int, flat: Tensor | None = None, *, joins: bool = False) -> None:
        self.weights, self.averages = learning_weights(model), running_averages(model)
        self.slices = slices
        weights, averages = _elements(self.weights), _elements(self.averages)
        self.flat = torch.zeros(count_elements(model, slices), device=self.weights[0].device) if flat is None else flat
        self.weight_values = _views(self.flat, self.weights)
        self.average_values = self.flat[weights : weights + averages]
        self.rows = self.flat[weights + averages :].view(slices, -1)
        if not joins:
            with torch.no_grad():
                torch._foreach_copy_(self.weight_values, [weight.data for weight in self.weights])
            if self.averages:
                self.average_values.copy_(torch.cat(self.averages))

    def share_weights(self) -> None:
        """Let the network's weights be these: a step of the optimizer reaches all processes."""
        for weight, values in zip(self.weights, self.weight_values, strict=True):
            weight.data = values

    def release_weights(self) -> None:
        """Give the network weights of its own again, with the same values."""
        for weight in self.weights:
            weight.data = weight.data.clone()


class SliceStep:
    """The computation of a step's slices on one network, and the sum of all slices.

    Args:
        model: the network. Its running averages stay its own: they are set before each slice.
        memory: shared with those who compute the other slices.
        loss: of logits, labels and, in training on subclasses, subclasses.
        seed: of the dropout masks.
    """

    def __init__(self, model: nn.Module, memory: StepMemory, loss: SubclassCrossEntropy, seed: int) -> None:
        self.memory, self.loss, self.seed = memory, loss, seed
        self._averages = torch.zeros_like(memory.average_values)
        self._named = list(zip(*_named_averages(model), strict=True))
        for (module, name), values in zip(self._named, _views(self._averages, memory.averages), strict=True):
            module._buffers[name] = values
        self._averages.copy_(memory.average_values)
        self._counts = [count for name, count in model.named_buffers() if name.endswith("num_batches_tracked")]
        weights = memory.weights
        self._gradients = [_views(row, weights) for row in memory.rows]
        self._total = torch.zeros_like(memory.rows[0])
        self._summed = _views(self._total, weights)
        self.interruptions = self._total[-1]
        self._part = slice(_elements(weights), _elements(weights) + len(self._averages))

    def restore_averages(self) -> None:
        """Give the network the averages of the last step."""
        self._averages.copy_(self.memory.average_values)

    def begin(self, epoch: int, number: int, each: int) -> None:
        """Prepare the network for a slice: the averages from before the step, and the slice's random numbers."""
        self.restore_averages()
        seed = int(np.random.SeedSequence([self.seed, epoch, number, each]).generate_state(1)[0])
        if self.memory.flat.is_cuda:
            torch.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)  # the other asks all kinds of devices, which takes 1.5 ms

    def weigh(
        self, each: int, loss: Tensor, logits: Tensor, targets: Sequence[Tensor], *, interrupted: bool = False
    ) -> Tensor:
        """Turn a slice's mean loss into its sum, which is what slices can add; keep both for the step's mean."""
        weight, logits = self.loss.weigh(*targets), logits.detach()
        of_classes = self.loss.weigh(targets[0])
        row = self.memory.rows[each]
        total: Tensor = loss * weight
        mean = self.loss(logits, targets[0])
        stop = weight.new_tensor(float(interrupted))
        row[-_SUMS:] = torch.stack([weight, total.detach(), of_classes, mean * of_classes, stop])
        return total

    def keep(self, each: int) -> None:
        """Keep the gradient and the averages of a slice, after its backward pass."""
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self.memory.weights]
        torch._foreach_copy_(self._gradients[each], gradients)
        for weight in self.memory.weights:
            weight.grad = None
        self.memory.rows[each][self._part].copy_(self._averages)

    def compute(self, model: nn.Module, each: int, batch: Sequence[Tensor]) -> None:
        """Compute a slice of (pixels, labels, ...), after `begin`."""
        logits = model(batch[0])
        self.weigh(each, self.loss(logits, *batch[1:]), logits, batch[1:]).backward()
        self.keep(each)

    def release_averages(self) -> None:
        """Give the network running averages of its own again, with the same values."""
        for module, name in self._named:
            module._buffers[name] = module._buffers[name].clone()  # type: ignore[union-attr]

    def uncount(self) -> None:
        """Take back that batch norm counted a slice as a batch."""
        if self._counts:  # none without batch norm
            torch._foreach_sub_(self._counts, 1)

    def add_up(self, add_others: Callable[[Tensor], None] | None = None, slices: int = 0) -> tuple[Tensor, Tensor]:
        """Set the gradients and the averages to those of the whole batch; return its loss, and the two classes' loss.

        Raises nothing where a loss is not a number: that is then the result. `interruptions` is then the number of
        slices whose process was told to stop.

        Args:
            add_others: adds slices that aren't in the memory to the sum of those that are, in place.
            slices: number of all slices; by default, of those in the memory.
        """
        total = self._total
        torch.sum(self.memory.rows, 0, out=total)
        if add_others is not None:
            add_others(total)
        weight, loss, of_classes, class_loss, self.interruptions = total[-_SUMS:].clone()
        total[: self._part.start].div_(weight)
        for parameter, gradient in zip(self.memory.weights, self._summed, strict=True):
            parameter.grad = gradient
        torch.div(total[self._part], slices or self.memory.slices, out=self.memory.average_values)
        self.restore_averages()
        return loss / weight, class_loss / of_classes


def validate_slices(model: BearCNN, loader: PixelLoader) -> Tensor:
    """Compute the logits of a loader's own slices, (photos, outputs), in their order."""
    model.eval()
    with torch.no_grad():
        logits = [model(batch[0]) for batch in loader.create_batches(loader.get_idxs())]
    return torch.cat(logits) if logits else torch.empty(0, len(model.output_classes))


def count_elements(model: nn.Module, slices: int) -> int:
    """Count the numbers in the memory of a training run."""
    shared = _elements(learning_weights(model)) + _elements(running_averages(model))
    return shared + slices * (shared + _SUMS)


def learning_weights(model: nn.Module) -> list[nn.Parameter]:
    """List the weights that learn."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def running_averages(model: nn.Module) -> list[Tensor]:
    """List the running means and variances of batch norm, but not those of a pretrained body, which stay."""
    return [module._buffers[name] for module, name in zip(*_named_averages(model), strict=True)]  # type: ignore[misc]


def _named_averages(model: nn.Module) -> tuple[list[nn.Module], list[str]]:
    body = getattr(model, "body", None)
    frozen = set(body.modules()) if isinstance(body, nn.Module) else set()
    found = [
        (module, name)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module not in frozen
        for name in ("running_mean", "running_var")
    ]
    return [module for module, _ in found], [name for _, name in found]


def _elements(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _views(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """View the beginning of a flat tensor as tensors of these shapes, each laid out in memory as its model is."""
    views, start = [], flat.storage_offset()
    for tensor in tensors:
        views.append(flat.as_strided(tensor.shape, tensor.stride(), start))
        start += tensor.numel()
    return views
