import numpy as np
import pytest
import torch

from bearcnn.evaluation.calibration import fit_temperature
from bearcnn.evaluation.predictions import as_arrays, in_split, read_predictions
from bearcnn.export.base import calibrate
from bearcnn.manifest import read_manifest
from bearcnn.model.load import load_weights
from bearcnn.model.network import bear_logit, build_model


def test_the_temperature_is_fitted_on_validation_and_built_into_the_file(trained) -> None:
    run, dataset, _ = trained
    manifest = read_manifest(run.onnx_file)
    network = build_model(run.config().model, manifest.output_classes).eval()
    load_weights(run.weights_file, network)
    rows, labels = dataset.arrays("valid")
    with torch.no_grad():
        pixels = torch.from_numpy(np.asarray(dataset.pixels[rows])).permute(0, 3, 1, 2)
        logits = bear_logit(network(pixels), network.output_classes).double().numpy()
    assert manifest.temperature == pytest.approx(fit_temperature(labels, logits), rel=1e-6)
    assert (
        manifest.temperature == calibrate(network, dataset, run.config()) == read_manifest(run.weights_file).temperature
    )
    shipped = as_arrays(in_split(read_predictions(run), "valid"))[1]
    assert shipped == pytest.approx(1 / (1 + np.exp(-logits / manifest.temperature)), abs=1e-5)
