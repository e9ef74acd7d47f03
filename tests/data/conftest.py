from pathlib import Path
from typing import Any

import pytest

from bearcnn.data.dataset import Dataset


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(root: Path, **options: Any) -> Dataset:
        return Dataset.from_folder(root, image_size=8, resize="squish", cache_root=tmp_path / "cache", **options)

    return load
