import json

import pytest
from PIL import Image

from bearcnn.cli.explain import PARTS
from tests.helpers.commands import some_photos

pytestmark = pytest.mark.slow


def test_one_picture_and_each_part_alone(work, photos, tmp_path, command):
    photo, run = some_photos(photos)[0], work / "runs" / "latest"
    process = command("explain", photo, "--model", run, cwd=tmp_path)
    assert process.stdout == f"drew explain-{photo.stem}.png\n"
    shown = json.loads(command("explain", photo, "--model", run, "--what", "windows", "--json", cwd=tmp_path).stdout)
    assert shown == {"picture": f"explain-{photo.stem}-windows.png", "what": "windows"}
    with (
        Image.open(tmp_path / f"explain-{photo.stem}.png") as whole,
        Image.open(tmp_path / shown["picture"]) as part,
    ):
        assert whole.width == part.width
        assert whole.height > 3 * part.height


def test_a_picture_is_never_overwritten(work, photos, tmp_path, command):
    (tmp_path / "mine.png").write_text("precious")
    process = command("explain", some_photos(photos)[0], "--out", tmp_path / "mine.png", cwd=work, code=1)
    assert "nothing is ever overwritten" in process.stderr
    assert (tmp_path / "mine.png").read_text() == "precious"


def test_every_part_can_be_asked_for():
    from bearcnn.explain.explain import SECTIONS  # loads torch

    assert ("all", *SECTIONS) == PARTS
