"""Cross-entropy over subclasses, or over the two classes if the subclass is unknown."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bearcnn.model.network import bear_logit, class_logits


class SubclassCrossEntropy(nn.Module):
    """Cross-entropy with label smoothing (Szegedy et al. 2016), weighted by class.

    fastai uses `reduction`, `activation` and `decodes` of a loss: its `get_preds`, `predict` and `show_results` give
    the two classes, whatever the outputs are.

    Args:
        output_classes: the class of each output of the network.
        weights: weight of a photo of each class, (2,).
        smoothing: how far the targets are moved towards each other.
        temperature: divisor of the log odds in `activation` (Guo et al. 2017); training ignores it.
    """

    weights: Tensor
    output_weights: Tensor

    def __init__(
        self, output_classes: Sequence[int], weights: Tensor, smoothing: float, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.output_classes, self.smoothing, self.temperature = tuple(output_classes), smoothing, temperature
        self.reduction = "mean"
        self.register_buffer("weights", weights)
        self.register_buffer("output_weights", weights[list(output_classes)])

    def forward(self, logits: Tensor, labels: Tensor, subclasses: Tensor | None = None) -> Tensor:
        """Compute the mean loss of logits (batch, outputs) for labels 0 or 1 (batch,), or for `subclasses` (batch,)."""
        if subclasses is None:
            logits, weights = class_logits(logits, self.output_classes), self.weights
        else:
            labels, weights = subclasses, self.output_weights
        return F.cross_entropy(logits, labels, weight=weights, label_smoothing=self.smoothing, reduction=self.reduction)

    def weigh(self, labels: Tensor, subclasses: Tensor | None = None) -> Tensor:
        """Sum the weights of the photos: what the sum of their losses is divided by for the mean."""
        return self.weights[labels].sum() if subclasses is None else self.output_weights[subclasses].sum()

    def activation(self, logits: Tensor) -> Tensor:
        """Compute the probabilities of the two classes: (batch, outputs) to (batch, 2)."""
        bear = (bear_logit(logits, self.output_classes) / self.temperature).sigmoid()
        return torch.stack([1 - bear, bear], 1)

    def decodes(self, probabilities: Tensor) -> Tensor:
        """Choose the more probable class: (batch, 2) to (batch,)."""
        return probabilities.argmax(1)
