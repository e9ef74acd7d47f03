"""Where the checkout lies, and the real photos beside it that some tests look at."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("BEARCNN_SHARED", ROOT.parent / "shared"))
