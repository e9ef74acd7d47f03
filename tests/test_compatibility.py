import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str) -> str:
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_fastai_vision_imports_whatever_torchvision_was_compiled_for():
    assert run("import bearcnn.compatibility, fastai.vision.all as v; print(v.URLs.CIFAR_100)").endswith("cifar100.tgz")


@pytest.mark.parametrize(("loads", "declared"), [(True, "False"), (False, "True")])
def test_operators_are_declared_only_where_torchvisions_own_do_not_load(tmp_path, loads, declared):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").touch()
    if not loads:
        (package / "_C.so").write_bytes(b"compiled for something else")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import bearcnn.compatibility, torch; print(hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert run(code) == declared


def test_threads_do_not_spin_unless_the_user_wants_them_to():
    show = "import os; import bearcnn.compatibility; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert (
        run("import os; os.environ.pop('GOMP_SPINCOUNT', None); os.environ.pop('OMP_WAIT_POLICY', None); " + show)
        == "10000"
    )
    assert run("import os; os.environ['GOMP_SPINCOUNT'] = '5'; " + show) == "5"
    assert (
        run("import os; os.environ.pop('GOMP_SPINCOUNT', None); os.environ['OMP_WAIT_POLICY'] = 'active'; " + show)
        == "None"
    )


def test_every_module_that_imports_torch_imports_the_compatibility_first():
    for file in (Path(__file__).parents[1] / "bearcnn").glob("*.py"):
        lines = file.read_text().splitlines()
        heavy = [
            number
            for number, line in enumerate(lines)
            if line.startswith(("import torch", "from torch", "from fastai"))
        ]
        if heavy and file.name != "compatibility.py":
            before = lines[: heavy[0]]
            assert any(line.startswith("import bearcnn.compatibility") for line in before), file.name
