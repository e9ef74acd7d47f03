"""The strength of the evidence for each difference of a sweep.

A difference counts as shown if the t interval of the paired difference excludes 0 even when it is widened so that the
intervals of all comparisons hold at once (Bonferroni). An interval that excludes 0 only without widening is called a
hint.
"""

from dataclasses import dataclass
from typing import Literal

from bearcnn.sweep.analysis import Analysis
from bearcnn.sweep.statistics import Comparison

Strength = Literal["shown", "hint", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence and the sign of one comparison."""

    label: str
    comparison: Comparison
    strength: Strength

    @property
    def rises(self) -> bool:
        """Whether the setting's number is higher than the baseline's."""
        return (self.comparison.difference.mean or 0.0) > 0


def weigh(comparison: Comparison) -> Strength:
    """Rate the evidence of one comparison."""
    alone, low, high = comparison.difference, comparison.low_simultaneous, comparison.high_simultaneous
    if alone.low is None or alone.high is None or low is None or high is None:
        return "unknown"
    if alone.deviation == 0:
        # Without variation the interval has no width: a rounding difference would count as shown.
        return "none" if alone.mean == 0 else "unknown"
    if low > 0 or high < 0:
        return "shown"
    return "hint" if alone.low > 0 or alone.high < 0 else "none"


def find_evidence(analysis: Analysis, score: str) -> list[Evidence]:
    """Rate every setting against the baseline in one score, such as "valid.roc_auc"."""
    return [
        Evidence(setting.point.label, comparison, weigh(comparison))
        for setting, comparison in zip(analysis.settings[1:], analysis.comparisons[score], strict=True)
    ]
