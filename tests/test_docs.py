"""The README, the documentation and its site: short, light, complete, and without a dead link."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest

import bearcnn
from tests.helpers.places import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "docs_site"))

README = ROOT / "README.md"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")), *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = {"api.md", "commands.md", "configuration.md", "contributing.md", "changelog.md", "security.md"}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> set[str]:
    text = without_code(page.read_text(encoding="utf-8"))
    return {*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)}


class TestReadme:
    def test_it_has_at_most_900_words(self):
        assert len(README.read_text(encoding="utf-8").split()) <= 900

    def test_its_pictures_load_at_once(self):
        pictures = [ROOT / link for link in links(README) if link.startswith("docs/pictures/")]
        assert len(pictures) >= 8
        assert sum(picture.stat().st_size for picture in pictures) < 400_000


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_every_file_that_a_page_names_is_there(self, page):
        here = [link.partition("#")[0] for link in links(page) if not re.match(r"[a-z]+:", link)]
        generated = GENERATED if page.name in ("index.md", "gallery.md", "guide.md") else set()
        assert [link for link in here if link and link not in generated and not (page.parent / link).exists()] == []

    def test_the_navigation_names_every_page(self):
        named = set(re.findall(r"([a-z-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
        assert named == {page.name for page in (ROOT / "docs").glob("*.md")} | GENERATED


class TestGeneratedPages:
    def test_the_commands_have_every_command_and_option(self):
        from command_page import all_commands, render_commands

        page = render_commands()
        shown = {option for typed in re.findall(r"<code>(-[^ <]+)", page) for option in typed.split("/")}
        for name, command in all_commands():
            assert f"## {name} {{" in page
            assert {option for each in command.params for option in each.opts if option.startswith("-")} <= shown
        assert "[bold]" not in page

    def test_the_configuration_has_every_key_with_its_meaning(self):
        from configuration_page import render_configuration

        from bearcnn.config import config_keys

        page = render_configuration()
        for key, meaning in config_keys():
            assert f"### {key} {{ #{key} }}" in page
            assert meaning in page

    def test_the_python_api_has_every_public_name(self):
        from api_page import GROUPS, render_api

        names = [place.rpartition(".")[2] for places in GROUPS.values() for place in places]
        assert sorted(names) == sorted(set(bearcnn.__all__) - {"__version__"})
        assert all(f"::: {place}\n" in render_api() for places in GROUPS.values() for place in places)
        for place in (place for places in GROUPS.values() for place in places):
            assert resolve_name(place).__module__ == place.rpartition(".")[0]  # mkdocstrings looks where it is defined


def test_contributing_draws_the_layers_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = re.search(r"\n\n((?: {4}.*\n)+)\nTwo more contracts", text)
    assert drawn
    joined = re.sub(r"\n\s*\|", " |", drawn[1])
    assert [line.strip() for line in joined.splitlines()] == layers


def test_the_citation_has_the_version_and_the_licence():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {bearcnn.__version__}\n" in citation
    assert "\nlicense: MIT\n" in citation


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path):
    pytest.importorskip("material", reason="the site's packages are not installed: `make docs` installs them")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    loaded = r"<(?:script|img|iframe)[^>]+src=\"?(https?:[^\" >]+)|<link[^>]+href=\"?(https?:[^\" >]+)"
    assert [found for page in pages for found in re.findall(loaded, page.read_text(encoding="utf-8"))] == []
