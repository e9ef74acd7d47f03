"""Loading of trained networks from safetensors files."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from bearcnn.config import Config, make_config
from bearcnn.errors import ModelFileError
from bearcnn.manifest import Manifest, read_manifest
from bearcnn.model.bodies import empty_body
from bearcnn.model.network import BearCNN, build_model, load_trained_state
from bearcnn.runs import open_run
from bearcnn.safetensors_file import read_sealed


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network in evaluation mode, with the manifest and the configuration of its file."""

    network: BearCNN
    manifest: Manifest
    config: Config


def load_model(weights: Path) -> TrainedNetwork:
    """Load the trained network of a safetensors file that bearcnn wrote.

    Raises:
        ModelFileError: the file is missing, damaged, of another network, or not written by bearcnn.
    """
    manifest = read_manifest(weights)
    config = make_config(manifest.config)
    body = empty_body(config.model, manifest.body)  # its weights are in the file, with all others
    network = build_model(config.model, manifest.output_classes, body=body).eval()
    load_weights(weights, network)
    return TrainedNetwork(network, manifest, config)


def find_weights(model: Path | None) -> Path:
    """Find a weights file: a .safetensors file itself, a run folder's, or for None the newest run's.

    Raises:
        RunError: there is no such run.
        ModelFileError: there are no weights.
    """
    if model is not None and model.is_file():
        if model.suffix.lower() == ".onnx":
            raise ModelFileError(
                f"{model} has no readable layers; name its run folder or model.safetensors, or draw only the window "
                "scores with: bearcnn predict --heatmaps DIR"
            )
        return model
    weights = open_run(model).weights_file
    if not weights.is_file():
        raise ModelFileError(f"{weights} is missing; finish the run with: bearcnn train --resume {weights.parent}")
    return weights


def load_weights(path: Path, network: nn.Module) -> None:
    """Put the weights of a safetensors file into a network of the same shape; a body may have its own already.

    Raises:
        ModelFileError: the file is missing, damaged or of another network.
    """
    try:
        _, content = read_sealed(path)
        load_trained_state(network, load(content))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the weights in {path} can't be loaded: {reason}") from None
