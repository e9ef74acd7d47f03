from pathlib import Path

import pytest

from bearcnn.data.scratch import scratch_folder


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left, other, foreign = (
        tmp_path / f".{name}" for name in ("set-0123456789abcdef", "set-mine", "sets-0123456789abcdef")
    )
    for folder in (left, other, foreign):
        (folder / "whole").mkdir(parents=True)
        (folder / ".lock").touch()
    (tmp_path / ".set-00000000deadbeef").mkdir()  # nobody's lock was ever in it
    with scratch_folder(tmp_path, "set") as mine, scratch_folder(tmp_path, "set") as another:
        assert mine.is_dir() and another.is_dir()  # of living ones
        assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".set-00000000deadbeef",
        ".set-mine",
        ".sets-0123456789abcdef",
    ]


def test_it_goes_with_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), scratch_folder(tmp_path, "set"):
        raise ValueError("stop")
    assert not list(tmp_path.iterdir())
