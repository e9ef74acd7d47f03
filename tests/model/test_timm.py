import pytest
import torch
from safetensors.torch import save_file

from bearcnn.config import ModelConfig, load_config
from bearcnn.errors import BearcnnError, ModelFileError
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import read_manifest
from bearcnn.model.bodies import empty_body, load_body
from bearcnn.model.load import load_model
from bearcnn.model.network import bear_logit, build_model
from tests.helpers.training import train_small

timm = pytest.importorskip("timm")

NAME = "mobilenetv4_conv_small"


def make(name: str = NAME, stage: int = -1) -> ModelConfig:
    return ModelConfig(body=f"timm:{name}", body_stage=stage, widths=(8,), kernel_size=1, stride=1, pool_size=1)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Random weights where a user puts them."""
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path))
    torch.manual_seed(0)
    network = timm.create_model(NAME)
    (tmp_path / "bodies").mkdir()
    save_file(network.state_dict(), tmp_path / "bodies" / f"{NAME}.safetensors")
    return network


def test_a_file_of_the_user_is_loaded(weights):
    body = load_body(make())
    assert body.about["name"] == f"timm:{NAME}"
    assert body.about["licence"]
    assert len(body.about["sha256"]) == 64
    assert torch.equal(body.state_dict()["layers.network.conv_stem.weight"], weights.conv_stem.weight)
    maps = body(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert maps.shape == (1, body.out_width, 2, 2)


def test_an_earlier_map_is_finer(weights):
    network = build_model(make(stage=-2)).eval()
    photos = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    assert network.stem(photos).shape[2:] == (4, 4)
    assert network(photos).shape == (2, 2)
    with pytest.raises(BearcnnError, match=r"has the maps -1 \(the last\) to -5"):
        load_body(make(stage=-9))


def test_the_heads_first_weights_come_from_the_seed_alone(weights):
    torch.manual_seed(5)
    first = build_model(make()).head.weight
    torch.manual_seed(5)
    assert torch.equal(first, build_model(make(), body=load_body(make())).head.weight)


def test_missing_weights_are_one_line_that_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: 1 / 0)
    with pytest.raises(ModelFileError) as caught:
        load_body(make())
    message = str(caught.value)
    assert "\n" not in message
    assert f"https://huggingface.co/timm/{NAME}" in message
    assert str(tmp_path / "bodies" / f"{NAME}.safetensors") in message


def test_a_network_that_timm_does_not_have_is_one_line():
    with pytest.raises(BearcnnError, match="timm has no network 'mobilenetv4_conv_smal'; did you mean"):
        load_body(make("mobilenetv4_conv_smal"))


def test_weights_of_another_network_are_refused(weights, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "bodies" / f"{NAME}.safetensors")
    with pytest.raises(ModelFileError, match="are not those of timm:mobilenetv4_conv_small"):
        load_body(make())


@pytest.mark.parametrize("name", [NAME, "resnet10t", "mobilenetv3_small_050"])
def test_the_weights_are_divided_into_stages(name):
    body = empty_body(make(name), {})
    stages = body.stage_parameters(len(body.stage_ends))
    assert len(stages) >= 4
    assert [id(weight) for stage in stages for weight in stage] == [id(weight) for weight in body.parameters()]
    body.unfreeze(1)
    learning = [weight for weight in body.parameters() if weight.requires_grad]
    assert 0 < len(learning) < len(list(body.parameters()))
    maps = body(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    maps.sum().backward()
    assert all(weight.grad is not None for weight in learning)


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", [0, 1])
def test_the_whole_way_without_a_network(weights, photos, tmp_path, monkeypatch, unfreeze):
    def unreachable(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", unreachable)
    monkeypatch.chdir(tmp_path)
    config = load_config(
        None,
        [
            f"model.body=timm:{NAME}",
            "model.widths=[8]",
            "data.image_size=64",
            "train.epochs=2",
            "train.batch_size=8",
            "train.precision=float32",
            f"train.unfreeze={unfreeze}",
            "train.unfreeze_epochs=1",
            "train.unfreeze_lr=1e-4",
            f"data.path={photos}",
        ],
    )
    run, dataset, watcher = train_small(config, tmp_path / "run")
    assert [record.unfrozen for record in watcher.records] == [0, 0, 1][: 2 + unfreeze]
    example = dataset.select("valid")[0]
    (answer,) = Predictor(run.onnx_file).predict(example.path)
    trained = load_model(run.weights_file)
    pixels = torch.from_numpy(dataset.pixels[example.row].copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        logit = bear_logit(trained.network(pixels), trained.network.output_classes)[0]
    expected = torch.sigmoid(logit / trained.manifest.temperature)
    assert answer.probability == pytest.approx(float(expected), abs=1e-4)
    assert read_manifest(run.onnx_file).body["name"] == f"timm:{NAME}"
    assert run.metrics()["layers"][0]["layer"].startswith(f"timm:{NAME}, pretrained")
