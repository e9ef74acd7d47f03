"""The notebooks of the documentation run from their first cell to their last, in a kernel of their own."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
QUICK = {"lesson": 'scenes, epochs, seeds, workers = 40, 1, 2, 1; photo = "scenes/test/bear/brown/00008.jpg"'}
"""What is run after the cell with the tag `parameters`."""


def test_each_notebook_has_a_quick_way():
    assert sorted(QUICK) == [file.stem for file in NOTEBOOKS]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_and_is_kept_without_outputs(file: Path, trained, tmp_path, monkeypatch):
    notebook = nbformat.read(file, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs would grow old"
    (given,) = (number for number, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells.insert(given + 1, nbformat.v4.new_code_cell(QUICK[file.stem]))
    # Its settings are tested in test_lesson.py and `train` in test_api.py; most of its seconds are the export's.
    shutil.copytree(trained[0].directory, tmp_path / "run")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) >= 8
    assert not [output for output in shown if output["output_type"] == "error"]
