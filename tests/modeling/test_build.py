"""The built models: the stock one unchanged, each loss in its place, and errors that name their key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from agropest.errors import TrialError
from agropest.modeling.box_predictor import LossOutputLayers
from agropest.modeling.build import build, count_parameters
from agropest.modeling.config import loss_names
from agropest.modeling.losses.softmax_focal import softmax_focal_loss

# torch.meshgrid without `indexing`, in Detectron2 0.6
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")
MakeCfg = Callable[..., Any]
CASCADE = ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True)


def built(cfg: Any, make: Callable[[Any], torch.nn.Module] = build) -> torch.nn.Module:
    torch.manual_seed(0)
    return make(cfg).train()


def losses_of(model: torch.nn.Module, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)  # Detectron2 samples anchors and proposals
    with EventStorage():
        return dict(model(batch))


@pytest.mark.parametrize("heads", [(), ("MODEL.ROI_HEADS.NAME", "LossROIHeads")])
def test_cross_entropy_is_the_stock_model(
    make_cfg: MakeCfg, batch: list[dict[str, Any]], heads: tuple[Any, ...]
) -> None:
    stock, ours = built(make_cfg(), build_model), built(make_cfg(*heads))
    assert type(ours.roi_heads.box_predictor) is FastRCNNOutputLayers
    expected = losses_of(stock, batch)
    assert losses_of(ours, batch) == expected  # bit for bit
    assert set(expected) == {"loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc"}


@pytest.mark.parametrize("heads", [(), CASCADE])
@pytest.mark.parametrize("loss", loss_names())
def test_every_loss_trains_from_the_same_weights(
    make_cfg: MakeCfg, batch: list[dict[str, Any]], loss: str, heads: tuple[Any, ...]
) -> None:
    stock = built(make_cfg(*heads))
    model = built(make_cfg(*heads, "MODEL.ROI_BOX_HEAD.CLS_LOSS", loss))
    biases = {name for name in model.state_dict() if name.endswith("cls_score.bias")}
    same = {name for name, value in stock.state_dict().items() if value.equal(model.state_dict()[name])}
    assert set(stock.state_dict()) - same == (biases if loss == "sigmoid_focal" else set())
    losses = losses_of(model, batch)
    assert all(value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    predictors = model.roi_heads.box_predictor
    for predictor in [predictors] if isinstance(predictors, FastRCNNOutputLayers) else predictors:
        assert predictor.cls_score.weight.grad.abs().sum() > 0
        assert isinstance(predictor, LossOutputLayers) == (loss != "cross_entropy")


def proposals_with_labels(labels: list[int]) -> list[Instances]:
    instances = Instances((64, 64))
    instances.proposal_boxes = Boxes(torch.tensor([[4.0, 4.0, 20.0, 20.0]] * len(labels)))
    instances.gt_boxes = Boxes(torch.tensor([[5.0, 4.0, 22.0, 21.0]] * len(labels)))
    instances.gt_classes = torch.tensor(labels)
    return [instances]


def test_only_the_classification_loss_is_exchanged(make_cfg: MakeCfg) -> None:
    stock = built(make_cfg()).roi_heads.box_predictor
    focal = built(make_cfg("MODEL.ROI_BOX_HEAD.CLS_LOSS", "softmax_focal")).roi_heads.box_predictor
    predictions = stock(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)))
    proposals = proposals_with_labels([0, 1, 3, 3])
    with EventStorage():
        theirs, ours = stock.losses(predictions, proposals), focal.losses(predictions, proposals)
    assert ours["loss_box_reg"].equal(theirs["loss_box_reg"])
    assert ours["loss_cls"].equal(softmax_focal_loss(predictions[0], torch.tensor([0, 1, 3, 3]), 0.25, 2.0))
    assert not ours["loss_cls"].equal(theirs["loss_cls"])


def test_sigmoid_scores_are_each_class_alone(make_cfg: MakeCfg) -> None:
    predictor = built(make_cfg("MODEL.ROI_BOX_HEAD.CLS_LOSS", "sigmoid_focal")).roi_heads.box_predictor.eval()
    logits = torch.tensor([[2.0, 1.0, -4.0, 9.0], [-4.0, -4.0, -4.0, -9.0]])
    proposals = proposals_with_labels([0, 0])
    (scores,) = predictor.predict_probs((logits, torch.zeros(2, 12)), proposals)
    expected = [[0.8807971, 0.7310586, 0.0179862, 0.0], [0.0179862] * 3 + [0.0]]  # 1 / (1 + e^-x)
    assert torch.allclose(scores, torch.tensor(expected), atol=1e-6)
    (found,), _ = predictor.inference((logits, torch.zeros(2, 12)), proposals)
    # The first box is kept for two classes, whatever the background logit says; the second is under 0.05.
    assert found.pred_classes.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.8807971, 0.7310586], abs=1e-6)


def test_softmax_focal_scores_are_the_stock_scores(make_cfg: MakeCfg) -> None:
    stock = built(make_cfg()).roi_heads.box_predictor
    focal = built(make_cfg("MODEL.ROI_BOX_HEAD.CLS_LOSS", "softmax_focal")).roi_heads.box_predictor
    predictions = (torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(5, 12))
    proposals = proposals_with_labels([0] * 5)
    assert focal.predict_probs(predictions, proposals)[0].equal(stock.predict_probs(predictions, proposals)[0])


def test_inference_of_every_loss(make_cfg: MakeCfg, batch: list[dict[str, Any]]) -> None:
    for loss in loss_names():
        for heads in ((), CASCADE):
            threshold = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
            model = built(make_cfg(*heads, *threshold, "MODEL.ROI_BOX_HEAD.CLS_LOSS", loss)).eval()
            with torch.no_grad():
                found = model(batch)[0]["instances"]
            assert len(found) > 0
            assert found.scores.isfinite().all()
            if loss == "sigmoid_focal":
                assert float(found.scores.max()) < 0.03  # every class starts near the prior of 0.01


def test_a_giou_box_loss_is_detectron2s_own(make_cfg: MakeCfg, batch: list[dict[str, Any]]) -> None:
    giou = ("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou", "MODEL.RPN.BBOX_REG_LOSS_TYPE", "giou")
    model = built(make_cfg(*giou, "MODEL.ROI_BOX_HEAD.CLS_LOSS", "softmax_focal"))
    assert model.roi_heads.box_predictor.box_reg_loss_type == "giou"
    assert all(value.isfinite() for value in losses_of(model, batch).values())


def test_channels_last_changes_the_layout_alone(make_cfg: MakeCfg, batch: list[dict[str, Any]]) -> None:
    plain, last = built(make_cfg()), built(make_cfg("MODEL.CHANNELS_LAST", True))
    weight = last.backbone.bottom_up.res2[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not plain.backbone.bottom_up.res2[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    images = [plain.preprocess_image(batch).tensor, last.preprocess_image(batch).tensor]
    for name, value in plain.backbone(images[0]).items():
        assert torch.allclose(value, last.backbone(images[1])[name], atol=1e-4), name


def test_count_parameters() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    assert count_parameters(model) == (26, 10)  # 3 * 4 + 4 = 16 frozen, 4 * 2 + 2 = 10 trained


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (("MODEL.BACKBONE.NAME", "build_resnet_fnp_backbone"), ["build_resnet_fnp_backbone", "BACKBONE"]),
        (("MODEL.ROI_HEADS.NAME", "NoHeads"), ["NoHeads", "ROI_HEADS"]),
        (
            ("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "MODEL.ROI_BOX_HEAD.CLS_LOSS", "softmax_focal"),
            ["MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "softmax_focal"],
        ),
    ],
)
def test_a_wrong_name_is_an_error_that_names_it(
    make_cfg: MakeCfg, overrides: tuple[Any, ...], names: list[str]
) -> None:
    with pytest.raises(TrialError) as caught:
        build(make_cfg(*overrides))
    for name in names:
        assert name in str(caught.value)
