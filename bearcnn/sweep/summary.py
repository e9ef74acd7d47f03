"""The summary of a sweep in words: the answer first, then what it rests on."""

import textwrap
from collections.abc import Sequence

from bearcnn.evaluation.formats import decimal
from bearcnn.sweep.analysis import POINT, SCORE, Analysis
from bearcnn.sweep.evidence import Evidence, find_evidence
from bearcnn.sweep.plan import DROPOUTS
from bearcnn.sweep.statistics import seeds_for_significance


def write_summary(analysis: Analysis) -> str:
    """Write the summary, one paragraph per line, the answer first; the caller wraps them."""
    paragraphs = [
        answer(analysis),
        _what_was_done(analysis),
        _validation(analysis),
        _training(analysis),
        _folklore(analysis),
        _permutations(analysis),
        _power(analysis),
        _choice(analysis),
        _test(analysis),
        _limits(analysis),
    ]
    return "\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def answer(analysis: Analysis) -> str:
    """Answer in a sentence or two whether any setting is better, as carefully as the numbers allow."""
    if analysis.chosen is None:
        return _nothing_learnt(analysis)
    signs, base = find_evidence(analysis, SCORE), _name(analysis, analysis.baseline.point.label)
    if not signs:
        return f"The validation AUC with {base} is {decimal(analysis.baseline.means[SCORE].mean)}."
    if all(sign.strength == "unknown" for sign in signs):
        few = "One seed" if _seeds(analysis) < 2 else "These trials"
        return f"{few} can't tell whether any {_subject(analysis)} is better than {base}."
    shown = [sign for sign in signs if sign.strength == "shown"]
    best = max(shown, key=lambda sign: sign.comparison.difference.mean or 0.0, default=None)
    if best and best.rises:
        return f"{_upper(_name(analysis, best.label))} is better than {base} here: {_gain(best)}."
    hints = [sign.label for sign in signs if sign.strength == "hint" and sign.rises]
    text = f"No {_subject(analysis)} is shown to be better than {base} here"
    text += f"; for {_list(hints)} there is a hint at most." if hints else "."
    if shown:
        worst = min(shown, key=lambda sign: sign.comparison.difference.mean or 0.0)
        text += f" {_upper(_name(analysis, worst.label))} is worse: {_gain(worst)}."
    return text


def wrap_summary(summary: str, width: int = 79) -> str:
    """Wrap the summary for a text file."""
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in summary.splitlines()) + "\n"


def points(value: float | None) -> str:
    """Format a difference of shares in percentage points."""
    if value is None:
        return "unknown"
    size = abs(100 * value)
    shown = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}" if size >= 0.1 else f"{size:.2f}"
    return ("-" if value < 0 and float(shown) else "") + shown


def _gain(sign: Evidence) -> str:
    """Return a shown change of the validation AUC with the interval that holds for all comparisons at once."""
    change, low, high = (
        sign.comparison.difference.mean,
        sign.comparison.low_simultaneous,
        sign.comparison.high_simultaneous,
    )
    return f"{points(change)} points of validation AUC ({points(low)} to {points(high)})"


def _subject(analysis: Analysis) -> str:
    """Name what varies: "dropout", or "setting" where several keys vary."""
    return analysis.plan.swept[0].name.replace("_", " ") if len(analysis.plan.swept) == 1 else "setting"


def _name(analysis: Analysis, label: str) -> str:
    """Name a setting in a sentence: "dropout 0.3"; the label of several keys names them already."""
    return f"{_subject(analysis)} {label}" if len(analysis.plan.swept) == 1 else label


def _seeds(analysis: Analysis) -> int:
    """Count the pairs of the smallest comparison; with one setting, its trials."""
    paired = [comparison.difference.n for comparison in analysis.comparisons[SCORE]]
    return min(paired, default=analysis.baseline.means[SCORE].n)


def _what_was_done(analysis: Analysis) -> str:
    photos, settings = analysis.photos, len(analysis.settings)
    knobs = " and ".join(swept.name.replace("_", " ") for swept in analysis.plan.swept)
    epochs = analysis.plan.config.train.total_epochs
    varied = any("data.photos" in each.keys for each in analysis.plan.swept)
    trained_on = f"up to {photos['train']:,} photos, its own draw" if varied else f"{photos['train']:,} photos"
    text = (
        f"{_count(analysis.done, 'training run')} of {_count(epochs, 'epoch')}: "
        f"{_count(settings, 'setting')} of {knobs} with {_count(len(analysis.plan.seeds), 'seed')} each. "
        f"Every run trained on {trained_on}; its last epoch's network is scored on {photos['valid']:,} validation "
        "photos."
    )
    if analysis.failed:
        reasons = list(dict.fromkeys(record.reason for record in analysis.failed))
        skipped = "is skipped" if len(analysis.failed) == 1 else "are skipped"
        text += f" {_count(len(analysis.failed), 'trial')} failed and {skipped} ({reasons[0]}"
        text += f"; and {len(reasons) - 1} other reasons)." if len(reasons) > 1 else ")."
    if analysis.missing:
        text += f" {_count(analysis.missing, 'trial')} did not run."
    return text


