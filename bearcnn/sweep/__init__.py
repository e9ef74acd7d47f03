"""Sweeps: settings x seeds to statistics and a summary.

`bearcnn.sweep(config, dataset, settings)` is `sweep.run.sweep`.
"""

from bearcnn._callable import make_callable

make_callable(__name__, "bearcnn.sweep.run:sweep")
