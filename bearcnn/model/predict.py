"""A network's answers to decoded photos, batch by batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bearcnn.model.network import BearCNN, bear_logit
from bearcnn.model.threads import map_batches

BATCH_SIZE = 16
"""Always the same, so that the last bits are. Small: each thread has a batch in memory."""


def predict_logits(
    network: BearCNN, inputs: NDArray[np.uint8] | NDArray[np.float16], rows: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Compute the log odds of a bear in evaluation mode, on the device that the network is on: (rows,).

    Each batch is computed by one thread: see `map_batches`.

    Args:
        network: of any training state; it is in evaluation mode afterwards.
        inputs: pixels uint8 (photos, n, n, 3), or maps of its body (photos, m, m, channels); usually a memory map.
        rows: the photos to answer, as rows of `inputs`.
    """
    network.eval()
    device = network.head.weight.device

    @torch.no_grad()
    def compute(start: int) -> NDArray[np.float64]:
        batch = torch.from_numpy(np.asarray(inputs[rows[start : start + BATCH_SIZE]])).permute(0, 3, 1, 2).to(device)
        return np.asarray(bear_logit(network(batch), network.output_classes).double().cpu().numpy())

    logits = list(map_batches(compute, range(0, len(rows), BATCH_SIZE)))
    return np.concatenate(logits) if logits else np.zeros(0)


def logits_of(network: BearCNN) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Return the function that computes a network's log odds of a bear in pictures (n, size, size, 3), as (n,)."""
    return lambda pixels: predict_logits(network, pixels, np.arange(len(pixels)))
