"""Contact sheets: small pictures of a collection's photos in one HTML page, grouped by what was found or by class."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import CollectedPhoto, Collection
from bearcnn.checks.groups import Group, group_photos
from bearcnn.checks.run import CheckResult, Found
from bearcnn.checks.summary import summarize
from bearcnn.data import OnProgress
from bearcnn.files import write_atomically
from bearcnn.inference.windows import Windows
from bearcnn.report.page import template
from bearcnn.report.thumbnails import Picture, draw_pictures, overlay_uri

MOST_NAMES = 500
"""Photos without a picture that are named on the page; `bearcnn data check --json` has all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo on the page."""

    name: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Card:
    """One finding: one photo, or two side by side."""

    photos: list[Shown]
    reason: str
    windows: str  # a data URI that lies over the first photo; empty for none


@dataclass(frozen=True, slots=True)
class FoundSection:
    """The findings of one check."""

    found: Found
    cards: list[Card]
    sentences: list[str]  # findings about the whole collection
    unshown: list[Finding]
    unnamed: int


@dataclass(frozen=True, slots=True)
class GroupSection:
    """A sample of one group."""

    group: Group
    cards: list[Card]


def write_check(result: CheckResult, out: Path, per_check: int, on_progress: OnProgress | None = None) -> None:
    """Write the page of what checks found, with at most `per_check` findings of each in pictures.

    Raises:
        BearcnnError: the file exists already or can't be written.
    """
    shown = {found.check.name: list(islice(_with_photo(found), per_check)) for found in result.found}
    wanted = [photo for findings in shown.values() for finding in findings for photo in _photos(finding)]
    pictures = _draw(wanted, on_progress)
    sections = []
    for found in result.found:
        unshown = list(_with_photo(found))[per_check:]
        sections.append(
            FoundSection(
                found,
                [_make_card(finding, pictures) for finding in shown[found.check.name]],
                [finding.reason for finding in found.findings if finding.photo is None],
                unshown[:MOST_NAMES],
                max(0, len(unshown) - MOST_NAMES),
            )
        )
    page = template("check.html").render(
        result=result,
        collection=result.collection,
        summary=summarize(result.collection),
        sections=sections,
        today=datetime.now().date().isoformat(),
        positive=result.collection.classes[1],
        windows=any(card.windows for section in sections for card in section.cards),
    )
    _write(page, out)


def write_look(
    collection: Collection, out: Path, per_group: int, seed: int, on_progress: OnProgress | None = None
) -> None:
    """Write a page with a sample of each split, class and site or subclass.

    Raises:
        BearcnnError: the file exists already or can't be written.
    """
    groups = [(group, group.sample(per_group, seed)) for group in group_photos(collection)]
    pictures = _draw([photo for _, sample in groups for photo in sample], on_progress)
    sections = [
        GroupSection(
            group, [Card([Shown(photo.name, pictures[photo.row])], photo.unreadable or "", "") for photo in sample]
        )
        for group, sample in groups
    ]
    page = template("look.html").render(
        collection=collection,
        summary=summarize(collection),
        sections=sections,
        seed=seed,
        today=datetime.now().date().isoformat(),
    )
    _write(page, out)


def _with_photo(found: Found) -> Iterable[Finding]:
    return (finding for finding in found.distinct() if finding.photo is not None)


def _photos(finding: Finding) -> list[CollectedPhoto]:
    return [photo for photo in (finding.photo, finding.related) if photo is not None]


def _draw(photos: list[CollectedPhoto], on_progress: OnProgress | None) -> dict[int, Picture]:
    distinct = {photo.row: photo.path for photo in photos}
    return dict(zip(distinct, draw_pictures(list(distinct.values()), on_progress), strict=True))


def _make_card(finding: Finding, pictures: dict[int, Picture]) -> Card:
    shown = [Shown(photo.name, pictures[photo.row]) for photo in _photos(finding)]
    scores, picture = finding.windows, shown[0].picture if shown else None
    if scores is None or picture is None:
        return Card(shown, finding.reason, "")
    return Card(
        shown, finding.reason, overlay_uri((picture.width, picture.height), scores, Windows.spread(len(scores)))
    )


def _write(page: str, out: Path) -> None:
    # A file name in another encoding must not stop the page.
    write_atomically(out, page.encode("utf-8", "backslashreplace"))
