"""Pictures of a trained network at work on one photo. `bearcnn.explain(run, photo)` is `explain.explain.explain`."""

import bearcnn._torch  # noqa: F401 - before any module here loads torch
from bearcnn._callable import make_callable

make_callable(__name__, "bearcnn.explain.explain:explain")