def _validation(analysis: Analysis) -> str:
    signs = find_evidence(analysis, SCORE)
    base = _name(analysis, analysis.baseline.point.label)
    level = analysis.baseline.means[SCORE]
    start = f"Validation AUC with {base}: {level.mean:.3f}."
    if not signs:
        return f"{start} There is no other setting to compare."
    if all(sign.strength == "unknown" for sign in signs):
        if _seeds(analysis) < 2:
            return f"{start} With one seed no difference can be told from chance. Run at least 2 seeds, better 5."
        return f"{start} The trials vary too little for an interval."
    at_once = f"; all {len(signs)} intervals hold at once" if len(signs) > 1 else ""
    parts = []
    for rises, verb in ((True, "raised"), (False, "lowered")):
        shown = [sign for sign in signs if sign.strength == "shown" and sign.rises == rises]
        if shown:
            strongest = max(shown, key=lambda sign: abs(sign.comparison.difference.mean or 0))
            others = [sign.label for sign in shown if sign is not strongest]
            low, high = strongest.comparison.low_simultaneous, strongest.comparison.high_simultaneous
            part = (
                f"{_upper(_name(analysis, strongest.label))} {verb} it by "
                f"{points(abs(strongest.comparison.difference.mean or 0))} points on these photos (95% interval of "
                f"the change {points(low)} to {points(high)}{at_once})"
            )
            parts.append(part + (f", and so did {_list(others)}." if others else "."))
        hints = [sign for sign in signs if sign.strength == "hint" and sign.rises == rises]
        if hints:
            ranges = [
                f"{sign.label} ({points(sign.comparison.difference.mean)}, {points(sign.comparison.difference.low)} to "
                f"{points(sign.comparison.difference.high)})"
                for sign in hints
            ]
            chance = f" Among {len(signs)} comparisons, chance alone can give such a hint." if len(signs) > 1 else ""
            parts.append(f"A hint, not more, that it was {verb} by {_list(ranges)}.{chance}")
    if all(not sign.comparison.difference.deviation for sign in signs):
        return f"{start} Every setting has the same score with every seed: these photos can't tell them apart."
    none = [sign.label for sign in signs if sign.strength == "none"]
    if len(none) == len(signs):
        widest = max(
            (max(abs(each.low or 0), abs(each.high or 0)), number)
            for number, each in enumerate(sign.comparison.difference for sign in signs)
        )[0]
        parts.append(
            f"No measurable difference between it and any other setting with {_count(_seeds(analysis), 'seed')}. "
            f"Differences of more than {points(widest)} points are unlikely."
        )
    elif none:
        parts.append(f"No measurable difference for {_list(none)}.")
    return " ".join([start, *parts])


def _training(analysis: Analysis) -> str:
    loss = find_evidence(analysis, "train.log_loss")
    if not loss or all(sign.strength == "unknown" for sign in loss):
        return ""
    worse = [sign for sign in loss if sign.strength == "shown" and sign.rises]
    better = [sign for sign in loss if sign.strength == "shown" and not sign.rises]
    hints = [sign for sign in loss if sign.strength == "hint"]
    parts = []
    for found, verb in ((worse, "higher"), (better, "lower")):
        if found:
            most = max(found, key=lambda sign: abs(sign.comparison.difference.mean or 0))
            parts.append(
                f"{verb} with {_list([sign.label for sign in found])} (the most with {most.label}: "
                f"{most.comparison.difference.mean:+.3f}, {most.comparison.low_simultaneous:+.3f} to "
                f"{most.comparison.high_simultaneous:+.3f})"
            )
    if hints:
        shown = [f"{sign.label} ({'higher' if sign.rises else 'lower'})" for sign in hints]
        parts.append(f"a hint of a change with {_list(shown)}")
    level = analysis.baseline.means["train.log_loss"].mean
    start = (
        f"Training loss (measured without augmentation and dropout, like the validation loss) with "
        f"{_name(analysis, analysis.baseline.point.label)}: {level:.3f}; "
    )
    return start + ("; ".join(parts) if parts else "no measurable difference with any other setting") + "."


