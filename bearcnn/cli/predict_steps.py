"""The steps of `bearcnn predict`, as its options ask for them: list, answer, decide, place, write, sum up."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from bearcnn.cli.display import predictions as display
from bearcnn.cli.engine import EngineOptions
from bearcnn.cli.predict_options.decision import DecisionOptions
from bearcnn.cli.predict_options.output import OutputOptions
from bearcnn.cli.predict_options.package import PackageOptions
from bearcnn.cli.predict_options.sorting import SortingOptions
from bearcnn.cli.regions import CropCounter, RegionOptions
from bearcnn.cli.watch import Watch, WatchOptions
from bearcnn.data.photos import PHOTO_SUFFIXES
from bearcnn.data.regions import WHOLE_FRAMES, Crops
from bearcnn.errors import BearcnnError
from bearcnn.files import write_atomically, write_folder_atomically
from bearcnn.inference.folders import stay_outside
from bearcnn.inference.labels import choose_labelling
from bearcnn.inference.order import sort_predictions
from bearcnn.inference.paths import argument_folder, expand_paths, find_model
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.tally import Tally
from bearcnn.inference.writers import PREDICTION_FORMATS
from bearcnn.inference.writers.base import BOX_COLUMNS, BURST_COLUMNS, COLUMNS, PredictionContext
from bearcnn.registry import load, one_of

if TYPE_CHECKING:  # what few predictions need is loaded by those alone
    from bearcnn.inference.answered import Answered
    from bearcnn.inference.bursts import Bursts
    from bearcnn.inference.camtrap.plan import PackagePlan
    from bearcnn.inference.journal import Journal
    from bearcnn.inference.predictor import OnWindows
    from bearcnn.inference.sort_photos import SortedPhotos

A_SCREEN = 25
"""Lines of the table that are still in sight when the summary comes."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The photos to answer, and what their list comes from."""

    photos: Iterable[Path]
    answered: "Answered | None"  # by an earlier result
    package: "PackagePlan | None"


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """All options of the command, by what they are about."""

    output: OutputOptions
    decision: DecisionOptions
    sorting: SortingOptions
    package: PackageOptions
    regions: RegionOptions
    engine: EngineOptions
    watching: WatchOptions
    max_megapixels: int | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The options that decide the answers, beside the model."""
        largest = {} if self.max_megapixels is None else {"max_megapixels": self.max_megapixels}
        return {**self.regions.settings(), **largest}

    def check_watch(self) -> None:
        """Refuse what only the end of a watched folder's photos, which never comes, could bring."""
        folder, output, sorting = self.watching.watch, self.output, self.sorting
        if folder is None:
            return
        at_the_end = {
            "out": output.out,
            "only_new": output.only_new,
            "sort": output.order,
            "bursts": self.decision.bursts,
        }
        for name, given in at_the_end.items():
            if given is not None:
                raise BearcnnError(f"`watch` prints each answer at once, and has no end: omit `{name}`")
        if output.format is not None and not output.format.streams:
            able = one_of(row.name for row in PREDICTION_FORMATS if row.streams)
            raise BearcnnError(f"`watch` prints each answer at once: --format {able}")
        if sorting.sort_into is not None and sorting.sort_into.resolve().is_relative_to(folder.resolve()):
            raise BearcnnError("`sort_into` would be read as photos: choose a folder outside that of `watch`")


def answer_photos(paths: list[str], model: Path | None, options: PredictOptions) -> Tally:
    """Answer photos and write the answers where the options say; return how many there are of each."""
    output, decision, sorting, regions = options.output, options.decision, options.sorting, options.regions
    options.check_watch()
    watch = options.watching.open(paths, output.heatmaps)
    file, folder = find_model(model), argument_folder([str(options.watching.watch)] if watch else paths)
    alone = len(paths) == 1 and Path(paths[0]).suffix.lower() in PHOTO_SUFFIXES and os.path.isfile(paths[0])  # noqa: PTH113 - Path.is_file raises for a name that is too long
    predictor = Predictor(
        file,
        options.engine.local,
        one_by_one=alone or watch is not None,
        max_megapixels=options.max_megapixels,
    )
    labelling = choose_labelling(predictor.manifest, file, decision.unsure)
    bursts = decision.open_bursts(labelling)
    listing = _list_photos(paths, folder, watch, options)
    seen = regions.open(predictor.manifest, paths)
    boxes = (seen or predictor.regions) != WHOLE_FRAMES
    context = PredictionContext(
        file,
        predictor.manifest,
        labelling,
        (*COLUMNS, *(BURST_COLUMNS if bursts else ()), *(BOX_COLUMNS if boxes else ())),
        folder,
        continued=output.extends and listing.answered is not None,
        settings=options.settings,
        package=listing.package,
    )
    if context.continued and listing.answered is not None:
        listing.answered.check_columns(context.columns)
        if bursts is not None:
            bursts.numbers = listing.answered.bursts
    placing = _open_sorted(sorting, context, bursts)
    counter = CropCounter(seen) if isinstance(seen, Crops) else None
    tally, started = Tally(labelling.names), perf_counter()
    with ExitStack() as opened:
        on_windows = opened.enter_context(_open_heatmaps(output, predictor, folder))
        display.show_model(file, predictor, labelling)
        opened.enter_context(watch or nullcontext())
        journal = opened.enter_context(_open_journal(output, context))
        answer = partial(options.engine.predict, predictor, regions=seen, on_windows=on_windows)
        photos = counter.count(listing.photos) if counter else listing.photos
        predictions = journal.complete(photos, answer) if journal else answer(photos)
        predictions = labelling.relabel(predictions)
        if bursts is not None:
            predictions = bursts.share(predictions)
        if placing is not None:
            predictions = placing.place(predictions)
        if watch is not None:
            predictions = watch.follow(predictions, labelling.classes[1])
        predictions = tally.count(predictions)
        if output.order is not None:
            predictions = iter(sort_predictions(predictions, output.order, labelling))
        content = _render(predictions, context, output)
        seconds = 0.0 if watch else perf_counter() - started  # a watch mostly waits: it has no speed
        if not tally.photos and not watch and not (listing.answered and listing.answered.skipped):
            display.summarize_predictions(tally, folder, seconds)
            raise BearcnnError("no photo was given: the list or pattern is empty")
        if output.out is not None and content is not None and journal is not None:
            _keep(content, output.out, listing.answered if context.continued else None)
            journal.remove()
    display.summarize_predictions(tally, folder, seconds, journal.reused if journal else 0)
    if output.format is not None or tally.photos > A_SCREEN:
        display.show_unreadable(tally)
    if counter is not None:
        counter.show(str(regions.detections))
    if bursts is not None:
        display.show_bursts(bursts)
    if placing is not None:
        display.show_placed(placing)
    if listing.answered is not None:
        display.show_answered(listing.answered, tally.photos)
    if listing.package is not None:
        display.show_package(listing.package)
    if content and output.out is not None:
        display.show_written(output.out)
    return tally


