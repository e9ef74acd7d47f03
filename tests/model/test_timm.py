import pytest
import torch
from safetensors.torch import save_file

from bearcnn.config import ModelConfig
from bearcnn.errors import BearcnnError, ModelFileError
from bearcnn.model.bodies import load_body
from bearcnn.model.network import build_model

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
