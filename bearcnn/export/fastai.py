"""A pickled fastai Learner for `load_learner`, the only format that is a pickle.

It is the trained Learner without its photos. Loading it needs bearcnn, and its `predict` prepares a photo as bearcnn
does.
"""

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
from fastai.learner import load_learner
from numpy.typing import NDArray

from bearcnn.data.scratch import scratch_folder
from bearcnn.export.base import Exported, ExportSource
from bearcnn.training.learner import build_learner


def export_fastai(source: ExportSource) -> Exported:
    """Export the Learner; its answers come from the file read back."""
    content = to_fastai(source)

    def answer(_: NDArray[np.uint8], paths: list[Path]) -> NDArray[np.float32]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles: this one is our own
            learner = load_learner(io.BytesIO(content))
        with learner.no_bar():
            probabilities, _labels = learner.get_preds(dl=learner.dls.test_dl(paths))
        return np.asarray(probabilities[:, 1], np.float32)

    return Exported(content, answer)


def to_fastai(source: ExportSource) -> bytes:
    """Pickle the Learner, with calibrated probabilities."""
    assert source.dataset is not None
    learner = build_learner(source.config, source.dataset, model=source.network)
    learner.loss_func.temperature = source.manifest.temperature
    with scratch_folder(Path(tempfile.gettempdir()), "bearcnn-export") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = folder.absolute() / "learner.pkl"
        learner.export(path)
        return path.read_bytes()
