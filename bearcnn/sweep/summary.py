"""Findings -> a verdict in words, as cautious as the numbers are.

What counts as shown: the t interval of the paired difference leaves out 0 even when it is widened so that the intervals
of all comparisons hold together (Bonferroni). An interval that leaves out 0 by itself alone is called a hint. The
permutation test stands beside it. This module must not import torch, fastai, matplotlib or pandas.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bearcnn.sweep.analysis import POINT, SCORE, Findings
from bearcnn.sweep.plan import DROPOUTS
from bearcnn.sweep.statistics import Comparison, seeds_for_significance

Evidence = Literal["shown", "hint", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class _Sign:
    """What one comparison shows, and of which sign; gains in a loss are falls of it."""

    label: str
    comparison: Comparison
    evidence: Evidence

    @property
    def rises(self) -> bool:
        return (self.comparison.difference.mean or 0.0) > 0


def write_verdict(findings: Findings) -> str:
    """The verdict: paragraphs with a line's end between, each to be wrapped by whoever shows it."""
    paragraphs = [
        _what_was_done(findings),
        _validation(findings),
        _training(findings),
        _folklore(findings),
        _permutations(findings),
        _power(findings),
        _choice(findings),
        _test(findings),
        _limits(findings),
    ]
    return "\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def wrap_verdict(verdict: str, width: int = 79) -> str:
    """The verdict for a text file or a terminal."""
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in verdict.splitlines()) + "\n"


def weigh(comparison: Comparison) -> Evidence:
    """How much one comparison says."""
    alone, low, high = comparison.difference, comparison.low_together, comparison.high_together
    if alone.low is None or alone.high is None or low is None or high is None:
        return "unknown"
    if alone.deviation == 0:
        # Without any variation the interval has no width, and would call the smallest rounding a fact.
        return "none" if alone.mean == 0 else "unknown"
    if low > 0 or high < 0:
        return "shown"
    return "hint" if alone.low > 0 or alone.high < 0 else "none"


def points(value: float | None) -> str:
    """A difference of a share, in points of a hundred."""
    if value is None:
        return "unknown"
    shown = f"{abs(100 * value):.1f}" if abs(100 * value) >= 0.1 else f"{abs(100 * value):.2f}"
    return ("-" if value < 0 and float(shown) else "") + shown


def _signs(findings: Findings, score: str) -> list[_Sign]:
    return [
        _Sign(setting.cell.label, comparison, weigh(comparison))
        for setting, comparison in zip(findings.settings[1:], findings.comparisons[score], strict=True)
    ]


def _subject(findings: Findings) -> str:
    """What a setting is called: "dropout", or "setting" where several things vary."""
    return findings.plan.axes[0].name.replace("_", " ") if len(findings.plan.axes) == 1 else "setting"


def _name(findings: Findings, label: str) -> str:
    """A setting in a sentence: "dropout 0.3"; several things that vary name themselves."""
    return f"{_subject(findings)} {label}" if len(findings.plan.axes) == 1 else label


def _seeds(findings: Findings) -> int:
    """Pairs in the smallest comparison; with one setting alone, its trials."""
    paired = [comparison.difference.n for comparison in findings.comparisons[SCORE]]
    return min(paired, default=findings.baseline.means[SCORE].n)


def _what_was_done(findings: Findings) -> str:
    photos, settings = findings.photos, len(findings.settings)
    epochs = findings.plan.config.train.epochs
    text = (
        f"{findings.done} trainings of {_count(epochs, 'epoch')}: {_count(settings, 'setting')} of "
        f"{_subject(findings)} with {_count(len(findings.plan.seeds), 'seed')}; each on {photos['train']:,} photos, "
        f"judged on {photos['valid']:,} validation photos by its last epoch's network."
    )
    if findings.failed:
        reasons = list(dict.fromkeys(record.reason for record in findings.failed))
        skipped = "is skipped" if len(findings.failed) == 1 else "are skipped"
        text += f" {_count(len(findings.failed), 'trial')} failed and {skipped} ({reasons[0]}"
        text += f"; and {len(reasons) - 1} other reasons)." if len(reasons) > 1 else ")."
    if findings.missing:
        text += f" {_count(findings.missing, 'trial')} did not run."
    return text


