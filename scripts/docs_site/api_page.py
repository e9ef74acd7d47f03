"""The page of the Python API: the names of `bearcnn`, which mkdocstrings reads from the source."""

INTRODUCTION = """\
# Python API

`import bearcnn` loads nothing until a name is used: `bearcnn.train`, `bearcnn.Dataset` and so on. Each command of the
command line is one of these calls. The [guide](guide.md#from-python) has them in one example.
"""

GROUPS = {
    "Configuration and photos": (
        "bearcnn.config.reading.load_config",
        "bearcnn.config.whole.Config",
        "bearcnn.data.dataset.Dataset",
    ),
    "Training": (
        "bearcnn.pipeline.train",
        "bearcnn.pipeline.resume",
        "bearcnn.training.notebook.build_learner",
        "bearcnn.reporter.Reporter",
        "bearcnn.runs.folder.Run",
        "bearcnn.runs.opening.open_run",
    ),
    "Answers": (
        "bearcnn.inference.predictor.Predictor",
        "bearcnn.evaluation.metrics.evaluate",
        "bearcnn.export.run.export",
        "bearcnn.explain.explain.explain",
    ),
    "Experiments": ("bearcnn.sweep.run.sweep", "bearcnn.sweep.learning_curve.learning_curve"),
    "Errors": ("bearcnn.errors.BearcnnError",),
}
"""Where the public names are defined: mkdocstrings imports nothing, and follows no name that is loaded lazily."""


def render_api() -> str:
    """Render the page, with each public name once."""
    lines = [INTRODUCTION]
    for title, places in GROUPS.items():
        lines += [f"## {title}", "", *(f"::: {place}\n" for place in places)]
    return "\n".join(lines)
