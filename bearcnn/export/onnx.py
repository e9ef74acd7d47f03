"""The network as one ONNX file, the main format.

It takes pixels as they are (uint8, height x width x channels) and gives probabilities: the caller has nothing to
normalize.
"""

import torch

from bearcnn.export.base import INPUT, OUTPUTS, Exported, ExportSource, ShippedModel, quiet_exporter, run_onnx
from bearcnn.manifest import Manifest, stamp_onnx
from bearcnn.model.network import BearCNN


def export_onnx(source: ExportSource) -> Exported:
    """Export the float network."""
    return Exported(source.float_onnx, run_onnx(source.float_onnx))


def to_onnx(network: BearCNN, manifest: Manifest) -> bytes:
    """Write the network as one ONNX file for any number of photos at a time, its manifest in the metadata.

    The exporter's notes are removed: their stack traces name folders of this computer.
    """
    example = torch.zeros(2, manifest.image_size, manifest.image_size, 3, dtype=torch.uint8)
    with quiet_exporter():
        program = torch.onnx.export(
            ShippedModel(network, manifest.temperature).eval(),
            (example,),
            dynamo=True,
            external_data=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
    return stamp_onnx(proto.SerializeToString(), manifest)
