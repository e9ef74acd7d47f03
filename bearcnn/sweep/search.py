"""Which settings of a large grid to try next (`pip install "bearcnn[optuna]"`).

Optuna's TPE sampler (Bergstra et al. 2011) learns from the settings that are finished. Settings are asked for in
rounds, and a round is finished before the next is asked for, so that the same sweep asks for the same settings
whatever order its trials end in, and also after it was broken off. This module must not import torch; Optuna is
imported inside.
"""

import warnings
from collections.abc import Sequence

from bearcnn.errors import MissingPackageError
from bearcnn.sweep.plan import Cell, Plan, list_cells

_ASKS = 50
"""Times that the sampler is asked for a setting that wasn't tried, before the first one left is taken."""


def choose_cells(plan: Plan, tried: Sequence[tuple[Cell, float | None]], count: int) -> list[Cell]:
    """The next `count` settings of the plan's grid, or as many as are left, given the score of those already tried.

    Higher scores are better; None is a setting that gave none.

    Raises:
        MissingPackageError: Optuna isn't installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingPackageError(
            '--sample needs Optuna: pip install "bearcnn[optuna]"; or run the whole grid'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Values are named by their position: Optuna takes plain values alone, and some of ours are lists.
    distributions = {
        str(number): optuna.distributions.CategoricalDistribution(range(len(axis.values)))
        for number, axis in enumerate(plan.axes)
    }
    cells = {cell.key: cell for cell in list_cells(plan)}
    positions = {key: _positions(plan, cell) for key, cell in cells.items()}
    by_positions = {tuple(places.values()): key for key, places in positions.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=plan.config.train.seed + len(tried), multivariate=True, constant_liar=True, n_startup_trials=10
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for cell, score in tried:
        state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(params=positions[cell.key], distributions=distributions, value=score, state=state)
        )
    left = {key: cell for key, cell in cells.items() if key not in {cell.key for cell, _ in tried}}
    chosen: list[Cell] = []
    while left and len(chosen) < count:
        for _ in range(_ASKS):
            asked = study.ask(distributions)
            key = by_positions[tuple(asked.params[str(number)] for number in range(len(plan.axes)))]
            if key in left:
                break
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            key = next(iter(left))
        chosen.append(left.pop(key))
    return chosen


def _positions(plan: Plan, cell: Cell) -> dict[str, int]:
    return {
        str(number): axis.values.index(value)
        for number, (axis, (_, value)) in enumerate(zip(plan.axes, cell.labels, strict=True))
    }
