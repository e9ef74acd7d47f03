"""The lesson as one HTML page without other files, on which the places of a map can be pointed at."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.evaluation.formats import decimal
from bearcnn.explain import answer_figures, convolution_figures, feature_figures, figures, pictures
from bearcnn.explain.canvas import plain
from bearcnn.explain.contributions import sort_by_part
from bearcnn.explain.convolution import EDGE, cut_piece
from bearcnn.explain.dropout import enlarge
from bearcnn.explain.formulas import add_up, shorten, spell_out, spell_out_answer, spell_out_part, written
from bearcnn.explain.lesson import Lesson
from bearcnn.explain.subject import Array
from bearcnn.explain.tool import SHOWN_KERNELS, gather_step, gather_windows
from bearcnn.inference import overlay
from bearcnn.pages import load_template


def render(lesson: Lesson) -> str:
    """Return the page as HTML; the template escapes every value."""
    subject = lesson.subject
    filters = {
        "decimal": decimal,
        "number": figures.signed,
        "plain": plain,
        "exact": lambda value: written(shorten(value)),
        "as_map": pictures.draw_map,
        "as_signed": pictures.draw_signed,
        "as_grey": pictures.draw_grey,
        "as_colors": pictures.draw_colors,
        "cell": _color_cell,
        "tint": _color_map,
    }
    page: str = load_template("bearcnn.explain", "lesson.html", filters).render(
        subject=subject,
        lesson=lesson,
        called=subject.manifest.classes[subject.is_positive],
        answer=subject.answer(),
        whose=subject.describe(),
        photo=pictures.draw_photo(subject.pixels),
        **_describe_input(lesson),
        **_describe_kernels(lesson),
        **_describe_convolution(lesson),
        **_describe_features(lesson),
        **_describe_answer(lesson),
        **_describe_dropout(lesson),
    )
    return page


def _describe_input(lesson: Lesson) -> dict[str, Any]:
    subject, stem = lesson.subject, lesson.traced.stem
    shown = sort_by_part(stem.by_map, 6) if subject.network.body is not None else []
    return {
        "channels": subject.pixels.transpose(2, 0, 1),
        "input_words": figures.describe_input(subject),
        "body_words": figures.introduce_body(subject, stem),
        "body_maps": [(number + 1, stem.by_map[number], stem.maps[number]) for number in shown],
    }


def _describe_kernels(lesson: Lesson) -> dict[str, Any]:
    subject, edge = lesson.subject, lesson.edge
    first = lesson.traced.convolved[0]
    shown = figures.choose_kernels(first.by_map, SHOWN_KERNELS, lesson.place.kernel)
    later = []
    for number, end in enumerate(lesson.traced.ends[1:], 2):
        field = subject.fields[number - 1][1]
        maps = [(each + 1, end.by_map[each], end.maps[each]) for each in sort_by_part(end.by_map, 6)]
        later.append((number, end.maps.shape, subject.describe_view(field), maps))
    return {
        "edge": edge,
        "edge_words": figures.describe_edge(len(edge.brightness), len(edge.map), lesson.focus.at is not None),
        "edge_kernel": EDGE,
        "edge_formula": add_up([float(each) for each in edge.parts])[0],
        "kernel_words": figures.describe_kernels(subject, lesson.kernels, len(shown)),
        "kernels": [
            (each + 1, first.by_map[each], figures.kernel_colors(lesson.kernels[each]), first.maps[each])
            for each in shown
        ],
        "shrunk": first.maps.shape[1] > pictures.MOST_PLACES,
        "later": later,
    }


def _describe_convolution(lesson: Lesson) -> dict[str, Any]:
    subject, step, following, strides = lesson.subject, lesson.step, lesson.following, lesson.strides
    frame = subject.frame(step.field)
    product = lesson.product
    return {
        "step": step,
        "step_words": convolution_figures.describe_step(subject, step, lesson.which),
        "step_lines": spell_out(step),
        "limits": [2.0, float(np.abs(step.kernel).max()) or 1.0, float(np.abs(step.products).max()) or 1.0],
        "sees_all": frame == step.field,
        "tool": gather_step(lesson),
        "following": following,
        "following_words": following and convolution_figures.describe_following(subject, step, following),
        "following_lines": following and spell_out(following),
        "stride_words": convolution_figures.describe_strides(subject, strides),
        "strides": strides,
        "piece": cut_piece(strides, (step.place.row, step.place.column)),
        "top": float(strides.every.max()) or 1.0,
        "product": product,
        "rest": convolution_figures.name_rest(subject),
        "product_words": convolution_figures.describe_product(subject, product),
    }


def _describe_features(lesson: Lesson) -> dict[str, Any]:
    found = lesson.features
    return {
        "features": found,
        "feature_words": feature_figures.describe_features(lesson.subject, found),
        "feature_lines": found and spell_out(found.step),
        "feature_limits": found
        and (float(found.step.window.max()) or 1.0, float(np.abs(found.step.kernel).max()) or 1.0),
    }


def _describe_answer(lesson: Lesson) -> dict[str, Any]:
    subject, head, found = lesson.subject, lesson.head, lesson.windows
    chosen = lesson.feature
    shown = sort_by_part(head.by_map, 8)
    size, pooled = len(subject.pixels), lesson.pooled
    piece = {}
    if pooled:
        row, column, count = pooled.piece
        down, across = (slice(each * pooled.size, (each + count) * pooled.size) for each in (row, column))
        values = pooled.pooled[:, row : row + count, column : column + count]
        piece = {"pooled_piece": pooled.before[down, across], "pooled_values": values}
    layer = overlay.draw_overlay((max(size, 384),) * 2, found.scores, found.windows)
    return {
        "pooling_words": feature_figures.describe_pooling(subject, head, chosen),
        "pooled": pooled,
        "pooled_words": pooled and feature_figures.describe_pooled(pooled),
        **piece,
        "head": head,
        "feature": chosen,
        "largest": _find_largest(head.maps[chosen])
        if "largest" in head.words and len(head.maps[chosen]) <= 9
        else None,
        "part_lines": spell_out_part(head, chosen)[0],
        "answer_lines": spell_out_answer(head, sort_by_part(head.by_map, feature_figures.SPELLED)),
        "parts": [(each + 1, float(head.by_map[each])) for each in shown],
        "largest_part": max(abs(float(head.by_map[each])) for each in shown) or 1.0,
        "windows": found,
        "window_words": answer_figures.describe_windows(subject, found, lesson.focus.at),
        "way_words": answer_figures.describe_way(subject, found),
        "overlay": pictures.draw_layer(layer),
        "window_tool": gather_windows(lesson),
    }


def _find_largest(values: Array) -> tuple[int, int]:
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def _describe_dropout(lesson: Lesson) -> dict[str, Any]:
    subject, trials = lesson.subject, lesson.dropout
    grey = round(subject.mean) if subject.network.body is None else 128
    size = len(subject.pixels)
    jitter = np.random.default_rng(0).uniform(-12, 12, len(trials[0].answers))
    rows = []
    for trial in trials:
        if trial.what == "pixels":
            layers = [pictures.draw_mask(enlarge(kept, size), grey) for kept in trial.kept]
            panels = ["", *layers]  # the photo, and what lies over it
        else:
            images = [image for image, _ in answer_figures.dropout_panels(subject, trial, lesson.traced)]
            limits = (float(np.nanmin(images[0])), float(np.nanmax(images[0])))
            panels = [pictures.draw_map(image, limits) for image in images]
        name, what, key = answer_figures.name_dropout(subject, trial)
        answers = [subject.answer(), *(float(each) for each in trial.answers[: len(panels) - 1])]
        low, high = np.quantile(trial.answers, [0.05, 0.95])
        dots = [(float(each), float(up)) for each, up in zip(trial.answers, jitter, strict=True)]
        rows.append((trial, name, what, key, list(zip(panels, answers, strict=True)), low, high, dots))
    return {"dropout_words": answer_figures.describe_dropout(len(jitter)), "dropout": rows}


def _color_cell(value: float, limit: float) -> str:
    """Return the style of a cell with a number around zero; its text stands out from the colour."""
    return _style(pictures.color_signed(np.array(value), limit))


def _color_map(value: float, limit: float) -> str:
    """Return the style of a cell with a number of a map, from 0 to `limit`."""
    level = int(np.clip(value / limit, 0, 1) * 254)
    return _style(pictures.palette()[level])


def _style(color: NDArray[np.uint8]) -> str:
    red, green, blue = (int(each) for each in color)
    linear = [((each / 255 + 0.055) / 1.055) ** 2.4 if each > 10 else each / 255 / 12.92 for each in (red, green, blue)]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return f"background:rgb({red},{green},{blue});color:{'#000' if light > 0.179 else '#fff'}"
