"""Training with a fastai Learner: DataLoaders, callbacks, loss, fit, resume."""

import bearcnn._torch  # noqa: F401 - before any module here loads torch
