"""What training makes small: cross-entropy over subclasses, or over the two classes where the subclass isn't known."""

from collections.abc import Sequence

import bearcnn._torch  # noqa: F401

# isort: split
from torch import Tensor, nn
from torch.nn import functional as F

from bearcnn.model.network import class_logits


class SubclassCrossEntropy(nn.Module):
    """Cross-entropy with label smoothing (Szegedy et al. 2016), weighted by class.

    Args:
        output_classes: the class of each output of the network.
        weights: how much a photo of each class counts, (2,).
        smoothing: how far the targets are moved towards each other.
    """

    weights: Tensor
    output_weights: Tensor

    def __init__(self, output_classes: Sequence[int], weights: Tensor, smoothing: float) -> None:
        super().__init__()
        self.output_classes, self.smoothing = tuple(output_classes), smoothing
        self.register_buffer("weights", weights)
        self.register_buffer("output_weights", weights[list(output_classes)])

    def forward(self, logits: Tensor, labels: Tensor, subclasses: Tensor | None = None) -> Tensor:
        """Mean loss of logits (batch, outputs) for labels of 0 or 1 (batch,), or for `subclasses` (batch,)."""
        if subclasses is None:
            logits, weights = class_logits(logits, self.output_classes), self.weights
        else:
            labels, weights = subclasses, self.output_weights
        return F.cross_entropy(logits, labels, weight=weights, label_smoothing=self.smoothing)
