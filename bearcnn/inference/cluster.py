"""Photos answered on the nodes of a Ray cluster, with Ray Data (`pip install "bearcnn[ray]"`).

The model file goes to the nodes through Ray's object store. Photos don't: each node reads them itself, at the path that
they have here, from a shared drive.

Ray Data wants a complete list and keeps track of each row of it. So that an endless list needs no more memory than a
short one, and the first answers don't wait for the last path, photos go to Ray in windows: as many as are listed by
then, up to some ten thousand. A row of a window's data set is not a photo but a chunk of photos, seconds of work for
a core: Ray Data takes 0.2 s to give a core its next row.
"""

import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

from bearcnn._ray import INSTALL, ask_nodes, connect, live_nodes, only_on
from bearcnn._version import __version__
from bearcnn.errors import ClusterError
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.stream import batch_stream
from bearcnn.optional import load_optional

RETRIES = 3
"""The number of times that a chunk runs again after the loss of its process or node."""

WINDOW = 50_000
"""The most photos that Ray has at once, on a cluster of up to 50 cores."""

_WINDOW_PER_CORE = 1_000  # on a larger one, whose cores would otherwise be idle between windows
_FIRST_CHUNK, _LARGEST_CHUNK = 16, 1_024  # photos
_CHUNK_SECONDS = 5.0  # of work for one core: little to lose, and long beside the 0.2 s between two chunks
_CHUNKS_PER_CORE = 4  # of a window, at least: the slowest core ends not long after the others
_READERS = 2  # threads that decode in one task: a shared drive keeps one waiting
_CHECK_SECONDS = 120.0  # for the first process on a node, which imports onnxruntime

_WHAT = "the engine ray"
_DECIDING = ("onnxruntime", "pillow", "numpy")
"""The packages that decide the last digit of an answer."""


def predict_on_ray(
    predictor: Predictor,
    paths: Iterable[Path],
    *,
    address: str = "",
    on_remark: Callable[[str], None] = lambda text: None,
) -> Iterator[Prediction]:
    """Yield one prediction for each path, in order: the same as `predict_photos`, computed on a Ray cluster.

    A chunk of photos whose node is lost is computed on another. A photo that a node can't read is tried here, before
    it gives a prediction with the reason. At most two windows of paths are in memory. An exception of `paths` is raised
    here. Nodes with another kind of processor may differ in the last digit.

    Args:
        predictor: the model.
        paths: the photos, which every node sees at the same path.
        address: host:port or "auto", of a cluster that this computer is a node of; empty for a new one on this computer
            alone.
        on_remark: is told at the end if nodes couldn't read photos that this computer could.

    Raises:
        MissingPackageError: Ray, or what Ray Data needs, isn't installed.
        ClusterError: the cluster can't be reached, a node has other versions or doesn't see the photos, or a chunk was
            lost again and again.
    """
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address} is for computers outside of a cluster, but Ray Data runs on a node of it: start bearcnn on a "
            "node, or make this computer one with `ray start`, and set `address` to auto"
        )
    with connect(address, "address", _WHAT) as ray:
        cluster, read_here = _Cluster(ray, predictor), 0
        windows = batch_stream(map(str, paths), lambda: cluster.window, ahead=cluster.largest_window)
        with closing(windows):
            for number, window in enumerate(windows):
                if number == 0:
                    cluster.check_nodes(window)
                for prediction in cluster.answer(window):
                    if prediction.error is not None:
                        (prediction,) = predict_photos(predictor, [Path(prediction.path)])
                        read_here += prediction.error is None
                    yield prediction
    if read_here:
        on_remark(f"photos that a node couldn't read, but this computer could: {read_here:,}")


