"""A whole training run unpickles nothing."""

from pathlib import Path

import pytest

from tests.helpers.unpickled import RUN, unpickled


@pytest.mark.torture
def test_a_training_unpickles_nothing(tmp_path: Path, photos: Path) -> None:
    settings = ["data.image_size=32", "model.widths=[8]", "train.epochs=1", "train.replicas=1"]
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    out = tmp_path / "run"
    assert unpickled(RUN, "train", "--data", photos, "--out", out, *overrides, MPLCONFIGDIR=str(tmp_path)) == set()
    assert (out / "model.onnx").exists()
