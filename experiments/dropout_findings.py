"""The findings of dropout_trial.py in words, a table and two pictures, from the numbers of its trials.

    python experiments/dropout_findings.py
    python experiments/dropout_findings.py --results FILE --picture rates --out FILE

Writes the blocks of docs/findings-dropout.md and docs/pictures/dropout-trial*.png anew, without training.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common import ROOT, publish, table
from dropout_pictures import AUC, LATER, TRAINING, UNSEEN, draw_all, draw_rates, lower_is_better

from bearcnn.evaluation.formats import decimal, signed
from bearcnn.sweep.evidence import weigh
from bearcnn.sweep.statistics import Comparison, Mean, compare_paired, mean_interval

PAGE = ROOT / "docs" / "findings-dropout.md"
RESULTS = ROOT / "experiments" / "results" / "dropout_trial"


@dataclass(frozen=True)
class Finding:
    """One comparison of rates: the numbers of its trials by rate and seed, and the differences from rate 0."""

    name: str
    values: Mapping[str, Mapping[float, Mapping[int, float]]]  # "test.roc_auc", ... -> rate -> seed -> number

    @classmethod
    def of(cls, comparison: Mapping[str, Any]) -> "Finding":
        """Sort the trials of a comparison of the results file."""
        values: dict[str, dict[float, dict[int, float]]] = {}
        for trial in comparison["trials"]:
            for name, value in trial.items():
                values.setdefault(name, {}).setdefault(trial["rate"], {})[trial["seed"]] = value
        return cls(comparison["name"], values)

    @property
    def rates(self) -> list[float]:
        """The rates above 0."""
        return [rate for rate in self.values[UNSEEN] if rate]

    @property
    def is_bare(self) -> bool:
        """Whether nothing else than dropout works against overfitting."""
        return "," not in self.name

    @property
    def chosen(self) -> float:
        """The rate with the lowest mean loss on the validation photos; between equals, the smaller one."""
        return min(self.values[UNSEEN], key=lambda rate: (self.mean("valid.log_loss", rate).mean or 0.0, rate))

    def mean(self, name: str, rate: float) -> Mean:
        """Compute the mean over seeds with its interval."""
        return mean_interval(list(self.values[name][rate].values()))

    def compare(self, name: str) -> list[Comparison]:
        """Compare each rate above 0 with rate 0, seed by seed; the wide intervals hold for all rates at once."""
        return compare_paired([self.values[name][rate] for rate in self.rates], self.values[name][0.0])

    def differences(self, name: str, rate: float) -> dict[int, float]:
        """Subtract the numbers of rate 0, seed by seed."""
        return {seed: value - self.values[name][0.0][seed] for seed, value in self.values[name][rate].items()}

    def shown(self, name: str, better: bool) -> list[float]:
        """List the rates that are shown to make a number better (or worse)."""
        return [
            rate
            for rate, each in zip(self.rates, self.compare(name), strict=True)
            if weigh(each) == "shown" and ((each.difference.mean or 0) > 0) == (better != lower_is_better(name))
        ]


def count_shown(findings: Sequence[Finding], name: str, better: bool) -> int:
    """Count the rates, over all comparisons, that are shown to make a number better (or worse)."""
    return sum(len(finding.shown(name, better)) for finding in findings)


def headline(findings: Sequence[Finding], patience: int) -> str:
    """Say in one line what the findings show."""
    total = sum(len(finding.rates) for finding in findings)
    stopped, later = (count_shown(findings, kept + UNSEEN, True) for kept in ("", LATER))
    return (
        f"At the best epoch, dropout improves the loss on unseen photos in {stopped} of {total} cases; {patience} "
        f"epochs later in {later}"
    )


def describe(findings: Sequence[Finding], patience: int) -> list[str]:
    """Say what the findings show, in paragraphs."""
    ends = {rate: median(_best_epochs(findings, rate)) for rate in findings[0].values[UNSEEN]}
    past = [
        f"{decimal(each.mean(LATER + TRAINING, 0.0).mean)} and {decimal(each.mean(LATER + UNSEEN, 0.0).mean)} with "
        f"{each.name}"
        for each in sorted(filter(lambda finding: finding.is_bare, findings), key=_photos)
    ]
    return [
        f"**Where training stops at its best epoch:** {_count_both(findings, '')}",
        f"**Where it goes on for {patience} epochs past the best one:** {_count_both(findings, LATER)} Overfitting was "
        f"real there: without dropout, batch norm and augmentation, the losses on training and on unseen photos were "
        f"{_list(past)}.",
        describe_choice(findings),
        f"**Dropout takes longer.** The best epoch was, in the median, number "
        f"{_list([f'{number:g} with rate {rate:g}' for rate, number in ends.items()])}.",
    ]


def _count_both(findings: Sequence[Finding], kept: str) -> str:
    """Count for one of the networks what is shown on training and on unseen photos."""
    total = sum(len(finding.rates) for finding in findings)
    parts = []
    for name, words in ((TRAINING, "the training loss"), (UNSEEN, "the loss on unseen photos"), (AUC, "their AUC")):
        worse, better = (
            f"{count_shown(findings, kept + name, good)}{_name_cases(findings, kept + name, good)}"
            for good in (False, True)
        )
        parts.append(f"{words} worse in {worse} and better in {better}")
    return f"Of {total} cases (a rate in a setting), dropout is shown to make {'; '.join(parts)}."


def describe_choice(findings: Sequence[Finding]) -> str:
    """Judge on the test photos the rates that the validation photos would choose, at their best epochs."""
    chosen = [finding for finding in findings if finding.chosen]
    text = (
        f"**If you choose the rate well?** The validation photos choose a rate above 0 in {len(chosen)} of "
        f"{len(findings)} settings."
    )
    if not chosen:
        return text
    confidence = 1 - 0.05 / len(chosen)
    wide = [mean_interval(list(each.differences(UNSEEN, each.chosen).values()), confidence) for each in chosen]
    means = [each.mean or 0.0 for each in wide]
    better = sum(each.high is not None and each.high < 0 for each in wide)
    worse = sum(each.low is not None and each.low > 0 for each in wide)
    spread = f" ({signed(min(means))} to {signed(max(means))})" if len(means) > 1 else ""
    return (
        f"{text} On the test photos, the loss changed by {signed(sum(means) / len(means))} on average{spread}: shown "
        f"to be better than without dropout in {better} of {len(chosen)}, and worse in {worse}, with intervals that "
        "hold for all at once."
    )


def rows(findings: Sequence[Finding]) -> list[list[str]]:
    """Build the rows of the table: one for each rate of each setting."""
    names = [kept + name for kept in ("", LATER) for name in (TRAINING, UNSEEN, AUC)]
    found = []
    for finding in findings:
        changes = {name: dict(zip(finding.rates, finding.compare(name), strict=True)) for name in names}
        for rate in finding.values[UNSEEN]:
            row = [finding.name, f"{rate:g}" + " (chosen)" * (rate == finding.chosen)]
            row.append(f"{median(_best_epochs([finding], rate)):g}")
            row += [f"{_show(finding.mean(name, rate))}{_show_change(changes[name].get(rate))}" for name in names]
            found.append([*row, _show(finding.mean("test.accuracy", rate))])
    return found


HEADINGS = (
    "setting",
    "rate",
    "best epoch (median)",
    "training loss",
    "test loss",
    "test AUC",
    "training loss, later",
    "test loss, later",
    "test AUC, later",
    "test accuracy",
)


def read_findings(file: Path) -> tuple[dict[str, Any], list[Finding]]:
    """Read a results file: its content, and the finding of each comparison."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content, [Finding.of(comparison) for comparison in content["comparisons"]]


