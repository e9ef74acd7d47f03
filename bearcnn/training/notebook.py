"""The Learner for notebooks, with fastai's displays, a progress table and scores.

fastai draws by dispatch on types, and registers its drawing functions when `fastai.vision.learner` is imported. That
import takes a second, which the command line saves.
"""

from collections.abc import Sequence

import fastai.vision.learner  # noqa: F401 - registers show_results and plot_top_losses of photos
from fastai.callback.core import Callback
from fastai.callback.progress import ProgressCallback
from fastai.learner import AvgMetric, Learner
from fastai.metrics import AccumMetric
from torch import Tensor

from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.evaluation.metrics import score
from bearcnn.training import learner as training_learner
from bearcnn.training.learner import choose_device
from bearcnn.training.replicas import Replicas, choose_replicas


def build_learner(config: Config, dataset: Dataset, *, cbs: Sequence[Callback] = ()) -> Learner:
    """Build the fastai Learner of a configuration and a data set; nothing is trained yet.

    All of fastai's calls work on it: `lr_find`, `fit_one_cycle`, `fit_flat_cos`, `show_batch`, `show_results`,
    `get_preds`, `predict("photo.jpg")`, `recorder.plot_loss`, `export`, and
    `ClassificationInterpretation.from_learner(learn)`. Its network takes uint8 (batch, 3, n, n); probabilities are of
    the two classes, (batch, 2), in the order of `learn.dls.vocab`. It is the Learner that `bearcnn.train` trains, with
    a progress table, accuracy and ROC AUC of the validation photos added.

    Args:
        config: the network and how it is trained.
        dataset: photos with a train and a valid split, of `config.data.image_size`.
        cbs: further callbacks.
    """
    dataset = dataset.limit(config.data.photos, config.train.seed)
    replicas = Replicas(config, choose_replicas(config, choose_device(), cbs), yields=True)
    learner = training_learner.build_learner(config, dataset, cbs=[ProgressCallback(), *cbs], replicas=replicas)
    activation = learner.loss_func.activation

    def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
        return (activation(logits).argmax(1) == labels).float().mean()

    def roc_auc(logits: Tensor, labels: Tensor) -> float:
        probabilities = activation(logits.float())[:, 1].clamp(0, 1).numpy()
        return score(labels.numpy(), probabilities)["roc_auc"]

    learner.metrics = [AvgMetric(accuracy), AccumMetric(roc_auc, flatten=False)]
    return learner
