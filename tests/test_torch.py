import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow  # trains, or starts processes


def run(code: str) -> str:
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_fastai_vision_imports_whatever_torchvision_was_compiled_for():
    assert run("import bearcnn._torch, fastai.vision.all as v; print(v.URLs.CIFAR_100)").endswith("cifar100.tgz")


@pytest.mark.parametrize(("loads", "declared"), [(True, "False"), (False, "True")])
def test_operators_are_declared_only_where_torchvisions_own_do_not_load(tmp_path, loads, declared):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").touch()
    if not loads:
        (package / "_C.so").write_bytes(b"compiled for something else")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import bearcnn._torch, torch; print(hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert run(code) == declared


def test_threads_do_not_spin_unless_the_user_wants_them_to():
    # OpenMP reads the variable once: it is to be set before torch loads, which here is out of reach.
    load = (
        "import os, sys; sys.modules['torch'] = None; os.environ.pop('GOMP_SPINCOUNT', None); {}\n"
        "try:\n import bearcnn._torch\nexcept ImportError as error: assert error.name == 'torch', error\n"
        "else: raise SystemExit('it needs no torch')\n"
        "print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    assert run(load.format("os.environ.pop('OMP_WAIT_POLICY', None)")) == "10000"
    assert run(load.format("os.environ['GOMP_SPINCOUNT'] = '5'")) == "5"
    assert run(load.format("os.environ['OMP_WAIT_POLICY'] = 'active'")) == "None"


@pytest.mark.parametrize("package", ["model", "training", "export", "explain"])
def test_a_package_that_needs_torch_prepares_it_first(package):
    first = "import sys; sys.modules['torch'] = None; import bearcnn"  # loading torch would fail from here on
    assert run(f"{first}\ntry:\n import bearcnn.{package}\nexcept ImportError as e: print(e.name)") == "torch"
    assert "import bearcnn._torch" in (ROOT / "bearcnn" / package / "__init__.py").read_text()
