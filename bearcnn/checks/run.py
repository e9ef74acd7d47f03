"""Run the checks of a collection and sum their results up in one sentence."""

from collections.abc import Collection as Names
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bearcnn.checks import CHECKS
from bearcnn.checks.base import Check, Finder, Finding
from bearcnn.checks.collection import CollectedPhoto, Collection
from bearcnn.checks.summary import summarize
from bearcnn.errors import BearcnnError
from bearcnn.registry import load


@dataclass(frozen=True, slots=True)
class Found:
    """A check and all that it found."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def photos(self) -> int:
        """The number of photos found; 0 where the findings are of the whole collection."""
        return sum(finding.photo is not None for finding in self.findings)

    def distinct(self) -> Iterator[Finding]:
        """Yield the findings, of a pair that was found from both sides the first alone."""
        seen: set[frozenset[int]] = set()
        for finding in self.findings:
            pair = frozenset(each.row for each in (finding.photo, finding.related) if each is not None)
            if finding.related is None or pair not in seen:
                yield finding
            seen.add(pair)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The results of all checks of a collection."""

    collection: Collection
    found: tuple[Found, ...]  # by checks that found something, in the order of `CHECKS`
    unchecked: dict[str, str]  # the checks that couldn't work, and why

    @property
    def problems(self) -> tuple[Found, ...]:
        """The findings to look at first: errors and warnings."""
        return tuple(each for each in self.found if each.check.severity != "note")

    def unchecked_by_reason(self) -> dict[str, list[str]]:
        """Return the checks that couldn't work, for each reason."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.unchecked.items():
            reasons.setdefault(reason, []).append(name)
        return reasons

    def verdict(self) -> str:
        """Say in one sentence whether the collection can be used."""
        count = len(self.collection.photos)
        photos = f"{count:,} photo{'s' if count > 1 else ''}"
        if self.collection.problem is None:
            start = f"{photos}: usable"
        elif self.collection.labelled:
            start = f"{photos}: not usable for training yet"
        else:
            start = f"{photos}, checked without labels"
        number = len(self.problems)
        things = "nothing to fix" if not number else f"{number} thing{'s' if number > 1 else ''} to look at first"
        return f"{start}; {things}"

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes, with every finding."""
        return {
            "verdict": self.verdict(),
            "root": str(self.collection.root.absolute()),
            "problem": self.collection.problem,
            "summary": summarize(self.collection).to_json(),
            "findings": [
                _finding_json(self.collection, each.check, finding) for each in self.found for finding in each.findings
            ],
            "unchecked": self.unchecked,
        }


def run_checks(collection: Collection, names: Names[str] | None = None, without: Names[str] = ()) -> CheckResult:
    """Run all checks, or those named, and never stop at a problem.

    Args:
        collection: from `read_collection`.
        names: of the checks to run; all unless given.
        without: names of checks that aren't run.

    Raises:
        BearcnnError: there is no check of such a name.
    """
    for name in (*(names or ()), *without):
        CHECKS[name]
    found, unchecked = [], {}
    for check in CHECKS:
        if check.name in without or (names and check.name not in names):
            continue
        if check.of_labels and collection.dataset is None:
            unchecked[check.name] = "it needs photos of both classes that training can use"
            continue
        finder: Finder = load(check.finder)
        try:
            findings = tuple(finder(collection))
        except BearcnnError as error:
            unchecked[check.name] = str(error)
            continue
        if findings:
            found.append(Found(check, findings))
    return CheckResult(collection, tuple(found), unchecked)


def _finding_json(collection: Collection, check: Check, finding: Finding) -> dict[str, Any]:
    def path(photo: CollectedPhoto | None) -> str | None:
        return photo.path.relative_to(collection.root).as_posix() if photo else None

    row: dict[str, Any] = {
        "check": check.name,
        "severity": check.severity,
        "path": path(finding.photo),
        "reason": finding.reason,
        "related": path(finding.related),
    }
    if finding.photo is not None and finding.photo.label is not None:
        row["label"] = collection.classes[finding.photo.label]
    if finding.probability is not None:
        row["probability"] = finding.probability
    return row
