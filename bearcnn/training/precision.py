"""fastai callbacks for number formats of 16 bits in the network's blocks during a fit.

The blocks are nearly all of the work. The head, and everything outside a fit, stays in float32. fastai's
`MixedPrecision` is for CUDA only, and reads the scaled gradients' overflow back after each batch.
"""

from collections.abc import Mapping
from typing import Any

import torch
from fastai.callback.core import Callback, CancelStepException
from fastai.learner import Learner

from bearcnn.model.network import BearCNN


class BFloat16Blocks(Callback):
    """bfloat16 in the network's blocks during a fit."""

    order = -10
    format = torch.bfloat16

    def before_fit(self) -> None:
        self._remove()
        self._hooks = compute_in(self.format, self.model, self.dls.device.type)

    def after_fit(self) -> None:
        self._remove()

    def _remove(self) -> None:
        for hook in getattr(self, "_hooks", ()):
            hook.remove()
        self._hooks = []


class Float16Blocks(BFloat16Blocks):
    """float16 in the network's blocks during a fit, with a scaled loss (Micikevicius et al. 2018).

    float16 loses small gradients unless they are scaled. A step whose gradients overflow is skipped, and the scale is
    halved; both happen on the device, in the fused AdamW and in torch's `GradScaler`. Other callbacks see the gradients
    as they are.

    Args:
        device: the device of the network.
        scale: the first scale; fastai's and torch's 65,536 unless given.
    """

    order = 1000  # the step comes last: what clips gradients must come before
    format = torch.float16

    def __init__(self, device: torch.device, scale: float = 2.0**16) -> None:
        super().__init__()
        self.scaler = torch.amp.GradScaler(device.type, init_scale=scale)

    def before_backward(self) -> None:
        self.learn.loss_grad = self.scaler.scale(self.loss_grad)

    def after_backward(self) -> None:
        self.scaler.unscale_(self.opt.opt)

    def before_step(self) -> None:
        self.scaler.step(self.opt.opt)
        self.scaler.update()
        raise CancelStepException  # fastai's own step


def compute_in(number_format: torch.dtype, model: BearCNN, device: str) -> list[Any]:
    """Let a network's blocks compute in a number format, until the hooks that are returned are removed."""
    autocast = torch.autocast(device, number_format)

    def enter(*_: Any) -> None:  # a hook's return value would replace the maps
        autocast.__enter__()

    def leave(*_: Any) -> None:
        autocast.__exit__(None, None, None)

    return [
        model.blocks.register_forward_pre_hook(enter),
        model.blocks.register_forward_hook(leave, always_call=True),
    ]


def scaler_state(learner: Learner) -> dict[str, int | float]:
    """Return the scale of a Learner's loss and what it depends on; nothing if the loss isn't scaled."""
    blocks = getattr(learner, "float16_blocks", None)
    return {} if blocks is None else blocks.scaler.state_dict()


def restore_scaler(learner: Learner, state: Mapping[str, int | float]) -> None:
    """Put back a scale that `scaler_state` returned; a Learner of another number format ignores it."""
    blocks = getattr(learner, "float16_blocks", None)
    if blocks is not None and state:
        blocks.scaler.load_state_dict(dict(state))
