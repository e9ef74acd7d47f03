"""Masks and answers are those of the network's own layers."""

import numpy as np
import pytest
import torch

from bearcnn.explain.dropout import try_dropout
from bearcnn.explain.subject import Subject
from bearcnn.model.network import bear_logit
from tests.helpers.subjects import VARIANTS, make_subject


@pytest.fixture(params=sorted(VARIANTS))
def subject(request) -> Subject:
    return make_subject(request.param)


def test_a_mask_gives_the_answer_beside_it(subject):
    network = subject.network
    for trial in try_dropout(subject, masks=20):
        keep = torch.from_numpy(trial.kept[1]).float() / (1 - trial.rate)
        with torch.no_grad():
            image = network.normalize(subject.batch())
            if trial.what == "pixels":
                logits = network.logits(network.blocks(image * keep))
            elif trial.what == "channels":
                logits = network.logits(network.blocks[1:](network.blocks[0](image) * keep[None, :, None, None]))
            else:
                logits = network.head(network.pooling(network.blocks(image)) * keep)
        answer = torch.sigmoid(bear_logit(logits, network.output_classes) / subject.manifest.temperature)
        assert trial.answers[1] == pytest.approx(float(answer), abs=1e-5)


def test_the_rate_is_the_configured_one_or_a_half():
    rates = {trial.what: (trial.configured, trial.rate) for trial in try_dropout(make_subject("max"), masks=3)}
    assert rates == {"pixels": (0.1, 0.1), "channels": (0, 0.5), "features": (0.2, 0.2)}
    kept = try_dropout(make_subject("max", size=64), masks=3)[0].kept
    assert np.mean(kept) == pytest.approx(0.9, abs=0.02)


def test_it_leaves_the_network_and_the_random_numbers_alone(subject):
    state, before = torch.get_rng_state(), subject.answer()
    first, second = try_dropout(subject, masks=5), try_dropout(subject, masks=5)
    assert all(np.array_equal(a.answers, b.answers) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert subject.answer() == before
    assert not subject.network.training


def test_one_block_has_no_channels_between_blocks():
    assert [trial.what for trial in try_dropout(make_subject("wide"), masks=3)] == ["pixels", "features"]
