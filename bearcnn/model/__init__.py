"""The network: layers, weights, summary."""

import bearcnn._torch  # noqa: F401 - before any module here loads torch