def _list_photos(paths: list[str], folder: Path | None, watch: Watch | None, options: PredictOptions) -> Listing:
    """List the photos to answer, without those that are answered already; plan the package that they go into."""
    output, sorting, package = options.output, options.sorting, options.package
    answered: Answered | None = None
    plan: PackagePlan | None = None
    packaged = output.format is not None and output.format.is_folder
    photos: Iterable[Path]
    if watch is not None:
        photos = watch.photos()
    elif packaged and (plan := package.open_existing(paths)):
        photos = [photo.path for photo in plan.photos.values()]
    else:
        photos = expand_paths(paths, _standard_input(paths))
    if output.heatmaps is not None:
        photos = stay_outside(photos, output.heatmaps)
    if sorting.sort_into is not None:
        photos = stay_outside(photos, sorting.sort_into)
    if output.only_new is not None and not (output.extends and not output.only_new.exists()):
        from bearcnn.inference.answered import read_answered

        answered = read_answered(output.only_new, folder)
        photos = answered.leave_out(photos)
    if packaged and plan is None:
        photos = list(photos)
        plan = package.plan_new(photos, folder)
    return Listing(photos, answered, plan)


def _standard_input(paths: list[str]) -> BinaryIO:
    if sys.stdin is not None:
        return sys.stdin.buffer
    if "-" in paths:
        raise BearcnnError("- reads a list of photos from the standard input, which is closed")
    return BytesIO()


def _open_heatmaps(
    output: OutputOptions, predictor: Predictor, folder: Path | None
) -> "AbstractContextManager[OnWindows | None]":
    if output.heatmaps is None:
        return nullcontext()
    from bearcnn.inference.heatmaps import HeatmapFolder

    return HeatmapFolder(output.heatmaps, predictor.manifest, folder, predictor.max_megapixels)


def _open_sorted(sorting: SortingOptions, context: PredictionContext, bursts: "Bursts | None") -> "SortedPhotos | None":
    if sorting.sort_into is None:
        return None
    from bearcnn.inference.sort_photos import open_sorted

    settings = {
        **context.settings,
        "model": context.fingerprint,
        "classes": list(context.labelling.classes),
        "thresholds": [context.labelling.lower, context.labelling.upper],
        "bursts": None if bursts is None else [bursts.gap.total_seconds(), bursts.answer],
        "link": sorting.link,
    }
    return open_sorted(sorting.sort_into, context.folder, sorting.link, settings)


@contextmanager
def _open_journal(output: OutputOptions, context: PredictionContext) -> "Iterator[Journal | None]":
    """Open the journal of a result that is written at the end; on Ctrl-C, say what is kept and how to go on."""
    if output.out is None:
        yield None
        return
    from bearcnn.inference.journal import journal_of, open_journal

    place = journal_of(output.out)
    with open_journal(place, context.fingerprint, context.settings, resume=output.resume) as journal:
        try:
            yield journal
        except KeyboardInterrupt:
            display.show_stopped(journal.size, journal.path)
            raise typer.Exit(130) from None


def _render(
    predictions: Iterator[Prediction], context: PredictionContext, output: OutputOptions
) -> bytes | Mapping[str, bytes] | None:
    """Print predictions as they come; for --out, return the content of the file, or the files of the folder."""
    row = output.format
    if row is None:
        display.print_table(predictions, context.labelling)
        return None
    write = load(row.writer)
    if output.out is None:
        display.print_pieces(write(predictions, context))
        return None
    with display.counting(predictions) as counted:
        if row.is_folder:
            return dict(write(counted, context))
        return "".join(write(counted, context)).encode("utf-8", "backslashreplace")


def _keep(content: bytes | Mapping[str, bytes], out: Path, answered: "Answered | None") -> None:
    """Write the result, whole or not at all; behind that of `answered` if it is added to."""
    if not isinstance(content, bytes):
        write_folder_atomically(out, content)
    elif answered is None:
        write_atomically(out, content)
    elif content:
        answered.extend(content)
