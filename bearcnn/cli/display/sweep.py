"""Display of a sweep: its plan, the live table while it runs, the final table and the summary."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bearcnn.cli.display.console import err, make_table, note, out, plain
from bearcnn.cli.display.sweep_picture import ASCII, BOXES, LEAST_SEEDS, draw_settings
from bearcnn.cli.display.training import training_display
from bearcnn.evaluation.formats import decimal, signed
from bearcnn.reporter import OnMaps
from bearcnn.sweep.analysis import SCORE, Analysis
from bearcnn.sweep.folder import SweepFolder
from bearcnn.sweep.plan import DROPOUTS, GridPoint, Plan, settings_key
from bearcnn.sweep.reporter import SweepReporter
from bearcnn.sweep.statistics import Mean, mean_interval
from bearcnn.sweep.trial_log import Record

MOST_ROWS = 16
"""Settings shown while a sweep runs: the best ones, if there are more."""


def show_plan(directory: Path, plan: Plan, points: int, done: int, total: int) -> None:
    """Show what is going to run, and where it is written."""
    for swept in plan.swept:
        values = ", ".join(str(value).replace("'", "") for value in swept.values)
        note(f"[bold]{plain(', '.join(swept.keys))}[/]: {plain(values)}")
    sampled = f" (of {points} in the grid)" if plan.sample is not None else ""
    settings = min(points, plan.sample or points)
    seeds = f"{plan.seeds[0]}" if len(plan.seeds) == 1 else f"{plan.seeds[0]} to {plan.seeds[-1]}"
    note(
        f"{settings} settings{sampled} x {len(plan.seeds)} seeds ({seeds}) = {total} trials of "
        f"{plan.config.train.total_epochs} epochs; {done} done, {total - done} to run"
    )
    dropouts = {name: getattr(plan.config.model, name) for name in (key.rpartition(".")[2] for key in DROPOUTS["all"])}
    varied = {key.rpartition(".")[2] for swept in plan.swept for key in swept.keys}
    others = ", ".join(f"{key} {rate:g}" for key, rate in dropouts.items() if key not in varied)
    if varied & set(dropouts) and others:
        note(f"[dim]in every trial: {others}[/]")
    note(f"[dim]writes into {plain(str(directory))}: trial log, predictions of each trial, tables, pictures[/]")


def format_time(seconds: float) -> str:
    """Format a duration as people say it."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


class SweepDisplay(SweepReporter):
    """Progress of a sweep: a live table on a terminal, a line for each trial elsewhere."""

    wants_estimate = True

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._heading = ""
        self._records: dict[str, Record] = {}
        self._total = self._before = self._finished = 0
        self._estimate, self._start = 0.0, time.monotonic()
        self._epochs: dict[str, tuple[int, int]] = {}  # of each running trial: epochs done, and all
        self._live: Live | None = None

    def sweep_planned(
        self, directory: Path, plan: Plan, points: Sequence[GridPoint], done: Mapping[str, Record], total: int
    ) -> None:
        """Show the plan."""
        self._labels = {point.key: point.label for point in points}
        self._heading = ", ".join(swept.name for swept in plan.swept).replace("_", " ")
        self._records, self._before, self._total = dict(done), len(done), total
        show_plan(directory, plan, len(points), len(done), total)

    @contextmanager
    def preparing(self) -> Iterator[OnMaps]:
        """Show a bar for the maps."""
        with training_display(epochs=0) as display:
            yield display.preparing

    def timing(self) -> AbstractContextManager[object]:
        """Show that training steps are timed."""
        return err.status("timing a few training steps")

    @contextmanager
    def running(self, seconds: float, slots: int) -> Iterator[None]:
        """Show the estimate, and the live table until the trials end, by an error or Ctrl-C too."""
        self._estimate, self._start = seconds, time.monotonic()
        at_a_time = f", {slots} at a time" if slots > 1 else ""
        note(f"about {format_time(seconds)}{at_a_time}, estimated from a few training steps; Ctrl-C loses nothing\n")
        if not err.is_terminal:
            yield
            return
        with Live(self.render(), console=err, refresh_per_second=4, transient=True) as self._live:
            yield

    def trial_started(self, trial: str, epochs: int) -> None:
        """Show one more running trial."""
        self._epochs[trial] = 0, epochs
        self._refresh()

    def epoch_done(self, trial: str, epoch: int) -> None:
        """Show a running trial's epoch."""
        self._epochs[trial] = epoch, self._epochs[trial][1]
        self._refresh()

    def trial_finished(self, record: Record) -> None:
        """Add a trial to the table, or print a line if there is no table."""
        self._epochs.pop(record.id, None)
        self._records[record.id] = record
        self._finished += 1
        if self._live is None:
            if record.status == "failed":
                what = f"[red]failed: {plain(record.reason)}[/]"
            else:
                auc = {split: record.scores[split]["roc_auc"] for split in ("valid", "train")}
                what = f"AUC {decimal(auc['valid'])} valid, {decimal(auc['train'])} train"
            left = f"; {self._time_left()} left" if self._before + self._finished < self._total else ""
            note(f"{self._before + self._finished}/{self._total}  {plain(record.id)}: {what}{left}")
        elif record.status == "failed":
            note(f"[red]{plain(record.id)} failed: {plain(record.reason)}[/]")
        self._refresh()

    def _time_left(self) -> str:
        elapsed = time.monotonic() - self._start
        if self._finished:
            return format_time(elapsed / self._finished * (self._total - self._before - self._finished))
        return format_time(max(0.0, self._estimate - elapsed))

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self.render())

    def render(self) -> Group:
        """Build the live table: settings by their place in the grid, or the best of many."""
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
        table = make_table(self._heading, "done", "failed", "validation AUC", "training AUC", numbers=4)
        table.columns[0].max_width = 40
        for key, done_here, failed, valid, train in rows:
            table.add_row(
                plain(self._labels.get(key, "")),
                str(done_here),
                str(failed) if failed else "",
                format_mean(valid),
                format_mean(train),
            )
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


