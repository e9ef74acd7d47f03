"""A few hundred damaged pictures of each format, decoded and cached; `tests/torture` does thousands."""

from pathlib import Path

import pytest

from tests.helpers.mutations import VARIANTS
from tests.helpers.picture_trials import run_trials


@pytest.mark.parametrize("file_format", VARIANTS)
def test_each_damaged_picture_is_a_picture_or_a_reason(file_format: str, tmp_path: Path) -> None:
    rows = list(run_trials(file_format, 7, 0, 60, tmp_path))
    tried = [row for row in rows if "number" in row]
    assert len(tried) == sum(row.get("cached", 0) for row in rows) == 60
    assert sum(row["reason"] is not None for row in tried) >= 20
