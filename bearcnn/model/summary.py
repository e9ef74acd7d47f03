"""The network layer by layer: output shapes, parameters, multiply-adds."""

from collections.abc import Iterator

import torch
from fastai.layers import ConvLayer
from torch import Tensor, nn

from bearcnn.model.network import BearCNN, Block
from bearcnn.pooling import POOLING_MODES
from bearcnn.runs import NO_NORM, LayerRow


def describe_model(model: BearCNN, image_size: int) -> list[LayerRow]:
    """Measure each layer's output shape, parameters and multiply-adds on one picture.

    Multiply-adds are those of convolutions and linear layers: each output number is a dot product of one window.
    """
    rows: list[LayerRow] = []

    def count(layer: nn.Conv2d | nn.Linear, _: object, output: Tensor) -> None:
        multiply_adds[layer] = layer.weight.numel() * output.shape[2:].numel()

    def record(name: str, words: str, layer: nn.Module, output: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in layer.parameters())
        total = sum(multiply_adds.get(part, 0) for part in layer.modules())
        rows.append(LayerRow(name, words, tuple(output.shape[1:]), parameters, total))

    multiply_adds: dict[nn.Module, int] = {}
    counted = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [part.register_forward_hook(count) for part in counted]
    hooks += [
        layer.register_forward_hook(lambda layer, _, output, name=name, words=words: record(name, words, layer, output))
        for name, words, layer in _list_layers(model)
        if words
    ]
    was_training = model.training
    device = model.head.weight.device
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8, device=device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


def _list_layers(model: BearCNN) -> Iterator[tuple[str, str, nn.Module]]:
    """List the name, the description and the module of each layer; a layer that does nothing has no description."""
    rate = model.input_dropout.rate
    if model.body is not None:
        tuned = ", fine-tuned" if model.body.fine_tuned else ""
        yield "body", f"{model.body.about['name']}, pretrained{tuned}", model.body
    what = "pixels" if model.body is None else "places"
    yield "input dropout", f"dropout {rate:g} of the {what}" if rate else "", model.input_dropout
    for number, block in enumerate(model.blocks, 1):
        assert isinstance(block, Block)
        name, side = f"block {number}", block.pool_size
        yield name, _describe_convolution(block.convolution), block.convolution
        for convolution in block.residuals:
            yield f"{name} +", _describe_convolution(convolution), convolution
        pooling = f"{POOLING_MODES[block.pooling_mode].words} pooling {side} x {side}" if side > 1 else ""
        yield name, pooling, block.pooling
        rate = block.dropout.p
        yield name, f"dropout {rate:g} of the channels" if rate else "", block.dropout
    yield "pooling", f"{POOLING_MODES[model.pooling_mode].words} of the whole map", model.pooling
    rate = model.dropout.p
    yield "dropout", f"dropout {rate:g} of the features" if rate else "", model.dropout
    yield "head", "linear", model.head


def _describe_convolution(layer: nn.Module) -> str:
    assert isinstance(layer, ConvLayer)
    convolution = layer[0]
    side, stride = convolution.kernel_size[0], convolution.stride[0]
    norm = f", {NO_NORM}" if isinstance(layer[1], nn.Identity) else ""
    return f"convolution {side} x {side}, stride {stride}{norm}"