def show_analysis(analysis: Analysis, folder: SweepFolder) -> None:
    """Show the answer, the table, the picture, how sure all that is, and the files."""
    answer, *paragraphs = folder.results()["summary"]
    out.print(f"\n[bold]{plain(answer)}[/]")
    _show_table(analysis)
    if len(analysis.settings) > 1:
        _show_picture(analysis)
    out.print("\n[bold]How sure is that[/]")
    for number, paragraph in enumerate(paragraphs):
        out.print(("\n" if number else "") + plain(paragraph))
    out.print(f"\nin {plain(str(folder.directory))}:", soft_wrap=True)
    for file, what in (
        ("sweep.png, sweep.svg", "the picture"),
        ("summary.txt", "the text above"),
        ("sweep.csv, sweep.json", "each trial; every mean, interval and difference"),
        (f"{folder.log_file.name}, trials/", "what is finished: add values or seeds with --resume"),
    ):
        out.print(f"  {file:24} [dim]{what}[/]", soft_wrap=True)


def _show_table(analysis: Analysis) -> None:
    seeds = len(analysis.plan.seeds)
    over = "one seed" if seeds == 1 else f"means over {seeds} seeds"
    out.print(f"\n[bold]{over}[/]" + (" [dim](± half of the 95% interval)[/]" if seeds >= LEAST_SEEDS else ""))
    table = make_table(
        ", ".join(swept.name for swept in analysis.plan.swept).replace("_", " "),
        "training\nloss",
        "training\nAUC",
        "validation\nloss",
        "validation\nAUC",
        f"change\nfrom {plain(analysis.baseline.point.values)}",
        numbers=5,
    )
    table.columns[0].max_width = 30
    for number, setting in enumerate(analysis.settings):
        change = ""
        if number:
            change = format_mean(analysis.comparisons[SCORE][number - 1].difference, sign=True)
        mark = " *" if number == analysis.chosen and len(analysis.settings) > 1 else ""
        means = setting.means
        fewer = f" (n={means['valid.roc_auc'].n})" if means[SCORE].n < seeds else ""
        table.add_row(
            plain(setting.point.values) + fewer + mark,
            format_mean(means["train.log_loss"]),
            format_mean(means["train.roc_auc"]),
            format_mean(means["valid.log_loss"]),
            format_mean(means[SCORE]),
            change,
        )
    out.print(table)
    if len(analysis.settings) > 1:
        out.print("[dim]change: of validation AUC, seed by seed[/]")
        if analysis.chosen is not None:
            out.print("[dim]* chosen: the first within one standard error of the highest validation AUC[/]")


def _show_picture(analysis: Analysis) -> None:
    """Draw the validation AUC of each setting, of many the best ones."""
    best = sorted(analysis.settings, key=lambda setting: -(setting.means[SCORE].mean or 0))[:MOST_ROWS]
    rows = [(setting.point.values, setting.means[SCORE]) for setting in analysis.settings if setting in best]
    signs = BOXES if out.encoding.lower().startswith("utf") else ASCII
    seeds = len(analysis.plan.seeds)
    interval = f", {signs[0]}{signs[1]}{signs[2]} its 95% interval" if seeds >= LEAST_SEEDS else ""
    base = plain(analysis.baseline.point.values)
    out.print(f"\n[bold]validation AUC[/] [dim]({signs[3]} mean{interval}, {signs[4]} mean of {base})[/]")
    baseline = analysis.baseline.means[SCORE].mean
    assert baseline is not None, "the baseline has a trial"
    for line in draw_settings(rows, baseline, min(out.width, 80), signs):
        out.print(plain(line), soft_wrap=True)


def format_mean(mean: Mean, sign: bool = False) -> str:
    """Format a mean, of differences with its sign, with half of its interval if there are enough numbers."""
    if mean.mean is None:
        return ""
    shown = signed(mean.mean) if sign else decimal(mean.mean)
    return shown + (f" ±{mean.high - mean.mean:.3f}" if mean.high is not None and mean.n >= LEAST_SEEDS else "")
