"""The pretrained bodies: one row each, which the configuration, the network, the manifest and `explain` read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from bearcnn.geometry import ReceptiveField
from bearcnn.registry import Registry

NO_BODY = "none"
TIMM = "timm:"
"""What the name of a timm network begins with."""
SAFETENSORS = ".safetensors"
"""What the name of a file with a body's weights ends with."""

Convolution = tuple[int, int]
"""Side of a convolution's window, and its stride."""


@dataclass(frozen=True, slots=True)
class BodyStage:
    """The layers between two maps of a body that can be chosen, and the channels of the second."""

    channels: int
    convolutions: tuple[Convolution, ...]
    """Those that look further than one place, in their order; padded as TensorFlow's SAME."""


@dataclass(frozen=True, slots=True)
class Body:
    """A network that was trained on other photos, whose maps the configured blocks look at instead of pixels."""

    name: str
    words: str
    """What it is and what it was trained on."""
    licence: str
    """Of the weights, as an SPDX identifier where there is one."""
    stages: tuple[BodyStage, ...]
    """From the finest map to the coarsest; empty where only the network itself can tell."""
    mean: float
    """Subtracted from the pixels, which are 0 to 255."""
    std: float
    """What the pixels are divided by then."""
    loader: str | Callable[[str, int, bool], Any]
    """Takes the name, the stage (-1 the last) and whether its weights are wanted, and gives a `PretrainedBody`; or the
    name of such a function as "package.module:function"."""
    trained_on: str = ""
    """The photos that its weights come from; empty where that isn't known."""

    def passed(self, stage: int) -> tuple[BodyStage, ...]:
        """Return the stages up to one counted from the end (-1 the last).

        Raises:
            ValueError: there are fewer.
        """
        if not -len(self.stages) <= stage <= -1:
            maps = f"-1 (the last) to -{len(self.stages)}"
            raise ValueError(f"model.body_stage = {stage}: {self.name} has the maps {maps}")
        return self.stages[: len(self.stages) + stage + 1]

    def map_side(self, stage: int, image_size: int) -> int:
        """Return the side of the map that a stage makes of a picture, in places."""
        strides = [stride for each in self.passed(stage) for _, stride in each.convolutions]
        return list(accumulate(strides, lambda side, stride: -(-side // stride), initial=image_size))[-1]

    def receptive_field(self, stage: int) -> ReceptiveField:
        """Return what a place of the stage's map sees of the picture.

        Its centre is that of the pixels which the place stands for. The uneven zeros of TensorFlow's SAME would move it
        to 127 of 224 px for the middle place of EfficientNet-Lite0; the gradients of real photos centre on 105 to 113.
        """
        field = ReceptiveField()
        for window, stride in (each for part in self.passed(stage) for each in part.convolutions):
            field = field.after(window, stride, window // 2)
        return ReceptiveField(field.size, field.step, (field.step - 1) / 2)


BODIES: Registry[Body] = Registry(
    "body",
    [
        Body(NO_BODY, "none: the network is all your own", "", (), 0, 1, ""),
        Body(
            "efficientnet_lite0",
            "EfficientNet-Lite0, trained on ImageNet",
            "Apache-2.0",
            (
                BodyStage(16, ((3, 2), (3, 1))),
                BodyStage(24, ((3, 2), (3, 1))),
                BodyStage(40, ((5, 2), (5, 1))),
                BodyStage(112, ((3, 2), (3, 1), (3, 1), (5, 1), (5, 1), (5, 1))),
                BodyStage(320, ((5, 2), (5, 1), (5, 1), (5, 1), (3, 1))),
            ),
            127.5,
            127.5,
            "bearcnn.model.bodies:load_efficientnet_lite0",
            trained_on="ImageNet",
        ),
    ],
)

_TIMM_IMAGENET = re.compile(r"[._]in(1|12|21|22)k(_|$)")
"""In the name of timm's weights: trained on ImageNet's 1,000 classes or on more of them."""

DEFAULTS_WITH_BODY: dict[str, dict[str, Any]] = {
    "data": {"image_size": 224},
    "model": {"widths": [64], "kernel_size": 1, "stride": 1, "pool_size": 1},
    "augment": {"crop": 1.0, "stretch": 1.0, "rotation": 0.0, "brightness": 0.0, "contrast": 0.0},
    "train": {"sizes": [], "epochs": 20, "lr": 1e-2, "monitor": "last"},
}
"""What a configuration with a body has where nobody says otherwise: a head of one small convolution, and no
augmentation that cached maps can't give. The preset `pretrained` spells it out."""


def find_body(name: str) -> Body:
    """Find the body of that name; for `timm:NAME` and for a file one whose stages only the network itself can tell.

    Raises:
        BearcnnError: there is none.
    """
    if name.startswith(TIMM):
        seen = "ImageNet" if _TIMM_IMAGENET.search(name) else ""
        words = f"{name.removeprefix(TIMM)} of timm" + (f", trained on {seen}" if seen else "")
        return Body(name, words, "", (), 0, 1, "bearcnn.model.timm:load_timm", seen)
    if name.endswith(SAFETENSORS):
        return Body(name, f"the body in {name}", "", (), 0, 1, "bearcnn.model.bodies:load_body_file")
    return BODIES[name]


def warn_of_licence(licence: str) -> str:
    """Return a sentence on what a licence, as timm or a row above names it, forbids; "" where it forbids nothing."""
    words = licence.lower().replace("_", "-").split("-")
    if "nc" in words or "noncommercial" in words:
        return f"The licence of the body's weights, {licence}, forbids commercial use, and so of the trained model."
    if "amlr" in words or "other" in words:
        return f"The licence of the body's weights, {licence}, is its maker's own: read it before commercial use."
    if "unknown" in words:
        return "The licence of the body's weights is unknown: find it out before commercial use."
    return ""
