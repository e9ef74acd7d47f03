"""A sweep from plan to analysis: run the missing trials, log each one, write the analysis.

`sweep` is the Python call; the command line calls `run_sweep` with a reporter that shows progress.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bearcnn.bodies import NO_BODY
from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import SPLITS
from bearcnn.errors import SweepError
from bearcnn.files import write_atomically
from bearcnn.registry import load
from bearcnn.sweep.analysis import SCORE, Analysis, analyse, score_test, to_csv, to_json
from bearcnn.sweep.executors import find_executor
from bearcnn.sweep.executors.base import Executor, Job, Photos, Resources
from bearcnn.sweep.folder import SweepFolder, choose_folder, create_sweep, keep_result, read_predictions
from bearcnn.sweep.plan import GridPoint, Plan, Trial, digest_config, list_points, make_trials, plan_grid
from bearcnn.sweep.reporter import SILENT, SweepReporter
from bearcnn.sweep.search import choose_points
from bearcnn.sweep.summary import wrap_summary, write_summary
from bearcnn.sweep.trial_log import lock_sweep


def sweep(
    config: Config,
    dataset: Dataset,
    settings: Mapping[str, Iterable[Any]],
    *,
    seeds: int = 5,
    out: Path | str | None = None,
    executor: str = "local",
    workers: int = 1,
    reporter: SweepReporter = SILENT,
) -> Analysis:
    """Train every combination of the values of some config keys with several seeds each, and analyse the results.

    `settings` maps keys to values, such as {"model.dropout": [0, 0.2, 0.5]}; the first value of each key is the
    baseline's. `dataset` is the data set of `config.data`. All files are written into the folder `out`, by default
    sweeps/<time>-sweep.

    Raises:
        SweepError: a key can't be varied, `out` is not empty, or no trial could be finished.
        ConfigError: a setting that can't work.
    """
    plan = plan_grid(config, {key: list(values) for key, values in settings.items()}, seeds)
    find_executor(executor)  # an unknown name is an error before anything is written
    folder = create_sweep(Path(out) if out else choose_folder(datetime.now(), "sweep"), plan, dataset)
    return run_sweep(folder, plan, dataset, Resources(executor, workers), reporter)


def run_sweep(
    folder: SweepFolder,
    plan: Plan,
    dataset: Dataset,
    resources: Resources = Resources(),  # noqa: B008  # frozen
    reporter: SweepReporter = SILENT,
) -> Analysis:
    """Run the missing trials of a plan in a sweep's folder, then analyse all trials and write the analysis.

    Raises:
        SweepError: another process runs this sweep, or no trial is done.
    """
    with lock_sweep(folder.directory):
        run_missing(folder, plan, dataset, resources, reporter)
        return write_analysis(folder, plan, dataset)


def run_missing(
    folder: SweepFolder, plan: Plan, dataset: Dataset, resources: Resources, reporter: SweepReporter = SILENT
) -> None:
    """Write the plan, and run the trials that are missing. The caller holds the sweep's lock."""
    folder.write_plan(plan, dataset)
    points = list_points(plan)
    tried = points if plan.sample is None else folder.tried_points(plan)
    wanted = {trial.id for trial in make_trials(plan, tried)}
    done = {name: record for name, record in folder.records().items() if record.status == "done" and name in wanted}
    total = len(plan.seeds) * min(len(points), plan.sample or len(points))
    reporter.sweep_planned(folder.directory, plan, points, done, total)
    if len(done) < total:
        missing = [trial for trial in make_trials(plan, points) if trial.id not in done]
        _prepare(missing, dataset, plan, reporter)
        seconds, loading = _estimate(missing, dataset, resources, reporter)
        job = Job(folder, dataset, plan.config.data, resources, reporter)
        with find_executor(resources.executor, resources.workers)(job) as executor:
            rounds = -(-(total - len(done)) // executor.slots)
            with reporter.running(loading + seconds * rounds, executor.slots):
                run_plan(folder, plan, executor, reporter)


def run_plan(folder: SweepFolder, plan: Plan, executor: Executor, reporter: SweepReporter = SILENT) -> None:
    """Run the plan's missing trials: those of the whole grid, or of settings that Optuna chooses in rounds."""
    if plan.sample is None:
        run_trials(folder, make_trials(plan, list_points(plan)), executor, reporter)
        return
    tried = folder.tried_points(plan)
    run_trials(folder, make_trials(plan, tried), executor, reporter)  # left by a kill, or new seeds
    while count := min(plan.sample - len(tried), -(-executor.slots // len(plan.seeds))):
        chosen = choose_points(plan, _mean_scores(folder, tried), count)
        if not chosen:
            return
        run_trials(folder, make_trials(plan, chosen), executor, reporter)
        tried += chosen


def run_trials(
    folder: SweepFolder, trials: Sequence[Trial], executor: Executor, reporter: SweepReporter = SILENT
) -> None:
    """Run the trials that aren't done, and log each as soon as it is finished.

    A failed trial is logged with its reason, and the others continue.
    """
    done = {record.id: record for record in folder.records().values() if record.status == "done"}
    for trial in trials:
        if trial.id in done and done[trial.id].config != digest_config(trial.config):
            raise SweepError(
                f"the trial {trial.id} in {folder.log_file} was run with another configuration; start a new sweep"
            )
    missing = {trial.id: trial for trial in trials if trial.id not in done}
    for result in executor.run(list(missing.values())) if missing else ():
        keep_result(folder, result, missing[result.record.id])
        reporter.trial_finished(result.record)


def write_analysis(folder: SweepFolder, plan: Plan, dataset: Dataset) -> Analysis:
    """Analyse the finished trials and write sweep.csv, sweep.json, sweep.png, sweep.svg and summary.txt.

    The test photos are scored here, for the chosen setting only; for none if no setting learnt anything.

    Raises:
        SweepError: no trial is done.
    """
    records = folder.records()
    points = list_points(plan) if plan.sample is None else folder.tried_points(plan)
    limited = dataset.limit(plan.config.data.photos, plan.config.train.seed)
    photos = {str(split): len(limited.select(split)) for split in SPLITS}
    try:
        bears = int(limited.arrays("valid")[1].sum())
        analysis = analyse(plan, records, make_trials(plan, points), photos, bears)
    except ValueError:
        reasons = {record.reason for record in records.values() if record.reason}
        why = f": {sorted(reasons)[0]}" if reasons else ""
        raise SweepError(
            f"not one trial of {folder.directory} is done{why}; fix it and continue with: "
            f"bearcnn sweep --resume {folder.directory}"
        ) from None
    if photos["test"] and analysis.chosen is not None:
        analysis = _add_test_scores(analysis, analysis.settings[analysis.chosen].point, folder, dataset)
    summary = write_summary(analysis)
    xlabel = plan.swept[0].name.replace("_", " ") if len(plan.swept) == 1 else ""
    title = (
        f"{xlabel or 'sweep'}, {len(plan.seeds)} seeds, {plan.config.train.total_epochs} epochs, "
        f"{photos['train']:,} training photos"
    )
    # By name: matplotlib loads only now.
    pictures = load("bearcnn.sweep.plot:draw_sweep")(title, xlabel, analysis.settings)
    folder.write_results({**to_json(analysis, records), "summary": summary.splitlines()})
    for name, data in (
        ("sweep.csv", to_csv(records).encode()),
        ("sweep.png", pictures["png"]),
        ("sweep.svg", pictures["svg"]),
        ("summary.txt", wrap_summary(summary).encode()),
    ):
        write_atomically(folder.directory / name, data, overwrite=True)
    (folder.directory / "verdict.txt").unlink(missing_ok=True)  # the summary of bearcnn 0.1, now out of date
    return analysis


def _add_test_scores(analysis: Analysis, chosen: GridPoint, folder: SweepFolder, dataset: Dataset) -> Analysis:
    _, labels = dataset.arrays("test")
    records = folder.records().values()
    ids = [record.id for record in records if record.settings == chosen.settings and record.status == "done"]
    scores = score_test(labels, [read_predictions(folder, name, "test", len(labels)) for name in sorted(ids)])
    looks = [str(label) for label in folder.results().get("test_looks", ())]
    looks += [chosen.label] * (chosen.label not in looks)
    return replace(analysis, test=scores, test_looks=tuple(looks))


def _prepare(trials: Sequence[Trial], dataset: Dataset, plan: Plan, reporter: SweepReporter) -> None:
    """Compute pretrained bodies' maps before any trial starts: no trial waits for another's, and it can be seen."""
    if all(trial.config.model.body == NO_BODY for trial in trials):
        return
    photos = Photos(dataset.fingerprint, {plan.config.data.with_all_photos: dataset})
    with reporter.preparing() as on_progress:
        load("bearcnn.sweep.trial:prepare_maps")(trials, photos.open, on_progress)  # loads torch


def _estimate(
    trials: Sequence[Trial], dataset: Dataset, resources: Resources, reporter: SweepReporter
) -> tuple[float, float]:
    """Estimate the seconds of one of these trials, and the seconds that other processes need to start."""
    if not reporter.wants_estimate:
        return 0.0, 0.0
    start = time.perf_counter()
    with reporter.timing():
        estimate_seconds = load("bearcnn.sweep.trial:estimate_seconds")  # loads torch
        loading = time.perf_counter() - start if resources.own_process else 0.0
        return estimate_seconds(trials, dataset, resources.threads), loading


def _mean_scores(folder: SweepFolder, points: Sequence[GridPoint]) -> list[tuple[GridPoint, float | None]]:
    section, _, name = SCORE.partition(".")
    scored, records = [], folder.records().values()
    for point in points:
        found = [
            record.scores[section][name]
            for record in records
            if record.settings == point.settings and record.status == "done"
        ]
        scored.append((point, sum(found) / len(found) if found else None))
    return scored
