"""The small installation (requirements-edge.txt): a lone model file is enough, and torch is far away."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from bearcnn.data.photos import find_photos
from bearcnn.inference.engines import ENGINES
from tests.helpers.onnx_models import write_model
from tests.helpers.places import ROOT

UNREACHABLE = (
    "No matching distribution",
    "Could not find a version",
    "ConnectionError",
    "Connection broken",
    "timed out",
)


def edge_requirements() -> list[Requirement]:
    lines = (ROOT / "requirements-edge.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_the_ranges_are_those_of_the_whole_installation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    whole = {requirement.name: requirement.specifier for requirement in map(Requirement, project["dependencies"])}
    assert {each.name: each.specifier for each in edge_requirements()} == {
        each.name: whole[each.name] for each in edge_requirements()
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64", "AMD64", "armv7l", "armv6l"])
def test_each_computer_gets_one_engine(machine: str) -> None:
    engines = {row.requirement for row in ENGINES}
    chosen = [
        each.name
        for each in edge_requirements()
        if each.name in engines and each.marker and each.marker.evaluate({"platform_machine": machine})
    ]
    assert chosen == ["opencv-python-headless" if machine.startswith("armv") else "onnxruntime"]


class Edge:
    """A fresh environment with nothing but the small installation."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.bearcnn = self.python.with_name("bearcnn")
        source = folder / "source"  # building writes beside the source
        source.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        shutil.copytree(ROOT / "bearcnn", source / "bearcnn", ignore=shutil.ignore_patterns("__pycache__"))
        self._install("-r", ROOT / "requirements-edge.txt")
        self._install("--no-deps", source)

    def _install(self, *what: object) -> None:
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", "--no-compile", "--quiet", *what]
        process = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=280, check=False)
        if process.returncode and any(words in process.stderr for words in UNREACHABLE):
            pytest.skip(f"pip can't reach an index: {process.stderr.strip().splitlines()[-1]}")
        assert process.returncode == 0, process.stderr

    def run(self, *arguments: object, cwd: Path, code: int = 0) -> "subprocess.CompletedProcess[str]":
        environment: dict[str, Any] = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.run(
            [self.bearcnn, *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**environment, "COLUMNS": "80"},
        )
        assert process.returncode == code, process.stdout + process.stderr
        return process


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Edge:
    return Edge(tmp_path_factory.mktemp("edge"))


@pytest.fixture
def place(tmp_path: Path, photos: Path) -> Path:
    """A folder with a lone model file and some photos."""
    write_model(tmp_path / "bear.onnx")
    for photo in list(find_photos(photos))[:3]:
        (tmp_path / "photos").mkdir(exist_ok=True)
        shutil.copy(photo, tmp_path / "photos")
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestEdge:
    """Predictions as on a large computer, and one line where more is needed."""

    def test_a_lone_model_file_predicts_and_draws(self, edge: Edge, place: Path) -> None:
        process = edge.run("predict", "photos", "--model", "bear.onnx", "--heatmaps", "drawn", cwd=place)
        assert len(process.stdout.splitlines()) == 3
        assert len(list((place / "drawn").glob("*.jpg"))) == 3
        assert (place / "drawn" / "index.html").read_text().count("<img") == 3

    def test_it_watches(self, edge: Edge, place: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(
            [edge.bearcnn, "predict", "--model", "bear.onnx", "--watch", "photos", "--existing", "--format", "jsonl"],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout
            rows = [process.stdout.readline() for _ in range(3)]
            process.terminate()
            assert process.wait(60) == 0
        assert all('"label": ' in row for row in rows)

    @pytest.mark.parametrize(
        ("command", "package"), [(["train"], "torch"), (["explain", "photos/x.jpg"], "torch"), (["sweep-dropout"], "")]
    )
    def test_what_needs_more_says_what_to_install(
        self, edge: Edge, place: Path, command: list[str], package: str
    ) -> None:
        process = edge.run(*command, cwd=place, code=1)
        assert process.stdout == ""
        assert process.stderr.count("\n") == 1
        assert process.stderr.startswith(f"error: this needs {package}")
        assert "not installed here; all that bearcnn needs: pip install bearcnn" in process.stderr

    def test_nothing_heavy_is_installed(self, edge: Edge, place: Path) -> None:
        code = "import importlib.metadata as m; print(*sorted(d.metadata['Name'].lower() for d in m.distributions()))"
        process = subprocess.run([edge.python, "-c", code], capture_output=True, text=True, check=True, cwd=place)
        heavy = {"torch", "torchvision", "fastai", "matplotlib", "pandas", "scipy", "scikit-learn", "onnx", "spacy"}
        assert not heavy & set(process.stdout.split())