class _Cluster:
    """A connected cluster with a model on it."""

    def __init__(self, ray: Any, predictor: Predictor) -> None:
        self._ray = ray
        self._data = load_optional("ray.data", INSTALL.format(what=_WHAT))
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells how long each window took
        self._cores = int(ray.cluster_resources().get("CPU", 0))
        if not self._cores:
            raise ClusterError("no node of the Ray cluster has a CPU to predict with")
        content = predictor.file.read_bytes()
        digest, most = sha256(content).hexdigest(), predictor.max_megapixels
        self._model = {"model": ray.put(content), "digest": digest, "max_megapixels": most}
        here = only_on(ray, ray.get_runtime_context().get_node_id())
        self._attempts = ray.remote(_Attempts).options(num_cpus=0, scheduling_strategy=here).remote()
        self._windows = 0
        self._chunk: int | None = None
        self.largest_window = max(WINDOW, _WINDOW_PER_CORE * self._cores)

    @property
    def window(self) -> int:
        """The number of photos to give out next: a few, until it is known how long they take."""
        return self.largest_window if self._chunk else 2 * _FIRST_CHUNK * self._cores

    def check_nodes(self, photos: Sequence[str]) -> None:
        """Check that each node has the same versions, and sees the first photo that this computer sees."""
        seen = next((path for path in map(Path.absolute, map(Path, photos)) if path.exists()), None)
        nodes = [node for node in live_nodes(self._ray) if node["Resources"].get("CPU")]
        problems = ask_nodes(self._ray, nodes, _check_here, _versions(), seen and str(seen), seconds=_CHECK_SECONDS)
        if problems:
            raise ClusterError("\n".join(problems))

    def answer(self, photos: Sequence[str]) -> Iterator[Prediction]:
        """Yield the nodes' predictions, in order."""
        size = min(self._chunk or _FIRST_CHUNK, ceil(len(photos) / (_CHUNKS_PER_CORE * self._cores)))
        chunks = [photos[start : start + size] for start in range(0, len(photos), size)]
        seconds = 0.0
        for (number, chunk), row in zip(enumerate(chunks), self._compute(chunks), strict=True):
            if row["number"] != number:
                raise RuntimeError(f"Ray gave chunk {row['number']} in the place of chunk {number}")
            if not row["answers"]:
                raise ClusterError(
                    f"{RETRIES + 1} processes were lost over the same photos, {chunk[0]} to {chunk[-1]}: "
                    "one of them may need more memory than a node has; predict these on this computer"
                )
            for path, answer in zip(chunk, json.loads(row["answers"]), strict=True):
                yield Prediction(**{**answer, "path": path})
            seconds += row["seconds"]
        self._chunk = max(1, min(_LARGEST_CHUNK, round(_CHUNK_SECONDS * len(photos) / max(seconds, 1e-3))))

    def _compute(self, chunks: Sequence[Sequence[str]]) -> Iterator[dict[str, Any]]:
        """Yield what `_answer_chunk` returns for each chunk, in order."""
        self._windows += 1
        here = Path.cwd()
        rows = [
            {"window": self._windows, "number": number, "photos": json.dumps([str(here / path) for path in chunk])}
            for number, chunk in enumerate(chunks)
        ]
        context = self._data.DataContext.get_current().copy()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.execution_no_progress_timeout_s = -1  # a slow drive is no error
        with self._data.DataContext.current(context):
            dataset = self._data.from_items(rows, override_num_blocks=len(rows))
        what = {**self._model, "attempts": self._attempts}
        answered = dataset.map(_answer_chunk, fn_kwargs=what, num_cpus=1)
        try:
            yield from answered.iter_rows()
        except self._ray.exceptions.RayTaskError:
            raise  # our bug
        except self._ray.exceptions.RayError as error:
            raise ClusterError(f"the Ray cluster failed: {' '.join(str(error).split())[:300]}") from None


class _Attempts:
    """Counts how often each chunk of a window was begun; an actor beside the driver.

    Ray Data itself tries for ever, also where a photo takes down every process that reads it.
    """

    def __init__(self) -> None:
        self._window = 0
        self._begun: Counter[int] = Counter()

    def begin(self, window: int, number: int) -> int:
        """Return how often this chunk has been begun, with this time."""
        if window != self._window:
            self._window, self._begun = window, Counter()
        self._begun[number] += 1
        return self._begun[number]


def _versions() -> dict[str, str]:
    return {"bearcnn": __version__, **{package: version(package) for package in _DECIDING}}


def _check_here(versions: dict[str, str], photo: str | None) -> str:
    """Return the reason why this node can't predict as the computer with these versions does, or an empty text."""
    other = [f"{name} {have}, not {versions[name]}" for name, have in _versions().items() if have != versions[name]]
    if other:
        return f"has {', '.join(other)}; install the same versions on every node"
    if photo is not None and not Path(photo).exists():
        return f"doesn't see {photo}; share the folder with every node, at the same path"
    return ""


_PREDICTORS: dict[tuple[str, int], Predictor] = {}  # in a worker process of Ray, which stays for the next chunk


def _answer_chunk(row: dict[str, Any], model: Any, digest: str, max_megapixels: int, attempts: Any) -> dict[str, Any]:
    """Answer the photos of a row on a node; with an empty text where that has failed too often."""
    ray = load_optional("ray", INSTALL.format(what=_WHAT))
    if ray.get(attempts.begin.remote(row["window"], row["number"])) > RETRIES + 1:
        return {"number": row["number"], "answers": "", "seconds": 0.0}
    key = (digest, max_megapixels)
    if key not in _PREDICTORS:
        _PREDICTORS.clear()
        _PREDICTORS[key] = _open_model(ray.get(model), max_megapixels)
    start = time.perf_counter()
    found = predict_photos(_PREDICTORS[key], map(Path, json.loads(row["photos"])), workers=_READERS)
    answers = json.dumps([asdict(prediction) for prediction in found])
    return {"number": row["number"], "answers": answers, "seconds": time.perf_counter() - start}


def _open_model(content: bytes, max_megapixels: int) -> Predictor:
    with tempfile.TemporaryDirectory(prefix="bearcnn-model-") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(content)
        return Predictor(file, threads=1, max_megapixels=max_megapixels)