def _validation(findings: Findings) -> str:
    signs = _signs(findings, SCORE)
    base = _name(findings, findings.baseline.cell.label)
    level = findings.baseline.means[SCORE]
    start = f"Validation AUC with {base}: {level.mean:.3f}."
    if not signs:
        return f"{start} There is nothing to compare it with."
    if all(sign.evidence == "unknown" for sign in signs):
        if _seeds(findings) < 2:
            return f"{start} With one seed no difference can be told from chance: run at least 2 seeds, better 5."
        return f"{start} The trials don't vary enough to say anything."
    together = f"; all {len(signs)} intervals hold together" if len(signs) > 1 else ""
    parts = []
    for rises, verb in ((True, "raised"), (False, "lowered")):
        shown = [sign for sign in signs if sign.evidence == "shown" and sign.rises == rises]
        if shown:
            strongest = max(shown, key=lambda sign: abs(sign.comparison.difference.mean or 0))
            others = [sign.label for sign in shown if sign is not strongest]
            low, high = strongest.comparison.low_together, strongest.comparison.high_together
            part = (
                f"{_upper(_name(findings, strongest.label))} {verb} it by "
                f"{points(abs(strongest.comparison.difference.mean or 0))} points on these photos (95% interval of "
                f"the change {points(low)} to {points(high)}{together})"
            )
            parts.append(part + (f", and so did {_list(others)}." if others else "."))
        hints = [sign for sign in signs if sign.evidence == "hint" and sign.rises == rises]
        if hints:
            ranges = [
                f"{sign.label} ({points(sign.comparison.difference.mean)}, {points(sign.comparison.difference.low)} to "
                f"{points(sign.comparison.difference.high)})"
                for sign in hints
            ]
            chance = f": among {len(signs)} comparisons such a thing also comes by chance" if len(signs) > 1 else ""
            parts.append(f"A hint, not more, that it was {verb} by {_list(ranges)}{chance}.")
    if all(not sign.comparison.difference.deviation for sign in signs):
        return f"{start} All settings score the same with every seed: these photos can't tell them apart."
    none = [sign.label for sign in signs if sign.evidence == "none"]
    if len(none) == len(signs):
        widest = max(
            (max(abs(each.low or 0), abs(each.high or 0)), number)
            for number, each in enumerate(sign.comparison.difference for sign in signs)
        )[0]
        parts.append(
            f"No measurable difference to any other setting at {_count(_seeds(findings), 'seed')}; differences beyond "
            f"{points(widest)} points are unlikely."
        )
    elif none:
        parts.append(f"No measurable difference for {_list(none)}.")
    return " ".join([start, *parts])


def _training(findings: Findings) -> str:
    loss = _signs(findings, "train.log_loss")
    if not loss or all(sign.evidence == "unknown" for sign in loss):
        return ""
    worse = [sign for sign in loss if sign.evidence == "shown" and sign.rises]
    better = [sign for sign in loss if sign.evidence == "shown" and not sign.rises]
    hints = [sign for sign in loss if sign.evidence == "hint"]
    parts = []
    for found, verb in ((worse, "higher"), (better, "lower")):
        if found:
            most = max(found, key=lambda sign: abs(sign.comparison.difference.mean or 0))
            parts.append(
                f"{verb} with {_list([sign.label for sign in found])} (the most with {most.label}: "
                f"{most.comparison.difference.mean:+.3f}, {most.comparison.low_together:+.3f} to "
                f"{most.comparison.high_together:+.3f})"
            )
    if hints:
        shown = [f"{sign.label} ({'higher' if sign.rises else 'lower'})" for sign in hints]
        parts.append(f"perhaps changed with {_list(shown)}")
    level = findings.baseline.means["train.log_loss"].mean
    start = (
        f"Training loss, measured as the validation loss is (photos as they are, no dropout at work): {level:.3f} with "
        f"{_name(findings, findings.baseline.cell.label)}; "
    )
    return start + ("; ".join(parts) if parts else "no measurable change with any other") + "."


