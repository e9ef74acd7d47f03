"""A body from a safetensors file of the user: which files are taken, and what the others are told."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from typer.testing import CliRunner

from bearcnn import pipeline
from bearcnn.cli.app import app
from bearcnn.config import ModelConfig, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import ConfigError, ModelFileError
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import Manifest, read_manifest, stamp_safetensors
from bearcnn.model.bodies import _timm_name, efficientnet_lite0, load_body
from bearcnn.model.load import load_model
from bearcnn.model.network import build_model
from bearcnn.runs import open_run

LITE = ModelConfig(body="efficientnet_lite0", widths=(8,), kernel_size=1, stride=1, pool_size=1)


def of(file, stage: int = -1) -> ModelConfig:
    return LITE.model_copy(update={"body": str(file), "body_stage": stage})


def write_model(file, stage: int = -1, **metadata: str) -> torch.nn.Module:
    """A model file of bearcnn whose body has other weights than ImageNet's."""
    network = build_model(LITE.model_copy(update={"body_stage": stage}))
    network.body.state_dict()["layers.1.0.weight"].mul_(2)
    about = network.body.about | {"fine_tuned": "the last 1 of 5 stages"}
    manifest = Manifest(name="bear", classes=("not_bear", "bear"), image_size=64, resize="squish", body=about)
    weights = save({name: each.contiguous() for name, each in network.state_dict().items()})
    file.write_bytes(stamp_safetensors(weights, manifest))
    return network


@pytest.fixture
def model(tmp_path):
    return tmp_path / "model.safetensors", write_model(tmp_path / "model.safetensors")


def photos_of() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize("stage", [-1, -2])
def test_the_body_of_a_model_of_bearcnn(model, stage):
    file, network = model
    body = load_body(of(file, stage))
    assert torch.equal(body.state_dict()["layers.1.0.weight"], network.body.state_dict()["layers.1.0.weight"])
    if stage == -1:
        assert torch.equal(body(photos_of()), network.body(photos_of()))
    assert body.about == {
        "name": "efficientnet_lite0",
        "licence": "Apache-2.0",
        "file": "model.safetensors",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    assert not body.fine_tuned  # since this file
    body.unfreeze(1)


def test_weights_in_timms_names(tmp_path):
    original = load_body(LITE)
    whole = efficientnet_lite0().state_dict()
    tensors = {_timm_name(name): each for name, each in original.state_dict().items() if _timm_name(name)}
    tensors["classifier.weight"] = whole["classifier.weight"]
    save_file({name: each.contiguous() for name, each in tensors.items()}, tmp_path / "mine.safetensors")
    body = load_body(of(tmp_path / "mine.safetensors"))
    assert torch.equal(body(photos_of()), original(photos_of()))
    assert (body.about["name"], body.about["licence"]) == ("efficientnet_lite0", "unknown")


def test_timm_has_these_names_and_shapes():
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0").state_dict()
    ours = load_body(LITE).state_dict()
    spelled = {name: _timm_name(name) for name in ours if _timm_name(name)}
    assert len(set(spelled.values())) == len(spelled) > 250
    assert all(theirs[spelling].shape == ours[name].shape for name, spelling in spelled.items())
    rest = {name.partition(".")[0] for name in theirs.keys() - set(spelled.values())}
    assert rest == {"conv_head", "bn2", "classifier"}  # what lies behind the last map


def test_what_does_not_fit_is_one_line(tmp_path, model):
    file = tmp_path / "other.safetensors"
    with pytest.raises(ModelFileError, match=r"other\.safetensors can't be read \(No such file"):
        load_body(of(file))
    file.write_bytes(b"no tensors")
    with pytest.raises(ModelFileError, match=r"can't be read .*; model\.body names them"):
        load_body(of(file))
    save_file({"conv_stem.weight": torch.zeros(1)}, file)
    with pytest.raises(
        ModelFileError, match=r"doesn't hold efficientnet_lite0 .* 240 of 242 .*conv_stem\.weight first"
    ):
        load_body(of(file))
    write_model(file, -3)
    with pytest.raises(ModelFileError, match=r"up to model\.body_stage = -1: .* missing"):
        load_body(of(file))
    assert load_body(of(file, -4)).out_width == 24


def test_a_model_without_a_body_is_refused(tmp_path):
    manifest = Manifest(name="bear", classes=("not_bear", "bear"), image_size=64, resize="squish")
    (tmp_path / "own.safetensors").write_bytes(stamp_safetensors(save({"head.weight": torch.zeros(2)}), manifest))
    with pytest.raises(ModelFileError, match="is a model without a pretrained body"):
        load_body(of(tmp_path / "own.safetensors"))


def test_too_many_stages_are_refused_when_the_file_is_read(model):
    load_config(None, [f"model.body={model[0]}", "train.unfreeze=6"])  # only the file can tell
    with pytest.raises(ConfigError, match="the stages of efficientnet_lite0 are 5"):
        load_body(of(model[0])).unfreeze(6)


@pytest.mark.slow
def test_a_run_with_it_needs_the_file_to_go_on_and_its_model_does_not(model, photos, tmp_path, monkeypatch):
    file, _ = model
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        app,
        [
            "train",
            "--data",
            str(photos),
            "--body",
            file.name,
            "--out",
            "run",
            "--set",
            "data.image_size=64",
            "--set",
            "model.widths=[8]",
            "--epochs",
            "1",
            "--batch-size",
            "8",
        ],
    )
    assert result.exit_code == 0, result.output
    run = open_run("run")
    assert run.config().model.body == str(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_manifest(run.onnx_file).body["sha256"] == digest
    kept = load_file(run.weights_file)["body.layers.1.0.weight"]
    assert torch.equal(kept, load_file(file)["body.layers.1.0.weight"])
    dataset = Dataset.from_record(run.dataset_record(), run.config().data)
    file.unlink()
    trained = load_model(run.weights_file)
    assert trained.network.body.about["sha256"] == digest
    assert Predictor(run.onnx_file).predict(dataset.select("valid")[0].path)
    run.metrics_file.unlink()
    with pytest.raises(ModelFileError, match=r"model\.safetensors can't be read \(No such file"):
        pipeline.resume(run, dataset)
    assert load_body(of(run.weights_file)).about["name"] == "efficientnet_lite0"  # which can be a body itself
