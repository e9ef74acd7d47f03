"""What training makes small: cross-entropy over kinds of photo, or over the two classes where the kind isn't known."""

from collections.abc import Sequence

import bearcnn._torch  # noqa: F401

# isort: split
from torch import Tensor, nn
from torch.nn import functional as F

from bearcnn.model.network import class_logits


class KindLoss(nn.Module):
    """Cross-entropy with label smoothing (Szegedy et al. 2016), weighted by class.

    Args:
        kinds: the class of each output of the network.
        weights: how much a photo of each class counts, (2,).
        smoothing: how far the targets are moved towards each other.
    """

    weights: Tensor
    kind_weights: Tensor

    def __init__(self, kinds: Sequence[int], weights: Tensor, smoothing: float) -> None:
        super().__init__()
        self.kinds, self.smoothing = tuple(kinds), smoothing
        self.register_buffer("weights", weights)
        self.register_buffer("kind_weights", weights[list(kinds)])

    def forward(self, logits: Tensor, labels: Tensor, kinds: Tensor | None = None) -> Tensor:
        """Mean loss of logits (batch, kinds) for labels of 0 or 1 (batch,), or for the outputs of `kinds` (batch,)."""
        if kinds is None:
            logits, weights = class_logits(logits, self.kinds), self.weights
        else:
            labels, weights = kinds, self.kind_weights
        return F.cross_entropy(logits, labels, weight=weights, label_smoothing=self.smoothing)