def _folklore(findings: Findings) -> str:
    """More dropout, worse on training data, better on unseen data: each half as far as it is shown."""
    axes = findings.plan.axes
    if len(axes) != 1 or axes[0].keys not in DROPOUTS.values() or findings.baseline.cell.labels[0][1] != 0:
        return ""
    signs, training = _signs(findings, SCORE), _signs(findings, "train.log_loss")
    if not signs or any(sign.evidence == "unknown" for sign in (*signs, *training)):
        return ""
    halves = []
    # A higher training loss is worse, a higher validation AUC is better.
    for name, found in (("worse on training data", training), ("better on unseen data", signs)):
        right = [sign.label for sign in found if sign.evidence == "shown" and sign.rises]
        wrong = [sign.label for sign in found if sign.evidence == "shown" and not sign.rises]
        hinted = any(sign.evidence == "hint" and sign.rises for sign in found)
        if right and not wrong:
            halves.append(f"{name}: true here with {_list(right)}")
        elif right:
            halves.append(f"{name}: true here with {_list(right)}, and the contrary with {_list(wrong)}")
        elif wrong:
            halves.append(f"{name}: not so here, the contrary is true with {_list(wrong)}")
        else:
            halves.append(f"{name}: not shown here" + (", at most hinted at" if hinted else ""))
    return "“More dropout: worse on training data, better on unseen data”? " + _upper("; ".join(halves)) + "."


def _permutations(findings: Findings) -> str:
    p_values = [each.p_holm for each in findings.comparisons[SCORE] if each.p_holm is not None]
    seeds = _seeds(findings)
    if not p_values or seeds < 2:
        return ""
    needed = seeds_for_significance(len(p_values))
    corrected = f", corrected for {len(p_values)} comparisons (Holm)" if len(p_values) > 1 else ""
    text = f"Permutation test of validation AUC{corrected}: smallest p = {min(p_values):.3g}."
    if seeds < needed:
        text += (
            f" With {_count(seeds, 'seed')} it can't come below 0.05 whatever the trials give; that takes {needed}. So "
            "what is said here rests on the t intervals, which take such differences to follow a bell curve."
        )
    return text


def _power(findings: Findings) -> str:
    if not findings.deviation or findings.visible is None:
        return ""
    if findings.seeds_for_a_point is None:
        needed = "more than 100,000 seeds"
    else:
        needed = f"about {_count(findings.seeds_for_a_point, 'seed')}"
    return (
        f"Two trainings with one seed differ in validation AUC by chance as well (standard deviation "
        f"{points(findings.deviation)} points): {needed} would be needed to see a true difference of "
        f"{100 * POINT:g} point with a chance of 80%; {_count(_seeds(findings), 'seed')} see one of "
        f"{points(findings.visible)}."
    )


def _choice(findings: Findings) -> str:
    if len(findings.settings) == 1:
        return ""
    best, chosen = findings.settings[findings.best], findings.settings[findings.chosen]
    highest, error = best.means[SCORE].mean, best.means[SCORE].error
    name = _name(findings, chosen.cell.label)
    if error is None:
        return f"Chosen: {name}, which has the highest mean, by one seed alone."
    if best is chosen:
        return (
            f"Chosen: {name}, the highest mean ({highest:.3f}); none that comes before it is within one standard error "
            f"({points(error)} points)."
        )
    return (
        f"Chosen: {name}. {_upper(_name(findings, best.cell.label))} has the highest mean ({highest:.3f}), but "
        f"{chosen.cell.label} comes first within one standard error of it ({points(error)} points), and nothing speaks "
        "for more."
    )


def _test(findings: Findings) -> str:
    label = findings.settings[findings.chosen].cell.label
    name = _name(findings, label)
    if not findings.test:
        return (
            "There is no test split, so there is no final score: the validation score of the chosen setting flatters a "
            "little, because it was chosen by it."
        )
    auc, accuracy = findings.test["roc_auc"], findings.test["accuracy"]
    text = (
        f"Final score of {name} on {findings.photos['test']:,} test photos: ROC AUC {auc}, accuracy {accuracy} (mean "
        "of its trainings; 95% interval over photos and seeds)."
    )
    others = [name for name in findings.test_looks if name != label]
    if others:
        return text + f" The test photos were looked at before, for {_list(others)}: they are no longer quite unseen."
    return text + " The test photos were looked at for this setting alone."


def _limits(findings: Findings) -> str:
    if len(findings.settings) == 1:
        return ""
    return (
        "The intervals of differences say what other seeds would give with these photos; other photos, longer "
        "trainings or another network may say otherwise."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
