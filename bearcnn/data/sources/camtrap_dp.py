"""Camtrap DP 1.0 as a source: a data package with the tables deployments, media and observations (TDWG).

Only the csv module reads it. Checking a package against the whole specification is `frictionless validate`'s work.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from bearcnn.data import OnProgress
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.cells import clean, drop_zone, parse_moment, quote
from bearcnn.data.sources.gathering import Problem, Row, base_folder, locate, make_listing
from bearcnn.data.sources.labels import EMPTY, check_classes, choose_label, is_positive, positive_words
from bearcnn.data.sources.tables import read_json, read_table
from bearcnn.errors import DataError

DESCRIPTOR = "datapackage.json"
_TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "deployments": (("deploymentID",), ("locationID", "locationName")),
    "media": (("mediaID", "deploymentID", "timestamp", "filePath"), ("fileMediatype",)),
    "observations": (
        ("deploymentID", "mediaID", "observationType"),
        ("eventID", "eventStart", "eventEnd", "observationLevel", "scientificName"),
    ),
}
"""The tables that are read, with the columns that each must have and those that it may lack."""
_RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
_NAMES_OF_TYPES = {"blank": EMPTY, "human": "human", "vehicle": "vehicle"} | {
    name: name for name in ("unknown", "unclassified")
}
_NAMELESS = "unidentified"  # an animal, but nobody says which
_WEB_ADDRESS = re.compile(r"(https?|ftp|s3|gs)://", re.IGNORECASE)
_MISSING = ("", "nan")  # the specification's missing values, in lower case


@dataclass(slots=True)
class _Medium:
    """A row of media, and what the observations say of it."""

    where: str
    path: Path
    deployment: str
    mediatype: str
    taken: datetime  # with its time zone
    on_the_web: bool
    names: list[str] = field(default_factory=list)  # seen on it
    event_names: list[str] = field(default_factory=list)  # seen in its events
    events: list[str] = field(default_factory=list)  # the ids of these


def is_camtrap_dp(path: Path) -> bool:
    """Check whether a path is a package's descriptor, or a folder with one that has the tables of Camtrap DP."""
    try:
        if path.name == DESCRIPTOR and path.is_file():
            return True
        text = (path / DESCRIPTOR).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return False
    return all(f'"{name}"' in text for name in _TABLES)


def list_camtrap_dp(path: Path, positive: Sequence[str], on_progress: OnProgress | None = None) -> Listing:
    """Return the photos of a Camtrap DP package, labelled by its observations; `path` is its folder or descriptor.

    An observation is positive if one of `positive` is its scientific name, a vernacular name of it in the package's
    list of taxa, or a group above it there (genus, family ...), in upper or lower case. With `bear` among them, so are
    Ursidae and its genera. An observation of one photo comes before those of the events that the photo was taken in.
    Blank is the subclass "empty". Photos without observation, unclassified ones, unidentified animals and groups that
    a positive species belongs to (such as Mammalia) are skipped, and so are videos and photos that are not on this
    computer. The site is the deployment's location, the sequence the event.

    Raises:
        DataError: the package isn't of this format, or is damaged.
    """
    file = path if path.is_file() else path / DESCRIPTOR
    package = _read_package(file)
    words = positive_words(positive)
    check, above = _read_taxa(package, words)
    problems: list[Row] = []
    sites = _read_sites(_read_rows(file, package, "deployments", problems))
    media = _read_media(file, _read_rows(file, package, "media", problems), problems)
    names = _read_observations(_read_rows(file, package, "observations", problems), media, above, problems)
    if media and all(medium.on_the_web for medium in media.values()):
        raise DataError(
            f"all photos of {file} are on the web: download them, and write their paths into the filePath of media"
        )
    rows = [(medium.where, _read_medium(medium, sites, words, check)) for medium in media.values()]
    listing = make_listing(file, [*problems, *rows])
    check_classes(file, {photo.label for photo in listing.labelled}, names, positive)
    return listing


