"""A generated photo set, and one real run of two epochs that all tests look at."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from bearcnn.data.dataset import Dataset
from bearcnn.data.synthetic.scene import draw_scene
from bearcnn.runs import Run
from tests.helpers.training import Recorder, made_once, small_config, train_once
from tests.helpers.web_runtime import web_runtime

__all__ = ["web_runtime"]

# The tests run side by side, one on each core: threads of their own would only wait for each other. Before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start would ignore it as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does; that says nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=20)  # `make quick` asks for it
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory) -> Iterator[None]:
    """The user's cache stays untouched, and every test run begins with an empty one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEARCNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("NO_COLOR", "1")
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A folder of 60 drawn photos of 48 px, split into train, valid and test; look at it, don't change it."""
    return made_once(tmp_path_factory, "data", draw_photos)


def draw_photos(place: Path) -> Path:
    folder = place / "photos"
    for number in range(60):
        scene = draw_scene(1, number, size=48, is_bear=number % 2 == 0)
        split = ("train", "train", "train", "valid", "test")[number // 2 % 5]
        of_class = folder / split / ("bear" if scene.is_bear else "not_bear") / scene.subclass
        of_class.mkdir(parents=True, exist_ok=True)
        scene.image.save(of_class / f"{number:03}.jpg")
    return folder


@pytest.fixture(scope="session")
def trained(photos, tmp_path_factory) -> tuple[Run, Dataset, Recorder]:
    """One real, finished run of two epochs; look at it, don't change it."""
    return train_once(tmp_path_factory, "work", small_config(photos))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
