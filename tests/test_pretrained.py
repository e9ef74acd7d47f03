"""The whole way with a pretrained body: train, resume, export, predict, explain, sweep, and fastai's calls."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import bearcnn
from bearcnn.bodies import BODIES
from bearcnn.cli.options import ConfigOptions
from bearcnn.config import load_config
from bearcnn.data.photos import load_pixels
from bearcnn.errors import BearcnnError
from bearcnn.evaluation.formats import percent
from bearcnn.export.base import ExportSource, describe
from bearcnn.export.run import export_run
from bearcnn.formats import EXPORT_FORMATS
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import read_manifest, stamp_onnx
from bearcnn.model.bodies import load_body
from bearcnn.model.load import load_model
from bearcnn.report.page import write_report
from bearcnn.runs import Run, create_run
from bearcnn.sweep.reporter import SweepReporter
from bearcnn.training.checkpoint import best_file
from bearcnn.training.fit import fit
from bearcnn.training.maps import open_maps
from tests.helpers.training import Recorder, StopAfter, assert_same_training, fit_small, float_file_of, train_once
from tests.inference.engines.test_parity import assert_same_answers

pytestmark = pytest.mark.slow  # trains, or starts processes

SETTINGS = [
    "model.body=efficientnet_lite0",
    "model.widths=[16]",
    "data.image_size=64",
    "train.epochs=4",
    "train.batch_size=8",
    "train.precision=float32",
]


@pytest.fixture(scope="module")
def config(photos):
    return load_config(None, [*SETTINGS, f"data.path={photos}"])


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    return train_once(tmp_path_factory, "pretrained", config)


@pytest.fixture
def _float_file(finished):
    with float_file_of(finished[0]):
        yield


def quietly(learn, call):
    with learn.no_bar(), learn.no_logging():
        return call()


def test_the_model_file_holds_body_and_head_and_says_so(finished, config):
    run, _, _ = finished
    weights, body = load_file(run.weights_file), load_body(config.model)
    for name, tensor in body.state_dict().items():
        assert torch.equal(weights[f"body.{name}"], tensor)  # frozen, batch norms too
    manifest = read_manifest(run.onnx_file)
    assert manifest.body == {
        "name": "efficientnet_lite0",
        "licence": "Apache-2.0",
        "sha256": body.about["sha256"],
        "trained_on": "ImageNet",
    }
    assert not any(name.startswith("body.") for name in load_file(best_file(run)))


def test_the_file_answers_photos_as_the_network_does(finished, photos):
    run, _, _ = finished
    path = sorted((photos / "test").rglob("*.jpg"))[0]
    (answer,) = Predictor(run.onnx_file).predict(path)
    trained = load_model(run.weights_file)
    pixels = torch.from_numpy(load_pixels(path, 64, "squish").copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        bear = torch.sigmoid(
            _bear(trained.network(pixels), trained.network.output_classes) / trained.manifest.temperature
        )
    assert answer.probability == pytest.approx(float(bear), abs=1e-4)


def _bear(logits, output_classes):
    from bearcnn.model.network import bear_logit

    return bear_logit(logits, output_classes)[0]


def test_the_layers_name_the_body_as_one(finished):
    layers = finished[0].metrics()["layers"]
    assert (layers[0]["name"], layers[0]["layer"]) == ("body", "efficientnet_lite0, pretrained")
    assert layers[0]["output_shape"] == [320, 2, 2]
    assert layers[1]["output_shape"] == [16, 2, 2]


def test_metrics_and_report_name_the_body(finished):
    run, _, _ = finished
    layers, body = run.metrics()["layers"], run.metrics()["body"]
    assert (body["name"], body["trained_on"], body["licence"]) == ("efficientnet_lite0", "ImageNet", "Apache-2.0")
    assert body["parameters"] == layers[0]["parameters"] == 2_958_848
    assert body["share_of_parameters"] == 2_958_848 / sum(row["parameters"] for row in layers)
    assert body["share_of_multiply_adds"] == layers[0]["multiply_adds"] / sum(row["multiply_adds"] for row in layers)
    page = " ".join(run.report_file.read_text(encoding="utf-8").split())
    for said in (
        "The pretrained body",
        "<td>ImageNet</td>",
        "<td>Apache-2.0</td>",
        "has seen the photos of ImageNet",
        body["sha256"],
        f"{escape(percent(body['share_of_parameters']))} of the network's",
    ):
        assert said in page, said
    assert "commercial" not in page


def test_a_licence_that_forbids_commerce_is_said_before_the_training_and_in_the_report(
    finished, config, tmp_path, monkeypatch
):
    lent = replace(BODIES["efficientnet_lite0"], licence="cc-by-nc-4.0")
    monkeypatch.setitem(BODIES._rows, "efficientnet_lite0", lent)
    heard: list[str] = []

    class Listener(Recorder):
        def warn(self, what):
            heard.append(what)

        def batch_done(self, done, total):
            if "training" not in heard:
                heard.append("training")

    _, dataset, _ = finished
    short = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})})
    run = create_run(tmp_path / "short", short)
    network = fit(run, dataset, reporter=Listener()).best_network(run, short)
    warning = "The licence of the body's weights, cc-by-nc-4.0, forbids commercial use, and so of the trained model."
    assert heard == [warning, "training"]
    assert describe(short, dataset, 1, temperature=1.0, body=network.body).body["licence"] == "cc-by-nc-4.0"
    run = Run(Path(shutil.copytree(finished[0].directory, tmp_path / "run")))
    manifest = read_manifest(run.onnx_file)
    lent_manifest = manifest.model_copy(update={"body": {**manifest.body, "licence": "cc-by-nc-4.0"}})
    run.onnx_file.write_bytes(stamp_onnx(run.onnx_file, lent_manifest))
    write_report(run)
    assert "cc-by-nc-4.0, forbids commercial use" in run.report_file.read_text(encoding="utf-8")


def test_an_interrupted_run_continues_to_the_same_weights(finished, config, tmp_path):
    run = fit_small(config, finished[1], tmp_path / "run", StopAfter(2))
    assert len(run.history()) == 2
    fit(run, finished[1], resume=True)
    assert_same_training(finished[0], run)


def test_opencv_answers_as_onnxruntime_does(finished, rng):
    assert_same_answers(finished[0].onnx_file, rng)


@pytest.mark.usefixtures("_float_file")
@pytest.mark.parametrize("target", EXPORT_FORMATS.names())
def test_every_format_answers_as_the_network(finished, target, tmp_path, request):
    run, dataset, _ = finished
    runtime = request.getfixturevalue("web_runtime") if EXPORT_FORMATS[target].needs_runtime else None
    out = tmp_path / f"model{EXPORT_FORMATS[target].suffix}"
    report = export_run(run, dataset, target, out, allow_loss=True, runtime=runtime)
    assert report.largest_difference < (0.5 if "int8" in target else 1e-4)
    assert report.mean_difference < (0.1 if "int8" in target else 1e-4)


@pytest.mark.usefixtures("_float_file")
def test_an_8_bit_file_that_ranks_photos_worse_is_written_on_demand_alone(finished, tmp_path, monkeypatch):
    run, dataset, _ = finished
    black = np.zeros((8, 64, 64, 3), np.uint8)  # what a body makes of them says nothing about photos
    monkeypatch.setattr(ExportSource, "calibration_pixels", lambda _: black)
    out = tmp_path / "model-int8.onnx"
    with pytest.raises(BearcnnError, match=r"on 12 validation photos it loses 0\.\d{4} of the ROC AUC .*`allow_loss`"):
        export_run(run, dataset, "int8", out)
    assert not out.exists()
    report = export_run(run, dataset, "int8", out, allow_loss=True)
    assert report.roc_auc_trained - report.roc_auc > 0.003
    assert Predictor(out).manifest.quantized


def test_explain_draws_every_section(finished, photos, monkeypatch):
    photo = sorted(photos.rglob("*.jpg"))[0]
    assert bearcnn.explain(finished[0], photo).height > 1000


def test_a_sweep_reads_the_maps(config, finished, tmp_path):
    dataset = finished[1]
    analysis = bearcnn.sweep(config, dataset, {"model.pooling": ["max", "avg"]}, seeds=1, out=tmp_path / "sweep")
    assert not analysis.failed
    assert len(analysis.settings) == 2


def test_a_sweep_computes_the_maps_of_all_settings_before_its_first_trial(config, finished, tmp_path, monkeypatch):
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    calls = []

    class Listener(SweepReporter):
        def preparing(self):
            return nullcontext(lambda what, done, total: calls.append(done))

        def trial_started(self, trial, epochs):
            calls.append("trial")

    varied = {"model.body_stage": [-1, -2], "model.pooling": ["max", "avg"]}
    analysis = bearcnn.sweep(config, finished[1], varied, seeds=1, out=tmp_path / "sweep", reporter=Listener())
    assert not analysis.failed
    photos = [*range(len(finished[1].examples) + 1)]
    assert calls == [*photos, *photos, *["trial"] * 4]


@pytest.fixture(scope="module")
def learn(config, finished):
    learn = bearcnn.build_learner(config, finished[1])
    quietly(learn, lambda: learn.fit_one_cycle(2))
    return learn


class TestLearner:
    """What a fastai user does with a Learner."""

    def test_batches_are_maps_and_shown_batches_are_photos(self, learn):
        batch = next(iter(learn.dls.train))
        assert (batch[0].shape, batch[0].dtype) == ((8, 320, 2, 2), torch.float16)
        assert learn.dls.one_batch()[0].shape == (8, 3, 64, 64)

    def test_training_batches_are_of_both_views_and_the_same_for_a_seed(self, learn, config, finished):
        train = learn.dls.train
        maps = open_maps(learn.model.body, finished[1], config.data)
        first, again = list(train), list(train)
        assert all(torch.equal(one[0], other[0]) for one, other in zip(first, again, strict=True))
        found = torch.cat([batch[0] for batch in first]).permute(0, 2, 3, 1).numpy()
        views = {view for each in found for view in (0, 1) if (maps[:, view] == each).all((1, 2, 3)).any()}
        assert views == {0, 1}

    def test_predict_decodes_a_photo_and_agrees_with_its_maps(self, learn, finished):
        dataset = finished[1]
        probabilities, labels = quietly(learn, learn.get_preds)
        examples = dataset.select("valid")
        assert labels.tolist() == [example.label for example in examples]
        _, _, answer = quietly(learn, lambda: learn.predict(examples[0].path))
        torch.testing.assert_close(answer, probabilities[0], atol=5e-3, rtol=5e-2)
        again, _ = quietly(learn, lambda: learn.get_preds(dl=learn.dls.test_dl([each.path for each in examples])))
        np.testing.assert_allclose(again, probabilities, atol=2e-2)

    def test_the_optimizer_has_the_head_alone(self, learn):
        trained = sum(parameter.numel() for group in learn.opt.param_lists for parameter in group)
        whole = sum(parameter.numel() for parameter in learn.model.parameters())
        frozen = sum(parameter.numel() for parameter in learn.model.body.parameters())
        assert trained == whole - frozen


def test_the_option_of_the_command_line_is_the_key(config):
    assert ConfigOptions(body="efficientnet_lite0").load().model.body == config.model.body
