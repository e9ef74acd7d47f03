"""Photos with a network's answer to each, for the drawings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bearcnn.evaluation.formats import decimal
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.windows import Windows, find_windows


@dataclass(frozen=True)
class Answered:
    """A photo, the probability of a bear, the scores of its windows and where these lie."""

    path: Path
    image: Image.Image
    probability: float
    scores: NDArray[np.float32]
    windows: Windows

    @property
    def words(self) -> str:
        """The answer at a threshold of 0.5."""
        return f"{'bear' if self.probability >= 0.5 else 'no bear'} {decimal(self.probability)}"


def answer_all(run: Path, photos: Path) -> list[Answered]:
    """Answer the photos of a folder, in the order of their names."""
    predictor, scores = Predictor(run), {}
    paths = sorted(photos.glob("*.jpg"))
    answers = predict_photos(predictor, paths, on_windows=lambda path, *found: scores.update({path: found[2]}))
    probabilities = [each.probability for each in answers]
    return [
        Answered(path, Image.open(path), probability, scores[path], find_windows(predictor.manifest, len(scores[path])))
        for path, probability in zip(paths, probabilities, strict=True)
        if probability is not None
    ]
