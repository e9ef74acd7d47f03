"""What the page computes with: pixels, kernels and norms of the first convolution, and the windows' places."""

from typing import Any

import torch

from bearcnn.evaluation.formats import decimal
from bearcnn.explain.convolution import input_names, read_norm
from bearcnn.explain.figures import choose_kernels
from bearcnn.explain.lesson import Lesson
from bearcnn.explain.pictures import encode, palette
from bearcnn.explain.subject import block_of, split_layer, to_array

SHOWN_KERNELS = 32
MOST_NUMBERS = 120_000
"""Numbers of a body's maps and of kernels that a page holds at most, four bytes each: they would make it too large."""
SHOWN_INPUTS = 3
MOST_PIXELS = 512
"""Pixels along the photo's side at most, with which the page computes."""


@torch.no_grad()
def gather_step(lesson: Lesson) -> dict[str, Any] | None:
    """Gather what the page needs to compute any number of the first layer's maps; None where that is too much.

    All numbers are the network's own: the page repeats the convolution with them.
    """
    subject, step = lesson.subject, lesson.step
    first = lesson.traced.convolved[0]
    layer = block_of(subject.network, 1).convolution
    convolution, _, _ = split_layer(layer)
    shown = choose_kernels(first.by_map, SHOWN_KERNELS, lesson.place.kernel)
    channels = first.image.shape[1]
    per_kernel = channels * convolution.kernel_size[0] ** 2
    numbers = 0 if subject.network.body is None else first.image.numel()
    fitting = (MOST_NUMBERS - numbers) // per_kernel
    if fitting < 1 or len(subject.pixels) > MOST_PIXELS:
        return None
    shown = choose_kernels(first.by_map, min(len(shown), fitting), lesson.place.kernel)
    image = subject.pixels.transpose(2, 0, 1) if subject.network.body is None else to_array(first.image[0])
    norms = [read_norm(layer, kernel) for kernel in shown]
    bias = convolution.bias
    frame = subject.frame(step.field)
    return {
        "image": encode(image),
        "bytes": image.dtype.itemsize,
        "shape": list(image.shape),
        "mean": subject.mean,
        "std": subject.std,
        "size": len(subject.pixels),
        "side": convolution.kernel_size[0],
        "stride": convolution.stride[0],
        "padding": convolution.padding[0],
        "places": len(step.map),
        "names": input_names(subject, 1, channels),
        "shown": SHOWN_INPUTS,
        "kernels": [kernel + 1 for kernel in shown],
        "weights": encode(to_array(convolution.weight[shown])),
        "biases": [0.0 if bias is None else float(bias[kernel]) for kernel in shown],
        "norms": [norm and [norm.mean, norm.deviation, norm.scale, norm.shift] for norm in norms],
        "tops": [float(first.maps[kernel].max()) for kernel in shown],
        "start": [shown.index(step.place.kernel), step.place.row, step.place.column],
        "frame": [frame.size, frame.step, frame.first],
        "palette": encode(palette()[:255]),
    }


def gather_windows(lesson: Lesson) -> dict[str, Any]:
    """Gather the windows' scores and what each sees of the photo, in shares of its side."""
    found = lesson.windows
    row, column = found.best
    if lesson.focus.at is not None:
        row, column = found.nearest(lesson.focus.at)
    count = len(found.scores)
    return {
        "scores": [[float(score) for score in line] for line in found.scores],
        "words": [[decimal(float(score)) for score in line] for line in found.scores],
        "edges": found.windows.edges().tolist(),
        "frames": [list(found.windows.frame(number)) for number in range(count)],
        "start": [row, column],
        "positive": lesson.subject.positive,
    }