def draw_picture(which: str, file: Path, out: Path) -> str:
    """Draw one picture of a results file, "rates" of the bare settings or "all" settings; return its title."""
    content, findings = read_findings(file)
    patience = content["patience"]
    if which == "rates":
        findings = sorted((finding for finding in findings if finding.is_bare), key=_photos)
    title = headline(findings, patience)
    draw = draw_rates if which == "rates" else draw_all
    draw(out, title, findings, patience)
    return title


def publish_findings(file: Path, out: Path) -> None:
    """Write the pictures and the block of one results file."""
    content, findings = read_findings(file)
    patience, pictures = content["patience"], []
    for which in ("rates", "all") if len(findings) > 1 else ("rates",):
        name = f"dropout-trial{'-all' * (which == 'all')}{'-photos' * content['own_photos']}.png"
        title = draw_picture(which, file, out.parent / "pictures" / name)
        pictures.append(f"![{title}](pictures/{name})")
    missing = [name for name in content["planned"] if name not in {finding.name for finding in findings}]
    trials = [trial for comparison in content["comparisons"] for trial in comparison["trials"]]
    photos, seeds = content["photos"], content["seeds"]
    cut = sum(trial["epochs"] == content["longest"] for trial in trials)
    options = Namespace(out=out, data=content["own_photos"] or None, config=None, seeds=seeds, epochs=content["epochs"])
    publish(
        options,
        "dropout_trial",
        [
            *describe(findings, patience),
            pictures[0],
            f"Rule: an epoch is {content['steps']} steps of {content['batch']} photos, for every rate and number of "
            f"photos. Training ends when the loss on the {photos['valid']:,} validation photos has not fallen for "
            f"{patience} epochs, at the latest after {content['longest']} ({cut} of {len(trials)} runs). "
            f"The networks of the best epoch and of the last one are judged on {photos['test']:,} test photos. "
            f"Each of {seeds} seeds draws its training photos from {photos['train']:,}. Shown: the 95% interval of the "
            "paired difference excludes 0, even when it is widened to hold for all rates of the setting at once "
            "(Bonferroni). Chance alone can show a change in one of 20 settings that have no effect.",
            '<details markdown="1"><summary>All numbers</summary>',
            *pictures[1:],
            table(HEADINGS, rows(findings)),
            f"{len(trials)} training runs on {content['machine']}.",
            *([f"Not run yet: {'; '.join(missing)}. The same command continues."] if missing else []),
            "</details>",
        ],
    )


