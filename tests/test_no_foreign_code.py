"""No file can bring code: nothing is unpickled, evaluated or executed that was not written a moment before."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bearcnn
from bearcnn.data.photos import find_photos
from tests.helpers.onnx_models import write_model
from tests.helpers.unpickled import RUN, unpickled

PACKAGE = Path(bearcnn.__file__).parent

CAN_RUN_CODE = frozenset(
    {"eval", "exec", "compile", "__import__", "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    | {"jsonpickle", "yaml", "load_learner", "load_state_dict_from_url", "literal_eval", "runpy", "code", "ctypes"}
)
"""Functions and modules that make objects or code of bytes or text."""

ALLOWED = {
    "replica_start.py: pickle": "writes the address of a socket and its key into the pipe of the replica it starts",
    "training/replica_worker.py: pickle": "reads them from the process that has started it",
    "workers.py: pickle": "what a worker process and the process that has started it say to each other",
    "export/fastai.py: load_learner": "reads back the bytes that it has written a moment before",
    "model/bodies.py: torch.load": "of bytes with a known SHA-256, tensors alone (weights_only)",
    "export/pt2.py: torch.export.load": "reads back the bytes that it has written a moment before",
}
"""What is used all the same, and why nobody else's bytes get there."""


def dotted(function: ast.expr) -> str:
    """The name of what is called, such as "torch.export.load"; ".eval" for a method of what has no name."""
    parts = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    parts.append(function.id if isinstance(function, ast.Name) else "")
    return ".".join(reversed(parts))


def is_constant(value: ast.expr | None, wanted: object) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


def dangers(tree: ast.Module) -> Iterator[str]:
    """What in a module could make code of bytes or text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in CAN_RUN_CODE)
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names} | {(node.module or "").partition(".")[0]}
            yield from names & CAN_RUN_CODE
        elif isinstance(node, ast.Call):
            called, keywords = dotted(node.func), {each.arg: each.value for each in node.keywords}
            if called in CAN_RUN_CODE:
                yield called
            elif called.startswith("torch.") and called.endswith(("load", "compile")):
                yield f"{called} of any pickle" if is_constant(keywords.get("weights_only"), False) else called
            elif called in ("np.load", "numpy.load") and not is_constant(keywords.get("allow_pickle"), False):
                yield f"{called} with pickles"
            elif called == "os.system" or ("shell" in keywords and not is_constant(keywords["shell"], False)):
                yield f"{called} in a shell"


def test_nothing_that_could_run_code_is_used_but_for_the_listed_reasons() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 150
    found = {
        f"{file.relative_to(PACKAGE).as_posix()}: {danger}"
        for file in files
        for danger in dangers(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "import torch; torch.load(f)",
        "import yaml",
        "import torch; torch.load(f, weights_only=False)",
        "import numpy as np; np.load(f)",
        "import joblib.externals",
        "import numpy; numpy.load(f, allow_pickle=True)",
        "import os; os.system(x)",
        "from ast import literal_eval",
        "import subprocess; subprocess.run(x, shell=True)",
        "from fastai.learner import load_learner",
    ],
)
def test_the_search_finds_each_kind(text: str) -> None:
    assert list(dangers(ast.parse(text)))


@pytest.mark.slow  # starts a process
def test_a_prediction_unpickles_nothing(tmp_path: Path, photos: Path) -> None:
    model = write_model(tmp_path / "model.onnx")
    photo = next(find_photos(photos))
    assert unpickled(RUN, "predict", photo, "--model", model, "--heatmaps", tmp_path / "drawn") == set()


@pytest.mark.slow
def test_the_hook_sees_a_pickle() -> None:
    assert unpickled("import pickle, pathlib\npickle.loads(pickle.dumps(pathlib.PurePosixPath()))") != set()
