import pytest

from bearcnn.data.dataset import Dataset
from bearcnn.sweep.folder import create_sweep
from bearcnn.sweep.plan import plan_dropout
from tests.helpers.sweeps import tiny_config


@pytest.fixture
def small(photos, tmp_path):
    """A sweep of two rates and two seeds of one epoch, not yet run."""
    plan = plan_dropout(tiny_config(photos, "train.epochs=1"), "head", [0, 0.5], 2)
    dataset = Dataset.from_config(plan.config.data)
    return plan, dataset, create_sweep(tmp_path / "s", plan, dataset)
