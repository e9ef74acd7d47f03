import json

import pytest
from PIL import Image

from bearcnn.cli.explain import PARTS
from tests.helpers.commands import some_photos

pytestmark = pytest.mark.slow


def test_one_picture_and_each_part_alone(work, photos, tmp_path, command):
    photo, run = some_photos(photos)[0], work / "runs" / "latest"
    said = command("explain", photo, "--model", run, cwd=tmp_path).stdout.splitlines()
    shown = json.loads(command("explain", photo, "--model", run, "--what", "windows", "--json", cwd=tmp_path).stdout)
    assert (shown["picture"], shown["what"]) == (f"explain-{photo.stem}-windows.png", "windows")
    assert said[0].startswith(f"{shown['label']}: bear {shown['probability']:.3f}, threshold ")
    best = shown["best_window"]
    at = f"{best['at'][0]:.0f},{best['at'][1]:.0f}"
    assert said[1] == f"best window: bear {best['score']:.3f}, around {at} (percent of width and height)"
    assert said[2].startswith(f"kernel {shown['kernel']} speaks most for {shown['label']}, around ")
    assert said[3] == f"drew explain-{photo.stem}.png"
    assert said[-2].startswith("next: ")
    assert said[-1].startswith("  bearcnn explain ") and said[-1].endswith(f"--out explain-{photo.stem}.html")
    with (
        Image.open(tmp_path / f"explain-{photo.stem}.png") as whole,
        Image.open(tmp_path / shown["picture"]) as part,
    ):
        assert whole.width == part.width
        assert whole.height > 5 * part.height


def test_a_page_of_six_sections_at_a_place(work, photos, tmp_path, command):
    photo, run = some_photos(photos)[0], work / "runs" / "latest"
    said = command(
        "explain", photo, "--model", run, "--out", "photo.html", "--kernel", "2", "--at", "30,70", cwd=tmp_path
    ).stdout
    assert "drew photo.html" in said and "next: open it in a browser" in said
    page = (tmp_path / "photo.html").read_text(encoding="utf-8")
    assert page.count("<h2 id=") == 6
    assert 'id="step-kernel">2<' in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "x.html", "--what", "windows"], "omit --what"),
        (["--at", "30"], "--at 30: expected X,Y in percent"),
        (["--at", "30,x"], "--at 30,x: expected X,Y in percent"),
        (["--at", "30,101"], "--at 30,101: expected percent of the width and the height, 0 to 100 each"),
        (["--kernel", "99"], "there is no --kernel 99: the first layer has kernels 1 to 8"),
        (["--kernel", "0"], "there is no --kernel 0: the first layer has kernels 1 to 8"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(work, photos, tmp_path, command, options, said):
    run = work / "runs" / "latest"
    stderr = command("explain", some_photos(photos)[0], "--model", run, *options, cwd=tmp_path, code=1).stderr
    assert said in stderr and len(stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_picture_is_never_overwritten(work, photos, tmp_path, command):
    (tmp_path / "mine.png").write_text("precious")
    process = command("explain", some_photos(photos)[0], "--out", tmp_path / "mine.png", cwd=work, code=1)
    assert "nothing is ever overwritten" in process.stderr
    assert (tmp_path / "mine.png").read_text() == "precious"


def test_every_part_can_be_asked_for():
    from bearcnn.explain.explain import SECTIONS  # loads torch

    assert ("all", *SECTIONS) == PARTS
