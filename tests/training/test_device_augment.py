"""torch's augmentation beside OpenCV's: the same photos from the same random numbers."""

import cv2
import numpy as np
import pytest
import torch

from bearcnn.config import AugmentConfig
from bearcnn.training.augment import Variations, apply_variations, augment_batch, shrink
from bearcnn.training.device_augment import pack_variations, shrink_on_device, vary_on_device

WILD = AugmentConfig(flip=0.5, crop=0.2, stretch=2, rotation=180, brightness=0.5, contrast=0.5)
SIZES = [(64, 64), (64, 48), (64, 32), (64, 20), (66, 20), (50, 17), (128, 128), (24, 40)]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

# In pixel values of 0 to 255: OpenCV 5 interpolates as torch does, earlier ones between 1/32 of a pixel.
MEAN, LARGEST = (0.002, 2) if int(cv2.__version__.split(".")[0]) >= 5 else (1.5, 20)


def noise(side: int, count: int = 16) -> np.ndarray:
    """Photos in which neighbouring pixels have nothing in common: the hardest to interpolate alike."""
    return np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def tensor(photos: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(photos).to(device).permute(0, 3, 1, 2)


def array(photos: torch.Tensor) -> np.ndarray:
    return photos.permute(0, 2, 3, 1).cpu().numpy()


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - other.astype(int))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("config", [AugmentConfig(), WILD], ids=["default", "wild"])
@pytest.mark.parametrize(("side", "size"), SIZES)
def test_torch_varies_photos_as_opencv_does(side, size, config, device):
    photos = noise(side)
    variations = Variations.draw(len(photos), config, np.random.default_rng(1))
    varied = vary_on_device(tensor(photos, device), size, pack_variations(variations).to(device))
    assert (varied.dtype, varied.shape) == (torch.uint8, (len(photos), 3, size, size))
    assert varied.is_contiguous(memory_format=torch.channels_last)
    found = differences(array(varied), apply_variations(photos, size, variations))
    assert found.mean() < MEAN
    assert found.max() <= LARGEST


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("side", "size"), [(64, 32), (64, 16), (60, 20), (50, 17), (64, 48), (48, 48)])
def test_torch_shrinks_photos_as_opencv_does(side, size, device):
    photos = noise(side)
    shrunk = shrink_on_device(tensor(photos, device), size)
    assert shrunk.dtype == torch.uint8
    assert shrunk.is_contiguous(memory_format=torch.channels_last)
    assert differences(array(shrunk), np.stack([shrink(photo, size) for photo in photos])).max() <= 1


@pytest.mark.parametrize("value", [0, 255])
def test_light_is_clipped_and_never_wraps_around(value):
    photos = np.full((32, 8, 8, 3), value, np.uint8)
    variations = Variations.draw(32, WILD, np.random.default_rng(0))
    varied = array(vary_on_device(tensor(photos, "cpu"), 8, pack_variations(variations)))
    assert differences(varied, apply_variations(photos, 8, variations)).max() <= 1
    assert np.count_nonzero((varied == value).all((1, 2, 3))) > 8, "about half would leave the range"


def test_a_part_of_a_batch_is_varied_as_in_the_whole():
    photos = noise(32)
    whole = augment_batch(photos, 24, WILD, np.random.default_rng(3))
    variations = Variations.draw(len(photos), WILD, np.random.default_rng(3))
    on_device = vary_on_device(tensor(photos, "cpu"), 24, pack_variations(variations))
    for part in (slice(1, None, 3), np.array([4, 0, 4])):
        np.testing.assert_array_equal(apply_variations(photos[part], 24, variations[part]), whole[part])
        packed = pack_variations(variations[part])
        assert len(packed) == len(variations[part])
        assert torch.equal(vary_on_device(tensor(photos[part], "cpu"), 24, packed), on_device[part])