def _folklore(analysis: Analysis) -> str:
    """Compare the folklore (more dropout: worse on training data, better on unseen data) with what is shown."""
    swept = analysis.plan.swept
    if len(swept) != 1 or swept[0].keys not in DROPOUTS.values() or analysis.baseline.point.labels[0][1] != 0:
        return ""
    signs, training = find_evidence(analysis, SCORE), find_evidence(analysis, "train.log_loss")
    if not signs or any(sign.strength == "unknown" for sign in (*signs, *training)):
        return ""
    halves = []
    # A higher training loss is worse, a higher validation AUC is better.
    for name, found in (("worse on training data", training), ("better on unseen data", signs)):
        right = [sign.label for sign in found if sign.strength == "shown" and sign.rises]
        wrong = [sign.label for sign in found if sign.strength == "shown" and not sign.rises]
        hinted = any(sign.strength == "hint" and sign.rises for sign in found)
        if right and not wrong:
            halves.append(f"{name}: true here with {_list(right)}")
        elif right:
            halves.append(f"{name}: true here with {_list(right)}, the opposite with {_list(wrong)}")
        elif wrong:
            halves.append(f"{name}: not here, the opposite is true with {_list(wrong)}")
        else:
            halves.append(f"{name}: not shown here" + (", a hint at most" if hinted else ""))
    return "“More dropout: worse on training data, better on unseen data”? " + _upper("; ".join(halves)) + "."


def _permutations(analysis: Analysis) -> str:
    p_values = [each.p_holm for each in analysis.comparisons[SCORE] if each.p_holm is not None]
    seeds = _seeds(analysis)
    if not p_values or seeds < 2:
        return ""
    needed = seeds_for_significance(len(p_values))
    corrected = f", corrected for {len(p_values)} comparisons (Holm)" if len(p_values) > 1 else ""
    text = f"Permutation test of validation AUC{corrected}: smallest p = {min(p_values):.3g}."
    if seeds < needed:
        text += (
            f" With {_count(seeds, 'seed')} it can't fall below 0.05 whatever the trials give; that takes {needed} "
            "seeds. The statements above rest on the t intervals, which assume normally distributed differences."
        )
    return text


def _power(analysis: Analysis) -> str:
    if not analysis.deviation or analysis.visible is None:
        return ""
    if analysis.seeds_for_a_point is None:
        needed = "more than 100,000 seeds"
    else:
        needed = f"about {_count(analysis.seeds_for_a_point, 'seed')}"
    seeds = _count(_seeds(analysis), "seed")
    return (
        f"With {seeds} this sweep sees differences of {points(analysis.visible)} points or more. To see "
        f"{100 * POINT:g} point takes {needed}."
    )


def _nothing_learnt(analysis: Analysis) -> str:
    highest = analysis.settings[analysis.best].means[SCORE].mean
    return (
        f"Nothing was learnt: with no setting is the validation AUC (at most {highest:.3f}) shown to be better than "
        "a coin's 0.5. So nothing is chosen, the test photos are not scored, and differences between settings mean "
        "nothing. Train longer (--epochs), or with more photos, before you compare settings."
    )


def _choice(analysis: Analysis) -> str:
    if len(analysis.settings) == 1 or analysis.chosen is None:
        return ""
    best, chosen = analysis.settings[analysis.best], analysis.settings[analysis.chosen]
    highest, error = best.means[SCORE].mean, best.means[SCORE].error
    name = _name(analysis, chosen.point.label)
    if error is None:
        return f"Chosen: {name}, which has the highest validation AUC, with one seed only."
    if best is chosen:
        return (
            f"Chosen: {name}, the highest mean ({highest:.3f}). No setting before it is within one standard error "
            f"({points(error)} points)."
        )
    return (
        f"Chosen: {name}. {_upper(_name(analysis, best.point.label))} has the highest mean ({highest:.3f}), but "
        f"{chosen.point.label} is the first setting within one standard error of it ({points(error)} points)."
    )


def _test(analysis: Analysis) -> str:
    if analysis.chosen is None:
        return ""
    label = analysis.settings[analysis.chosen].point.label
    name = _name(analysis, label)
    if not analysis.test:
        return (
            "There is no test split, and therefore no final score. The validation score of the chosen setting is "
            "slightly optimistic, because the setting was chosen by it."
        )
    auc, accuracy = analysis.test["roc_auc"], analysis.test["accuracy"]
    text = (
        f"Final score of {name} on {analysis.photos['test']:,} test photos: ROC AUC {auc}, accuracy {accuracy} (mean "
        "of its training runs; 95% interval over photos and seeds)."
    )
    others = [name for name in analysis.test_looks if name != label]
    if others:
        return text + f" The test photos were scored before, for {_list(others)}: they are no longer quite unseen."
    return text + " The test photos were scored for this setting only."


def _limits(analysis: Analysis) -> str:
    if len(analysis.settings) == 1:
        return ""
    return (
        "The intervals of differences cover other seeds on these photos. Other photos, longer training or another "
        "network can give another result."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
