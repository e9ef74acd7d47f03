"""The trained network in other formats, each compared with the network that was trained."""

import bearcnn._torch  # noqa: F401 - before any module here loads torch
