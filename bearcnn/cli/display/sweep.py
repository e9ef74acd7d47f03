"""How a sweep is shown: its plan, the standing while it runs, the table and the verdict. Light, as console.py is."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bearcnn.cli.display.console import err, note, out

if TYPE_CHECKING:  # for the types alone: a command loads only what it uses
    from bearcnn.data.dataset import Dataset
    from bearcnn.sweep.analysis import Findings
    from bearcnn.sweep.executors.processes import Resources
    from bearcnn.sweep.folder import Sweep
    from bearcnn.sweep.plan import Cell, Plan, Trial
    from bearcnn.sweep.statistics import Mean
    from bearcnn.sweep.trial_log import Record

MOST_ROWS = 16
"""Settings shown while a sweep runs: the best ones, where there are more."""


def show_plan(plan: "Plan", cells: int, done: int, missing: int, sweep: "Sweep") -> None:
    """What is going to run, and what it will write."""
    from bearcnn.sweep.plan import DROPOUTS

    for axis in plan.axes:
        values = ", ".join(str(value).replace("'", "") for value in axis.values)
        note(f"[bold]{escape(', '.join(axis.keys))}[/]: {escape(values)}")
    sampled = f" (of {cells} in the grid)" if plan.sample is not None else ""
    settings = min(cells, plan.sample or cells)
    seeds = f"{plan.seeds[0]}" if len(plan.seeds) == 1 else f"{plan.seeds[0]} to {plan.seeds[-1]}"
    note(
        f"{settings} settings{sampled} x {len(plan.seeds)} seeds ({seeds}) = {settings * len(plan.seeds)} trainings of "
        f"{plan.config.train.epochs} epochs; {done} done, {missing} to run"
    )
    dropouts = {name: getattr(plan.config.model, name) for name in (key.rpartition(".")[2] for key in DROPOUTS["all"])}
    varied = {key.rpartition(".")[2] for axis in plan.axes for key in axis.keys}
    others = ", ".join(f"{key} {rate:g}" for key, rate in dropouts.items() if key not in varied)
    if varied & set(dropouts) and others:
        note(f"[dim]in all of them: {others}[/]")
    note(f"[dim]writes into {escape(str(sweep.directory))}: a ledger, each trial's predictions, tables, pictures[/]")


def show_estimate(seconds: float, slots: int) -> None:
    """About how long it will take."""
    at_a_time = f", {slots} at a time" if slots > 1 else ""
    note(f"about {format_time(seconds)}{at_a_time}, by a few training steps timed just now; Ctrl-C loses nothing\n")


def format_time(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


class SweepDisplay:
    """A sweep as it goes: a live table on a terminal, a line for each trial elsewhere."""

    def __init__(self, cells: "Sequence[Cell]", records: "Mapping[str, Record]", total: int) -> None:
        self._labels = {cell.key: cell.label for cell in cells}
        self._names = ", ".join(name for name, _ in cells[0].labels).replace("_", " ")
        self._records = dict(records)
        self._total, self._before, self._finished = total, len(records), 0
        self._estimate, self._start = 0.0, time.monotonic()
        self._epochs: dict[str, tuple[int, int]] = {}  # of the trials under way: done, of
        self._live: Live | None = None

    @contextmanager
    def shown(self, estimate: float) -> Iterator[None]:
        """Owns the live table, so that it goes away on Ctrl-C and errors too; `estimate` is of all, in seconds."""
        self._estimate, self._start = estimate, time.monotonic()
        if not err.is_terminal:
            yield
            return
        with Live(self.render(), console=err, refresh_per_second=4, transient=True) as self._live:
            yield

    def trial_started(self, trial: str, epochs: int) -> None:
        """One more is under way."""
        self._epochs[trial] = 0, epochs
        self._refresh()

    def epoch_done(self, trial: str, epoch: int) -> None:
        """One of them is further."""
        self._epochs[trial] = epoch, self._epochs[trial][1]
        self._refresh()

    def trial_finished(self, record: "Record") -> None:
        """Into the standing, and a line where there is no live table."""
        self._epochs.pop(record.id, None)
        self._records[record.id] = record
        self._finished += 1
        if self._live is None:
            if record.status == "failed":
                what = f"[red]failed: {escape(record.reason)}[/]"
            else:
                auc = {split: record.scores[split]["roc_auc"] for split in ("valid", "train")}
                what = f"AUC {auc['valid']:.3f} valid, {auc['train']:.3f} train"
            left = f"; {self._time_left()} left" if self._finished < self._missing else ""
            note(f"{self._before + self._finished}/{self._total}  {escape(record.id)}: {what}{left}")
        elif record.status == "failed":
            note(f"[red]{escape(record.id)} failed: {escape(record.reason)}[/]")
        self._refresh()

    @property
    def _missing(self) -> int:
        return self._total - self._before

    def _time_left(self) -> str:
        elapsed = time.monotonic() - self._start
        left = self._missing - self._finished
        if self._finished:
            return format_time(elapsed / self._finished * left)
        return format_time(max(0.0, self._estimate - elapsed))

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self.render())

    def render(self) -> Group:
        """The standing so far: settings by their place in the grid, or the best of many."""
        from bearcnn.sweep.plan import settings_key
        from bearcnn.sweep.statistics import mean_interval

        by_setting: dict[str, list[Record]] = {key: [] for key in self._labels}
        for record in self._records.values():
            by_setting.setdefault(settings_key(record.settings), []).append(record)
        rows = []
        for key, records in by_setting.items():
            done = [record for record in records if record.status == "done"]
            means = {
                split: mean_interval([record.scores[split]["roc_auc"] for record in done])
                for split in ("valid", "train")
            }
            rows.append((key, len(done), len(records) - len(done), means["valid"], means["train"]))
        hidden = 0
        if len(rows) > MOST_ROWS:
            rows.sort(key=lambda row: -(row[3].mean or 0))
            hidden, rows = len(rows) - MOST_ROWS, rows[:MOST_ROWS]
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(self._names, max_width=40)
        for heading in ("done", "failed", "validation AUC", "training AUC"):
            table.add_column(heading, justify="right")
        for key, done_here, failed, valid, train in rows:
            table.add_row(
                escape(self._labels.get(key, "")), str(done_here), str(failed) if failed else "",
                _with_reach(valid), _with_reach(train),
            )  # fmt: skip
        failures = sum(record.status == "failed" for record in self._records.values())
        running = ", ".join(f"{trial} ({epoch}/{epochs})" for trial, (epoch, epochs) in list(self._epochs.items())[:3])
        more = f" and {len(self._epochs) - 3} more" if len(self._epochs) > 3 else ""
        under_way = f"{len(self._epochs)} running, " if self._epochs else ""
        head = Text.from_markup(
            f"[bold]{self._before + self._finished} of {self._total}[/] finished, {failures} failed, "
            f"{under_way}about {self._time_left()} left"
        )
        parts: list[Text | Table] = [head, table]
        if hidden:
            parts.append(Text(f"the best {MOST_ROWS}; {hidden} more", style="dim"))
        if running:
            parts.append(Text(f"running (epoch): {running}{more}", style="dim", overflow="ellipsis", no_wrap=True))
        return Group(*parts)


def conduct(sweep: "Sweep", plan: "Plan", dataset: "Dataset", resources: "Resources") -> "Findings":
    """Run what is missing in a sweep while showing how it goes, and write down what it all says.

    Only for whoever holds the sweep's lock.
    """
    from bearcnn.sweep.executors.processes import open_engine
    from bearcnn.sweep.folder import run_sweep, tried_cells, write_findings
    from bearcnn.sweep.plan import list_cells, make_trials

    records, cells = sweep.records(), list_cells(plan)
    planned = cells if plan.sample is None else tried_cells(sweep, plan)
    total = len(plan.seeds) * min(len(cells), plan.sample or len(cells))
    done = {trial.id for trial in make_trials(plan, planned)} & {
        record.id for record in records.values() if record.status == "done"
    }
    show_plan(plan, len(cells), len(done), total - len(done), sweep)
    if len(done) < total:
        missing = [trial for trial in make_trials(plan, cells) if trial.id not in done]
        seconds, loading = _calibrate(missing, dataset, resources)
        display = SweepDisplay(cells, {name: record for name, record in records.items() if name in done}, total)
        with open_engine(resources, sweep, dataset, plan.config.data, display) as (engine, slots):
            estimate = loading + seconds * -(-(total - len(done)) // slots)
            show_estimate(estimate, slots)
            with display.shown(estimate):
                run_sweep(sweep, plan, engine, display, slots)
    return write_findings(sweep, plan, dataset)


def _calibrate(trials: "Sequence[Trial]", dataset: "Dataset", resources: "Resources") -> tuple[float, float]:
    """About how long one of these trials takes, and how long other processes need to begin, in seconds."""
    start = time.perf_counter()
    with err.status("timing a few training steps"):
        from bearcnn.sweep.trial import estimate_seconds  # loads torch: a moment by itself

        loading = time.perf_counter() - start  # as long as each process of its own will take for it
        others = resources.kind == "ray" or resources.workers > 1
        return estimate_seconds(trials, dataset, resources.threads), loading if others else 0.0


def show_findings(findings: "Findings", sweep: "Sweep") -> None:
    """The table, the verdict, and where everything lies."""
    seeds = len(findings.plan.seeds)
    over = "one seed" if seeds == 1 else f"means over {seeds} seeds"
    out.print(f"\n[bold]{over}[/]" + (" [dim](± half of the 95% interval)[/]" if seeds > 1 else ""))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(", ".join(axis.name for axis in findings.plan.axes).replace("_", " "), max_width=30)
    for heading in ("training\nloss", "AUC", "validation\nloss", "AUC", f"AUC against\n{findings.baseline.cell.label}"):
        table.add_column(heading, justify="right")
    for number, setting in enumerate(findings.settings):
        change = ""
        if number:
            difference = findings.comparisons["valid.roc_auc"][number - 1].difference
            change = _with_reach(difference, "+")
        mark = " *" if number == findings.chosen and len(findings.settings) > 1 else ""
        means = setting.means
        fewer = f" (n={means['valid.roc_auc'].n})" if means["valid.roc_auc"].n < seeds else ""
        table.add_row(
            escape(setting.cell.label) + fewer + mark,
            _with_reach(means["train.log_loss"]), _with_reach(means["train.roc_auc"]),
            _with_reach(means["valid.log_loss"]), _with_reach(means["valid.roc_auc"]), change,
        )  # fmt: skip
    out.print(table)
    if len(findings.settings) > 1:
        out.print("[dim]* chosen: the first within one standard error of the highest validation AUC[/]")
    out.print()
    for paragraph in sweep.results()["verdict"]:
        out.print(escape(paragraph) + "\n")
    out.print(f"in {escape(str(sweep.directory))}:", soft_wrap=True)
    for file, what in (
        ("sweep.png, sweep.svg", "the picture"),
        ("verdict.txt", "the words above"),
        ("sweep.csv, sweep.json", "each trial; every mean, interval and difference"),
        ("ledger.jsonl, trials/", "what is finished: add values or seeds with --resume"),
    ):
        out.print(f"  {file:22} [dim]{what}[/]", soft_wrap=True)


def _with_reach(mean: "Mean", sign: str = "") -> str:
    if mean.mean is None:
        return ""
    return f"{mean.mean:{sign}.3f}" + ("" if mean.high is None else f" ±{mean.high - mean.mean:.3f}")
