"""What the network sees in one photo."""

import bearcnn._torch  # noqa: F401 - before any module here loads torch
