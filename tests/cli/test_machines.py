"""The computer is at fault: each command says so in one line. The long part is in tests/torture/test_machines.py."""

import resource

import pytest

from tests.helpers.machines import assert_one_line, run_limited


@pytest.mark.slow  # starts a process
def test_output_that_can_not_grow_is_one_line(work, photos, tmp_path) -> None:
    process = run_limited(
        "predict", photos, "--format", "csv", cwd=work, limits={resource.RLIMIT_FSIZE: 1000}, stdout=tmp_path / "f"
    )
    assert_one_line(process, "can't write the output: a file may not grow any further")


@pytest.mark.slow  # starts a process
def test_sixteen_open_files_are_enough_for_a_prediction(work, photos) -> None:
    process = run_limited("predict", photos / "test", cwd=work, limits={resource.RLIMIT_NOFILE: 16})
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("arguments", [("train", "--out"), ("data", "synth"), ("export", "--out")])
def test_a_name_that_is_too_long_is_one_line(command, work, arguments) -> None:
    said = command(*arguments, "x" * 300, cwd=work, code=1).stderr
    assert "too long" in said
    assert "Traceback" not in said
