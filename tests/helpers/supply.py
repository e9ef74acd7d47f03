"""The packages that run: what bearcnn needs, what these need, and so on. As a program: their names."""

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("pretrained",)


def runtime_packages() -> dict[str, Distribution]:
    """Every installed package that bearcnn and its extra for pretrained bodies need, by name."""
    found: dict[str, Distribution] = {}
    waiting = [f"bearcnn[{','.join(EXTRAS)}]"]
    seen = set()
    while waiting:
        wanted = Requirement(waiting.pop())
        name, extras = canonicalize_name(wanted.name), tuple(sorted(wanted.extras))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of another system
            continue
        for line in found[name].requires or ():
            marker = Requirement(line).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(line)
    return found


def licence_of(package: Distribution) -> str:
    """The licence as the package's metadata name it."""
    about = package.metadata
    classifiers = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    return " / ".join(filter(None, [about.get("License-Expression"), (about.get("License") or "")[:80], *classifiers]))


if __name__ == "__main__":
    sys.stdout.write("\n".join(runtime_packages()))
