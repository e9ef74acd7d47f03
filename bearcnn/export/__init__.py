"""The trained network in other formats, each compared with the network that was trained.

`bearcnn.export(run, format, out)` is `export.run.export`.
"""

import bearcnn._torch  # noqa: F401 - before any module here loads torch
from bearcnn._callable import make_callable

make_callable(__name__, "bearcnn.export.run:export")
