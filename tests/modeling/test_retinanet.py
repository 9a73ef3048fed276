"""RetinaNet continues from a checkpoint as if nothing had happened."""

from __future__ import annotations

import copy

import torch

from agropest.modeling import retinanet
from agropest.training.trainer import TrialTrainer
from tests.modeling.lean.conftest import RETINANET, Pair, draw_batch, small_cfg


def test_the_average_that_losses_are_divided_by_is_saved() -> None:
    pair = Pair(small_cfg(*RETINANET))
    pair.train(draw_batch(0))
    saved = copy.deepcopy(pair.lean.state())
    assert 80 < saved["unsaved"]["loss_normalizer"] < 100  # 0.9 * 100 and a tenth of the few positive anchors
    pair.train(draw_batch(1))
    again = TrialTrainer(small_cfg(*RETINANET), "cpu")
    again.load_state(saved)
    again.iter, again.batches = 1, iter([draw_batch(1)])
    again.run_step()
    assert again._recent[-1] == pair.lean._recent[-1]  # bit for bit
    weights = pair.lean.model.state_dict()
    assert [name for name, value in again.model.state_dict().items() if not value.equal(weights[name])] == []


def test_a_checkpoint_without_it_starts_the_average_anew() -> None:
    model = torch.nn.Linear(1, 1)
    assert retinanet.unsaved_state(model) == {}
    model.loss_normalizer = 7.0
    assert retinanet.unsaved_state(model) == {"loss_normalizer": 7.0}
    retinanet.load_unsaved_state(model, {})
    assert retinanet.unsaved_state(model) == {}