def _read_package(file: Path) -> Mapping[str, Any]:
    package = read_json(file)
    if not isinstance(package, dict) or not isinstance(package.get("resources"), list):
        raise DataError(f"{file} describes no data package: it has no list of resources")
    version = re.search(r"camtrap-dp/v?(\d+)(\.\d+)*/", str(package.get("profile")))
    if version and int(version[1]) != 1:
        raise DataError(f"{file} is of version {version[0].split('/')[1]} of Camtrap DP: export it as 1.0")
    return package


def _find_table(file: Path, package: Mapping[str, Any], name: str) -> Path:
    named = [each for each in package["resources"] if isinstance(each, dict) and each.get("name") == name]
    path = named[0].get("path") if named else None
    if isinstance(path, list) and len(path) == 1:
        path = path[0]
    if not named:
        raise DataError(f"{file} has no table {name}: expected Camtrap DP, with {', '.join(_TABLES)}")
    if not isinstance(path, str) or _WEB_ADDRESS.match(path):
        raise DataError(f"the table {name} of {file} isn't one file beside it: put it there, and name it as its path")
    plain = PurePosixPath(path)
    if plain.is_absolute() or ".." in plain.parts:  # as the specification demands of packages from strangers
        raise DataError(f"the path {quote(path)} of the table {name} leads out of the folder of {file}")
    return base_folder(file) / plain


