"""The network as a program of torch.export, which runs without bearcnn."""

import io

import torch

from bearcnn.export.base import Exported, ExportSource, ShippedModel, quiet_exporter, run_torch
from bearcnn.manifest import Manifest
from bearcnn.model.network import BearCNN


def export_pt2(source: ExportSource) -> Exported:
    """Export the program."""
    content = to_pt2(source.network, source.manifest)
    return Exported(content, run_torch(torch.export.load(io.BytesIO(content)).module()))


def to_pt2(network: BearCNN, manifest: Manifest) -> bytes:
    """Write the network as a program of torch.export, with the manifest as an extra file."""
    example = torch.zeros(2, manifest.image_size, manifest.image_size, 3, dtype=torch.uint8)
    with quiet_exporter():
        program = torch.export.export(
            ShippedModel(network, manifest.temperature).eval(),
            (example,),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={"bearcnn.json": manifest.model_dump_json()})
    return buffer.getvalue()
