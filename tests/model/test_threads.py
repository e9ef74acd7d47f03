"""Batches in threads of their own: the same answers, and torch's threads as they were."""

import numpy as np
import pytest
import torch

from bearcnn.model.network import BearCNN
from bearcnn.model.predict import BATCH_SIZE, predict_logits
from bearcnn.model.threads import map_batches


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_each_batch_has_one_thread_and_torch_gets_its_own_back(torch_threads):
    torch_threads(3)
    found = list(map_batches(lambda number: (number, torch.get_num_threads()), range(20)))
    assert found == [(number, 1) for number in range(20)]
    assert torch.get_num_threads() == 3


def test_threads_come_back_when_a_batch_fails_and_when_nobody_wants_the_rest(torch_threads):
    torch_threads(2)
    batches = map_batches(str, range(100))
    assert next(batches) == "0"
    batches.close()
    assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError):
        list(map_batches(lambda number: 1 // number, [1, 0, 1]))
    assert torch.get_num_threads() == 2


def test_answers_are_the_same_for_any_number_of_threads_to_the_bit(torch_threads):
    torch.manual_seed(0)
    network = BearCNN((8, 16), (3, 3)).train()
    pixels = np.random.default_rng(0).integers(0, 256, (3 * BATCH_SIZE + 5, 32, 32, 3), dtype=np.uint8)
    rows = np.arange(len(pixels))[::-1]
    found = []
    for threads in (1, 2, 3):
        torch_threads(threads)
        found.append(predict_logits(network, pixels, rows))
    assert found[0].shape == rows.shape
    assert len({each.tobytes() for each in found}) == 1
    alone = [predict_logits(network, pixels, rows[place : place + 1])[0] for place in (0, BATCH_SIZE, len(rows) - 1)]
    assert found[0][[0, BATCH_SIZE, -1]] == pytest.approx(alone, abs=1e-5)
    assert predict_logits(network, pixels, rows[:0]).shape == (0,)