def _read_rows(
    file: Path, package: Mapping[str, Any], name: str, problems: list[Row]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row of a table is, and its cells by column; add rows that can't be right to `problems`."""
    path = _find_table(file, package, name)
    required, optional = _TABLES[name]
    table = read_table(path, [*required, *optional])
    table.require(required)
    places = {column: table.find(column) for column in (*required, *optional) if table.has(column)}
    for line, cells in table.rows:
        where = f"{path.name}, line {line}"
        if isinstance(cells, Problem):
            problems.append((where, cells))
        else:
            values = {column: cells[place] for column, place in places.items()}
            blank = dict.fromkeys(optional, "")
            yield where, blank | {k: "" if v.strip().lower() in _MISSING else v for k, v in values.items()}


def _read_sites(rows: Iterator[tuple[str, dict[str, str]]]) -> dict[str, str]:
    """Return the site of each deployment: its location's name where no other location has it, else the location's id.

    A deployment without location is a site of its own.
    """
    deployments = [values for _, values in rows]
    names = {values["locationID"]: values["locationName"] for values in deployments}
    shared = Counter(names.values())
    sites: dict[str, str] = {}
    for values in deployments:
        identifier, name = values["locationID"], names[values["locationID"]] if values["locationID"] else ""
        name = name or values["locationName"]
        distinct = name and (not identifier or shared[name] == 1)
        sites[values["deploymentID"]] = clean(name if distinct else identifier or values["deploymentID"])
    return sites


def _read_media(file: Path, rows: Iterator[tuple[str, dict[str, str]]], problems: list[Row]) -> dict[str, _Medium]:
    base = base_folder(file)
    media: dict[str, _Medium] = {}
    for where, values in rows:
        identifier, path = values["mediaID"], locate(base, values["filePath"])
        try:
            taken = parse_moment(values["timestamp"])
        except ValueError as error:
            problems.append((where, Problem(str(error))))
            continue
        if not identifier or path is None or taken is None:
            problems.append((where, Problem("no mediaID, no timestamp, or no filePath that can be a file's name")))
        elif identifier in media:
            text = f"its mediaID {quote(identifier)} is that of {media[identifier].where} as well"
            problems.append((where, Problem(text)))
        else:
            on_the_web = _WEB_ADDRESS.match(values["filePath"]) is not None
            mediatype = values["fileMediatype"].strip().lower()
            media[identifier] = _Medium(where, path, values["deploymentID"], mediatype, taken, on_the_web)
    return media


def _read_taxa(package: Mapping[str, Any], words: Mapping[str, str]) -> tuple[Callable[[str], bool], frozenset[str]]:
    """Return the check whether a scientific name is positive, and the groups above positive taxa, in lower case."""
    listed = package.get("taxonomic")
    taxa: dict[str, list[str]] = {}
    groups: dict[str, list[str]] = {}
    for taxon in listed if isinstance(listed, list) else []:
        if isinstance(taxon, dict) and isinstance(taxon.get("scientificName"), str):
            vernacular = taxon.get("vernacularNames")
            key = taxon["scientificName"].casefold()
            groups[key] = [taxon[rank] for rank in _RANKS if isinstance(taxon.get(rank), str)]
            taxa[key] = list(vernacular.values()) if isinstance(vernacular, dict) else []

    @cache
    def check(name: str) -> bool:
        key = name.casefold()
        candidates = [name, *taxa.get(key, []), *groups.get(key, [])]
        return any(isinstance(each, str) and is_positive(each, words) for each in candidates)

    above = {group for key in groups if check(key) for group in groups[key]}
    return check, frozenset(group.casefold() for group in above if not check(group))


def _read_observations(
    rows: Iterator[tuple[str, dict[str, str]]],
    media: Mapping[str, _Medium],
    above: frozenset[str],
    problems: list[Row],
) -> set[str]:
    """Add what was observed to the media; return the names of all that was."""
    names: set[str] = set()
    find_media = _index_by_time(media)
    for where, values in rows:
        kind = values["observationType"].strip().lower()
        name = _NAMES_OF_TYPES.get(kind) or clean(values["scientificName"]) or _NAMELESS
        if kind not in _NAMES_OF_TYPES and kind != "animal":
            known = ", ".join(["animal", *(each for each in _NAMES_OF_TYPES)])
            problems.append((where, Problem(f"there is no observationType {quote(kind)}: expected one of {known}")))
            continue
        names.add(name)
        name = _NAMELESS if name.casefold() in above else name
        event = clean(values["eventID"])
        if values["mediaID"] and values["observationLevel"].strip().lower() != "event":
            medium = media.get(values["mediaID"])
            if medium:
                medium.names.append(name)
                medium.events += [event] if event else []
            continue
        try:
            start, end = parse_moment(values["eventStart"]), parse_moment(values["eventEnd"])
        except ValueError as error:
            problems.append((where, Problem(str(error))))
            continue
        if start is None or end is None:
            problems.append((where, Problem("neither a mediaID nor both eventStart and eventEnd")))
            continue
        for medium in find_media(values["deploymentID"], start, end):
            medium.event_names.append(name)
            medium.events += [event] if event else []
    return names


def _index_by_time(media: Mapping[str, _Medium]) -> Callable[[str, datetime, datetime], Sequence[_Medium]]:
    """Return a function that finds the media of a deployment between two moments, both included."""
    of_deployment: dict[str, list[_Medium]] = defaultdict(list)
    for medium in media.values():
        of_deployment[medium.deployment].append(medium)
    times: dict[str, list[float]] = {}
    for deployment, found in of_deployment.items():
        found.sort(key=lambda medium: _seconds(medium.taken))
        times[deployment] = [_seconds(medium.taken) for medium in found]

    def find(deployment: str, start: datetime, end: datetime) -> Sequence[_Medium]:
        known = times.get(deployment, [])
        return of_deployment.get(deployment, [])[
            bisect_left(known, _seconds(start)) : bisect_right(known, _seconds(end))
        ]

    return find


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _read_medium(
    medium: _Medium, sites: Mapping[str, str], words: Mapping[str, str], check: Callable[[str], bool]
) -> LabelledPhoto | SkippedPhoto:
    if medium.on_the_web:
        return SkippedPhoto(medium.path, "on the web, not on this computer", unread=True)
    if medium.mediatype and not medium.mediatype.startswith("image/"):
        return SkippedPhoto(medium.path, f"not a photo ({clean(medium.mediatype)})", unread=True)
    chosen: tuple[int, str] | str = "no observation"
    for names in (medium.names, medium.event_names):
        if names and isinstance(chosen, str):
            chosen = choose_label(names, words, check)
    if isinstance(chosen, str):
        return SkippedPhoto(medium.path, chosen, unread=True)
    label, subclass = chosen
    site = sites.get(medium.deployment) or clean(medium.deployment) or None
    sequence = min(medium.events, default=None)
    return LabelledPhoto(medium.path, label, subclass, None, site, sequence, drop_zone(medium.taken))
