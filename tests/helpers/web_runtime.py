"""onnxruntime-web for the tests: the user's copy if there is one, else one that npm fetches once for all of them."""

from pathlib import Path

import pytest
from filelock import FileLock
from platformdirs import user_cache_path

from bearcnn.errors import MissingPackageError
from bearcnn.export.web_runtime import VERSION, find_runtime

_USERS = user_cache_path("bearcnn") / f"onnxruntime-web-{VERSION}"
"""Read, and never written."""


@pytest.fixture(scope="session")
def web_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of onnxruntime-web; a test that needs it is skipped where npm can't fetch it."""
    if _USERS.is_dir():
        return _USERS
    base = tmp_path_factory.getbasetemp()
    place = base.parent if base.name.startswith("popen-") else base  # one for all processes of a test run
    failed = place / "no-onnxruntime-web"
    with FileLock(place / "onnxruntime-web.lock"), pytest.MonkeyPatch.context() as patch:
        if failed.exists():
            pytest.skip(failed.read_text())
        patch.setenv("BEARCNN_CACHE", str(place / "runtime"))
        patch.setenv("npm_config_fetch_timeout", "60000")  # ms: a network that doesn't answer is none
        try:
            find_runtime()
        except MissingPackageError as error:
            failed.write_text(f"no onnxruntime-web: {error}")
            pytest.skip(failed.read_text())
    return place / "runtime" / f"onnxruntime-web-{VERSION}"
