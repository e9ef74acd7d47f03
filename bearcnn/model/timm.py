"""Bodies from timm (PyTorch Image Models): any network whose maps it can give, with safetensors weights.

The weights are looked for in a file that the user put into bearcnn's cache folder, then in the hub's own cache, and
last on the network. No pickle is read.
"""

import hashlib
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from bearcnn.bodies import TIMM
from bearcnn.data.cache_folder import cache_root
from bearcnn.errors import BearcnnError, MissingPackageError, ModelFileError
from bearcnn.model.bodies import PretrainedBody

_SHA256 = re.compile("[0-9a-f]{64}")


class _TimmLayers(nn.Module):
    """A timm network up to one map, with its preprocessing: pixels uint8 (batch, 3, n, n) to maps."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        maps: Tensor = self.network((pixels.float() - self.mean) / self.std)[0]
        return maps


def load_timm(name: str, stage: int, pretrained: bool) -> PretrainedBody:
    """Load a network of timm, `timm:NAME`, up to one of its maps.

    Raises:
        MissingPackageError: timm isn't installed.
        BearcnnError: timm has no such network, or it has no such map.
        ModelFileError: its weights are nowhere to be found, or can't be read.
    """
    timm, short = _import_timm(), name.removeprefix(TIMM)
    if not timm.is_model(short):
        near = timm.list_models(f"*{short.partition('.')[0]}*")[:3]
        raise BearcnnError(f"timm has no network {short!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    settings = timm.get_pretrained_cfg(short)
    file = _find_weights(short, settings) if pretrained else None
    about = {"name": name, "licence": settings.license or "unknown", "sha256": ""}
    if file is not None:
        about["sha256"] = _digest(file)
        _check_weights(timm, short, file)
    with torch.random.fork_rng(devices=[]):  # the head's first weights come from the seed alone
        maps = len(_create(timm, short).feature_info)
        if stage < -maps:
            raise BearcnnError(f"model.body_stage = {stage}: {name} has the maps -1 (the last) to -{maps}")
        network = _create(timm, short, file, out_indices=(maps + stage,))
    layers = _TimmLayers(network, settings.mean, settings.std)
    return PretrainedBody(layers, network.feature_info.channels()[-1], about, _stage_ends(layers, maps + stage + 1))


def _stage_ends(layers: _TimmLayers, stages: int) -> list[str]:
    """List the last module of each stage by its name; a stage without weights of its own belongs to the next.

    Where a network's modules have other names than its maps, there are none: it can't be divided.
    """
    weights = [name for name, _ in layers.named_parameters()]
    ends: list[str] = []
    for info in layers.network.feature_info.info[:stages]:  # type: ignore[union-attr, index]
        spellings = [f"network.{name}" for name in (info["module"], info["module"].replace(".", "_"))]
        ends += [end for end in spellings if any(weight.startswith(f"{end}.") for weight in weights)][:1]
    return ends if ends and weights[-1].startswith(f"{ends[-1]}.") else []


def _import_timm() -> ModuleType:
    try:
        return import_module("timm")
    except ImportError:
        raise MissingPackageError('a body of timm needs timm; install it with: pip install "bearcnn[timm]"') from None


def _create(timm: ModuleType, name: str, file: Path | None = None, **options: Any) -> Any:
    overlay = {"file": str(file)} if file else None
    try:
        return timm.create_model(
            name, pretrained=file is not None, pretrained_cfg_overlay=overlay, features_only=True, **options
        )
    except Exception as error:  # timm and safetensors raise many types for weights that don't fit
        reason = " ".join(str(error).split())[:200]
        source = f"the weights in {file} can't be used" if file else "timm gives no maps of it"
        raise ModelFileError(f"{TIMM}{name}: {source}: {reason}") from None


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file; one in the hub's cache is called by it, and must have it."""
    found, name = hashlib.sha256(file.read_bytes()).hexdigest(), file.resolve().name
    if _SHA256.fullmatch(name) and name != found:
        raise ModelFileError(f"the weights in {file} are damaged: delete {file.resolve()}, and they are fetched again")
    return found


def _check_weights(timm: ModuleType, name: str, file: Path) -> None:
    """Check that a file has every tensor of the network: timm itself would leave the missing ones random."""
    with torch.device("meta"):
        wanted = timm.create_model(name).state_dict()
    try:
        with safe_open(file, framework="pt") as tensors:
            missing = [key for key in wanted if key not in set(tensors.keys()) and "num_batches" not in key]
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"the weights in {file} can't be read: {error}") from None
    if missing:
        raise ModelFileError(
            f"the weights in {file} are not those of {TIMM}{name}: {len(missing)} of {len(wanted)} tensors are missing "
            f"({missing[0]} first)"
        )


def _find_weights(name: str, settings: Any) -> Path:
    """Find the safetensors file: the user's own, the hub's cached one, or one that is downloaded now."""
    own = cache_root() / "bodies" / f"{name}.safetensors"
    if own.is_file():
        return own
    hub = import_module("huggingface_hub")  # timm brings it
    try:
        return Path(hub.hf_hub_download(settings.hf_hub_id, "model.safetensors"))
    except Exception:  # offline, blocked, no such repository or file: the same to the user
        raise ModelFileError(
            f"the weights of {TIMM}{name} are not on this computer and can't be fetched; put model.safetensors of "
            f"https://huggingface.co/{settings.hf_hub_id} into {own}"
        ) from None
