"""Each picture of README.md and docs/ is named by a command, and is as new as what draws it."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PICTURES = ROOT / "docs" / "pictures"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "docs").rglob("*.ipynb"))]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "pictures.py"))
PLAN = SCRIPT["read_plan"]()
SHOWN = re.compile(r"!\[[^]]*\]\(([^)\s]+)|<(?:img|source)[^>]+?src(?:set)?=\\?[\"']([^\"'\\\s]+)")


def shown_in(page: Path) -> set[Path]:
    """The pictures that a page shows and that are files of this checkout."""
    names = {left or right for left, right in SHOWN.findall(page.read_text(encoding="utf-8"))}
    local = {name for name in names if not name.startswith(("http:", "https:", "data:", "attachment:"))}
    return {(page.parent / name).resolve() for name in local}


def test_each_picture_that_a_page_shows_is_made_by_a_command():
    made = {PICTURES / picture.file for picture in PLAN.pictures}
    for page in PAGES:
        assert shown_in(page) <= made, f"{page.name}: name the command of each picture in docs/pictures/pictures.toml"


def test_no_picture_lies_about_unmade_or_unshown():
    shown = set().union(*map(shown_in, PAGES))
    files = {file for file in PICTURES.iterdir() if file.suffix not in (".toml", ".json")}
    assert {PICTURES / picture.file for picture in PLAN.pictures} == files
    assert files == shown & files, "a picture that no page shows can go"


@pytest.mark.parametrize("picture", PLAN.pictures, ids=lambda picture: picture.file)
def test_a_picture_is_as_new_as_what_draws_it(picture):
    assert SCRIPT["explain_state"](PLAN, picture) is None, "run `make pictures`, look at it, and commit it"


@pytest.mark.parametrize("step", [*PLAN.folders, *PLAN.pictures], ids=lambda step: getattr(step, "file", None))
def test_a_command_can_be_run_anywhere(step):
    assert ("{out}" in step.command) == hasattr(step, "file")
    for line in step.command.strip().splitlines():
        first, second, *_ = words = shlex.split(line)
        assert first in SCRIPT["PROGRAMS"]
        assert first != "python" or (ROOT / second).is_file()
        assert not [word for word in words if Path(word).is_absolute() or ".." in Path(word).parts]


def test_a_picture_goes_out_of_date_with_its_command_its_sources_and_its_folders(monkeypatch, tmp_path):
    folder, picture = SCRIPT["Folder"], SCRIPT["Picture"]
    monkeypatch.setitem(SCRIPT["digest_origin"].__globals__, "ROOT", tmp_path)
    (tmp_path / "draw.py").write_text("one")
    base = picture("a.png", "python draw.py work/run/x --out {out}", ("draw.py",))
    plan = SCRIPT["Plan"](
        (
            folder("work/photos", "bearcnn data synth work/photos"),
            folder("work/run", "bearcnn train --data work/photos"),
        ),
        (base,),
    )
    assert [each.path for each in plan.needs(base.command)] == ["work/photos", "work/run"]
    before = SCRIPT["digest_origin"](plan, base)
    other_photos = SCRIPT["Plan"](
        (folder("work/photos", "bearcnn data synth work/photos --seed 1"), plan.folders[1]), ()
    )
    assert SCRIPT["digest_origin"](other_photos, base) != before
    assert SCRIPT["digest_origin"](plan, picture("a.png", base.command + " --large", ("draw.py",))) != before
    (tmp_path / "draw.py").write_text("two")
    assert SCRIPT["digest_origin"](plan, base) != before
    (tmp_path / "draw.py").write_text("one")
    assert SCRIPT["digest_origin"](plan, base) == before
