"""Search: the choice of the next settings of a large grid (`pip install "bearcnn[optuna]"`).

Optuna's TPE sampler (Bergstra et al. 2011) learns from the finished settings. Settings are chosen in rounds; a round is
finished before the next one is chosen. The chosen settings therefore don't depend on the order in which trials end, or
on whether the sweep was stopped and resumed.
"""

import warnings
from collections.abc import Sequence

from bearcnn.optional import load_optional
from bearcnn.sweep.plan import GridPoint, Plan, list_points

_ASKS = 50
"""The most times that the sampler is asked for an untried setting; then the first untried one is taken."""


def choose_points(plan: Plan, tried: Sequence[tuple[GridPoint, float | None]], count: int) -> list[GridPoint]:
    """Choose the next `count` settings of the grid, or as many as are left, given the scores of those already tried.

    Higher scores are better; None stands for a setting without a score.

    Raises:
        MissingPackageError: Optuna isn't installed.
    """
    optuna = load_optional("optuna", 'a sample needs Optuna: pip install "bearcnn[optuna]"; or run the whole grid')
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Values are named by their positions: Optuna takes plain values only, and some values are lists.
    distributions = {
        str(number): optuna.distributions.CategoricalDistribution(range(len(swept.values)))
        for number, swept in enumerate(plan.swept)
    }
    points = {point.key: point for point in list_points(plan)}
    positions = {key: _positions(plan, point) for key, point in points.items()}
    by_positions = {tuple(places.values()): key for key, places in positions.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=plan.config.train.seed + len(tried), multivariate=True, constant_liar=True, n_startup_trials=10
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for point, score in tried:
        state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                params=positions[point.key], distributions=distributions, value=score, state=state
            )
        )
    left = {key: point for key, point in points.items() if key not in {point.key for point, _ in tried}}
    chosen: list[GridPoint] = []
    while left and len(chosen) < count:
        for _ in range(_ASKS):
            asked = study.ask(distributions)
            key = by_positions[tuple(asked.params[str(number)] for number in range(len(plan.swept)))]
            if key in left:
                break
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            key = next(iter(left))
        chosen.append(left.pop(key))
    return chosen


def _positions(plan: Plan, point: GridPoint) -> dict[str, int]:
    return {
        str(number): swept.values.index(value)
        for number, (swept, (_, value)) in enumerate(zip(plan.swept, point.labels, strict=True))
    }