def write_results(file: Path, content: Mapping[str, Any]) -> None:
    """Write the numbers as JSON, a trial in each line."""
    head = json.dumps({key: value for key, value in content.items() if key != "comparisons"}, indent=1)
    comparisons = [
        f'  {{"name": {json.dumps(each["name"])}, "trials": [\n'
        + ",\n".join(f"   {json.dumps(trial)}" for trial in each["trials"])
        + "\n  ]}"
        for each in content["comparisons"]
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    text = head.removesuffix("\n}") + ',\n "comparisons": [\n' + ",\n".join(comparisons) + "\n ]\n}\n"
    file.write_text(text, encoding="utf-8")


def _photos(finding: Finding) -> int:
    return int(finding.name.split()[0])


def _best_epochs(findings: Sequence[Finding], rate: float) -> list[float]:
    return [number for each in findings for number in each.values["best_epoch"][rate].values()]


def _name_cases(findings: Sequence[Finding], name: str, better: bool) -> str:
    """Name the cases in which a number is shown to be better (or worse), in brackets."""
    found = [(each.name, each.shown(name, better)) for each in findings]
    names = [f"{name}: {_list([f'{rate:g}' for rate in rates])}" for name, rates in found if rates]
    return f" ({'; '.join(names)})" if names else ""


def _show(mean: Mean) -> str:
    reach = "" if mean.high is None or mean.mean is None else f" ± {mean.high - mean.mean:.3f}"
    return decimal(mean.mean) + reach


def _show_change(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    return (
        f"<br>{signed(comparison.difference.mean)} ({signed(comparison.low_simultaneous)} to "
        f"{signed(comparison.high_simultaneous)})"
    )


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def main() -> None:
    """Publish the results files that exist."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the trials' numbers, or a file of it")
    parser.add_argument("--out", type=Path, default=PAGE, help="page whose blocks are rewritten, or picture")
    parser.add_argument("--picture", choices=("rates", "all"), help="draw one picture of one file, and no page")
    options = parser.parse_args()
    if options.picture:
        draw_picture(options.picture, options.results, options.out)
        return
    for file in sorted(options.results.glob("*.json")):
        publish_findings(file, options.out)


if __name__ == "__main__":
    main()
