"""The weights alone, with the manifest in the header."""

from safetensors.torch import load, save

from bearcnn.export.base import Exported, ExportSource, ShippedModel, run_torch
from bearcnn.manifest import Manifest, stamp_safetensors
from bearcnn.model.bodies import empty_body
from bearcnn.model.network import BearCNN, build_model


def export_safetensors(source: ExportSource) -> Exported:
    """Export the weights."""
    content = to_safetensors(source.network, source.manifest)
    body = empty_body(source.config.model, source.manifest.body)
    again = build_model(source.config.model, source.manifest.output_classes, body=body).eval()
    again.load_state_dict(load(content))
    return Exported(content, run_torch(ShippedModel(again, source.manifest.temperature)))


def to_safetensors(network: BearCNN, manifest: Manifest) -> bytes:
    """Write the weights, with the manifest in the header."""
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return stamp_safetensors(save(weights), manifest)
