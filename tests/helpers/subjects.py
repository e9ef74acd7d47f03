"""Networks and photos to explain: of every kind, with weights as after a training."""

import numpy as np
import torch

from bearcnn.config import ModelConfig
from bearcnn.explain.lesson import Lesson
from bearcnn.explain.subject import Focus, Subject
from bearcnn.model.network import BearCNN, build_model
from tests.helpers.onnx_models import make_manifest

VARIANTS = {
    "default": ModelConfig(widths=(4, 6)),
    "max": ModelConfig(widths=(4, 6), pooling="max", stride=1, kernel_size=(5, 3), residual=1, input_dropout=0.1),
    "mixed": ModelConfig(widths=(4, 6), stride=(1, 2), pool_size=1),
    "avg": ModelConfig(widths=(4, 6), pooling="avg", stride=1, pool_size=3, conv_dropout=0.25),
    "both": ModelConfig(widths=(4, 6, 5), stride=(1, 1, 2), residual=(1, 0, 0)),
    "wide": ModelConfig(widths=(3,), kernel_size=31, dropout=0.0),
    "dots": ModelConfig(widths=(3, 2), kernel_size=1),
    "no norm": ModelConfig(widths=(4, 6), residual=1, norm="none"),
}


def make_network(name: str, output_classes: tuple[int, ...] = (0, 0, 1)) -> BearCNN:
    torch.manual_seed(3)
    network = build_model(VARIANTS[name], output_classes).eval()
    for module in network.modules():  # as after a training, when batch norm does something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def make_subject(
    name: str, output_classes: tuple[int, ...] = (0, 0, 1), size: int = 24, temperature: float = 1.3, seed: int = 0
) -> Subject:
    config = {"model": VARIANTS[name].model_dump(mode="json")}
    manifest = make_manifest(image_size=size, classes=("not_bear", "bear"), temperature=temperature, config=config)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Subject(make_network(name, output_classes), manifest, VARIANTS[name], pixels, "photo.jpg", "run-7")


def make_lesson(name: str, focus: Focus | None = None, **subject) -> Lesson:
    return Lesson(make_subject(name, **subject), focus or Focus())
