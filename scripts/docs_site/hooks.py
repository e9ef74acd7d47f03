"""mkdocs hooks: pages that are generated or lie outside docs/, and links that work here and in the repository."""

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from api_page import render_api
from command_page import render_commands
from configuration_page import render_configuration
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
"""Files of the repository that are pages of the site, by their place in docs/."""

GENERATED = {"api.md": render_api, "commands.md": render_commands, "configuration.md": render_configuration}

_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that aren't in docs/."""
    for name, render in GENERATED.items():
        files.append(File.generated(config, name, content=render()))
    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links between files of the repository to the pages of the site; code blocks stay as they are."""
    source = page.file.src_uri
    places = {page: file for file, page in OUTSIDE.items()}
    here = posixpath.dirname(places.get(source, f"docs/{source}"))

    def point(link: re.Match[str]) -> str:
        return link[1] + _place_on_site(link[2], here) + link[3]

    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(point, part) for number, part in enumerate(parts))


def _place_on_site(link: str, here: str) -> str:
    """Return a link, relative to the repository's folder `here`, as one relative to docs/, the site's root."""
    target = posixpath.normpath(posixpath.join(here, link))
    if target in OUTSIDE:
        return OUTSIDE[target]
    inside = PurePosixPath(target)
    # What is neither a page nor below docs/ stays as it is, and mkdocs complains about it.
    return inside.relative_to("docs").as_posix() if inside.is_relative_to("docs") else link
