"""Classification losses against hand-worked numbers and independent computations."""

from __future__ import annotations

import importlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision

from agropest.modeling.config import STOCK_LOSS, loss_names
from agropest.modeling.losses.sigmoid_focal import initial_bias, sigmoid_focal_loss
from agropest.modeling.losses.softmax_focal import softmax_focal_loss
from agropest.modeling.losses.weighted_cross_entropy import weighted_cross_entropy

HEAD = SimpleNamespace(FOCAL_ALPHA=0.25, FOCAL_GAMMA=2.0, PRIOR_PROB=0.01, CLASS_WEIGHTS=[2.0, 0.5])
SETTINGS = [(0.25, 2.0), (0.5, 0.0), (0.75, 0.5), (0.1, 5.0)]


def drawn(num_rois: int = 200, num_classes: int = 12, scale: float = 4.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(num_rois, num_classes + 1, generator=generator, dtype=torch.float64) * scale
    return logits, torch.randint(0, num_classes + 1, (num_rois,), generator=generator)


def test_softmax_focal_by_hand() -> None:
    equal = torch.zeros(1, 2, dtype=torch.float64)  # p = 1/2: (1/2)^2 ln 2 = 0.1732868
    assert softmax_focal_loss(equal, torch.tensor([0]), 0.25, 2.0).item() == pytest.approx(0.0433217, abs=1e-7)
    assert softmax_focal_loss(equal, torch.tensor([1]), 0.25, 2.0).item() == pytest.approx(0.1299651, abs=1e-7)
    both = softmax_focal_loss(equal.expand(2, 2), torch.tensor([0, 1]), 0.25, 2.0)
    assert both.item() == pytest.approx(0.0866434, abs=1e-7)  # the mean


@pytest.mark.parametrize(("alpha", "gamma"), SETTINGS)
def test_softmax_focal_against_numpy(alpha: float, gamma: float) -> None:
    logits, labels = drawn()
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    total = 0.0
    for row, label in zip(p, labels.tolist(), strict=True):
        weight = alpha if label < 12 else 1 - alpha
        total += -weight * (1 - row[label]) ** gamma * math.log(row[label])
    assert softmax_focal_loss(logits, labels, alpha, gamma).item() == pytest.approx(total / len(labels), abs=1e-6)
    single = softmax_focal_loss(logits.float(), labels, alpha, gamma).item()
    assert single == pytest.approx(total / len(labels), abs=1e-6)


def test_softmax_focal_without_focusing_is_weighted_cross_entropy() -> None:
    logits, labels = drawn()
    expected = 0.5 * torch.nn.functional.cross_entropy(logits, labels).item()
    assert softmax_focal_loss(logits, labels, 0.5, 0.0).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("alpha", "gamma"), SETTINGS)
def test_sigmoid_focal_against_torchvision(alpha: float, gamma: float) -> None:
    logits, labels = drawn()
    targets = torch.zeros(len(labels), 12, dtype=torch.float64)
    for row, label in enumerate(labels.tolist()):
        if label < 12:
            targets[row, label] = 1
    theirs = torchvision.ops.sigmoid_focal_loss(logits[:, :12], targets, alpha, gamma, reduction="sum")
    expected = theirs.item() / int((labels < 12).sum())
    assert sigmoid_focal_loss(logits, labels, alpha, gamma).item() == pytest.approx(expected, abs=1e-6)


def test_sigmoid_focal_of_background_alone_is_divided_by_one() -> None:
    logits = torch.zeros(3, 3, dtype=torch.float64)  # six negatives of p = 1/2, each 0.75 (1/2)^2 ln 2
    loss = sigmoid_focal_loss(logits, torch.full((3,), 2), 0.25, 2.0)
    assert loss.item() == pytest.approx(0.7797905, abs=1e-6)


def test_sigmoid_focal_does_not_look_at_the_background_column() -> None:
    logits, labels = drawn()
    other = logits.clone()
    other[:, -1] = 50.0
    assert sigmoid_focal_loss(other, labels, 0.25, 2.0) == sigmoid_focal_loss(logits, labels, 0.25, 2.0)


def test_initial_bias_gives_the_prior() -> None:
    assert 1 / (1 + math.exp(-initial_bias(HEAD))) == pytest.approx(0.01, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in loss_names() if name != STOCK_LOSS])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_every_loss_is_finite_with_finite_slopes(name: str, gamma: float) -> None:
    module = importlib.import_module(f"agropest.modeling.losses.{name}")
    assert module.SCORES in ("softmax", "sigmoid")
    head = SimpleNamespace(**{**vars(HEAD), "FOCAL_GAMMA": gamma})
    for scale in (1.0, 1000.0):  # 1000: probabilities are 0 and 1 to the last bit
        logits, labels = drawn(scale=scale)
        single = logits.float().requires_grad_()
        loss = module.loss(single, labels, head)
        loss.backward()
        assert loss.isfinite() and single.grad.isfinite().all()
        assert single.grad.abs().sum() > 0
    nothing = torch.zeros(0, 13, requires_grad=True)
    assert module.loss(nothing, torch.zeros(0, dtype=torch.int64), head).item() == 0.0


def test_weighted_cross_entropy_by_hand_and_against_torch() -> None:
    equal = torch.zeros(2, 3, dtype=torch.float64)  # of two classes and background: ln 3 each, whatever the weights
    both = weighted_cross_entropy(equal, torch.tensor([0, 1]), [5.0, 1.0])
    assert both.item() == pytest.approx(1.0986123, abs=1e-7)
    logits, labels = drawn()
    weights = [0.5 + 0.25 * number for number in range(12)]
    for given in (weights, [*weights, 0.1]):
        table = torch.tensor([*weights, 1.0] if len(given) == 12 else given, dtype=torch.float64)
        theirs = torch.nn.functional.cross_entropy(logits, labels, weight=table)
        assert weighted_cross_entropy(logits, labels, given).item() == pytest.approx(theirs.item(), abs=1e-12)
    stock = torch.nn.functional.cross_entropy(logits, labels).item()
    assert weighted_cross_entropy(logits, labels, [1.0] * 12).item() == pytest.approx(stock, abs=1e-12)


def test_weighted_cross_entropy_of_nothing_is_nothing() -> None:
    none = weighted_cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), [1.0, 1.0])
    unweighted = weighted_cross_entropy(torch.zeros(1, 3), torch.tensor([0]), [0.0, 1.0])
    assert (none.item(), unweighted.item()) == (0.0, 0.0)
