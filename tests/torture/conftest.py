"""Figures of `make torture`: what its tests counted and measured, printed at the end and written as JSON.

A module here says `pytestmark = pytest.mark.torture`. The folder is collected only where it is named.
"""

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

Value = str | int | float | bool
_NAME = "figure"
_PACKAGES = ("torch", "fastai", "onnxruntime", "pillow", "numpy")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[str, Value], None]:
    """`figures("kills of training", 40)` records a line; a second line of the same name in the same test replaces it.

    Kept as the test's properties, which reach the summary from other processes, and from tests that fail, too.
    """

    def record(name: str, value: Value) -> None:
        properties = request.node.user_properties
        properties[:] = [entry for entry in properties if entry[0] != _NAME or entry[1][0] != name]
        properties.append((_NAME, [name, value if isinstance(value, Value) else str(value)]))

    return record


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, default=Path("torture.json"), help="file for the figures, JSON")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    tests: dict[str, dict[str, Any]] = {}
    for outcome, reports in terminalreporter.stats.items():
        for report in (entry for entry in reports if isinstance(entry, pytest.TestReport)):
            test = tests.setdefault(report.nodeid, {"seconds": 0.0, "passed": True, "figures": {}})
            test["seconds"] += report.duration
            test["passed"] &= outcome not in ("failed", "error")
            test["figures"] |= dict(value for name, value in report.user_properties if name == _NAME)
    if not any(test["figures"] for test in tests.values()):
        return
    terminalreporter.section("figures")
    for name, test in tests.items():
        terminalreporter.line(f"{'' if test['passed'] else 'FAILED '}{name}, {test['seconds']:.0f} s")
        for what, value in test["figures"].items():
            terminalreporter.line(f"    {what}: {value}")
    content = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: version(name) for name in _PACKAGES},
        "tests": tests,
    }
    file = config.getoption("figures")
    file.write_text(json.dumps(content, indent=1) + "\n")
    terminalreporter.line(f"written to {file}")
