"""Losses, gradients, weights and momenta of the lean modules are Detectron2's, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from agropest.errors import TrialError
from agropest.modeling.lean import images, normalisation
from agropest.modeling.lean.heads import cascade, predictor, retinanet, roi_heads, roi_pooling, rpn
from agropest.modeling.lean.optimizer import LeanSGD
from tests.modeling.lean.conftest import CASCADE, FROZEN, RETINANET, Pair, draw_batch, file_cfg, small_cfg

CLIPPED = ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norm")
C4 = (
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.RESNETS.OUT_FEATURES", ["res4"]),
    *(
        "MODEL.ROI_HEADS.NAME",
        "Res5ROIHeads",
        "MODEL.ROI_HEADS.IN_FEATURES",
        ["res4"],
        "MODEL.RPN.IN_FEATURES",
        ["res4"],
    ),
    *("MODEL.ANCHOR_GENERATOR.SIZES", [[8, 16, 32]], "MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.RES2_OUT_CHANNELS", 32),
    *("MODEL.RESNETS.WIDTH_PER_GROUP", 8, "MODEL.RESNETS.STEM_OUT_CHANNELS", 32, *FROZEN),
)
SMALL_ONES: dict[str, tuple[Any, ...]] = {
    "group normalisation, gradients clipped": CLIPPED,
    "frozen normalisation": FROZEN,
    "cascade": CASCADE,
    "retinanet": RETINANET,
    "softmax focal loss": ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "softmax_focal"),
    "cascade, sigmoid focal loss": (*CASCADE, "MODEL.ROI_BOX_HEAD.CLS_LOSS", "sigmoid_focal"),
    "c4": C4,
    "giou": ("MODEL.RPN.BBOX_REG_LOSS_TYPE", "giou", "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou"),
    "smooth l1": ("MODEL.RPN.SMOOTH_L1_BETA", 0.1, "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 0.5),
    "many proposals": ("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 2000, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 600),
}
OTHER_SIZES = ((64, 64), (48, 80))


@pytest.mark.parametrize("name", SMALL_ONES)
def test_every_kind_of_detector_trains_as_stock(name: str) -> None:
    pair = Pair(small_cfg(*SMALL_ONES[name]))
    for number, sizes in enumerate([((64, 64), (64, 64)), OTHER_SIZES]):
        pair.train(draw_batch(number, sizes))


def test_pictures_without_boxes_and_empty_proposals() -> None:
    pair = Pair(small_cfg("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 9))  # many proposals are smaller
    pair.train(draw_batch(0))
    pair.train([*draw_batch(1, ((64, 64),)), *draw_batch(2, ((64, 64),), most=0)])
    pair.train(draw_batch(3, most=0))
    pair.train(draw_batch(4))


def test_the_lean_modules_are_in_place() -> None:
    """Without this, the tests above would pass with stock on both sides."""
    model = Pair(small_cfg(*FROZEN)).lean.model
    assert type(model) is images.LeanGeneralizedRCNN
    assert type(model.proposal_generator) is rpn.LeanRPN
    assert type(model.roi_heads) is roi_heads.LeanROIHeads
    assert type(model.roi_heads.box_pooler) is roi_pooling.LeanROIPooler
    assert type(model.roi_heads.box_predictor) is predictor.LeanOutputLayers
    assert type(model.backbone.bottom_up.stem.conv1.norm) is normalisation.LeanFrozenBatchNorm2d
    pair = Pair(small_cfg(*CASCADE, *CLIPPED))
    assert type(pair.lean.model.roi_heads) is cascade.LeanCascadeROIHeads
    assert type(pair.lean.optimizer) is LeanSGD
    assert pair.lean.optimizer.clip_norm == 1.0
    assert type(Pair(small_cfg(*RETINANET)).lean.model) is retinanet.LeanRetinaNet


def test_a_checkpoint_of_either_is_gone_on_from_with_the_other() -> None:
    pair = Pair(small_cfg(*FROZEN))
    pair.train(draw_batch(0))
    stock, lean = copy.deepcopy((pair.stock.state(), pair.lean.state()))
    crossed = Pair(small_cfg(*FROZEN))
    crossed.stock.load_state(lean)
    crossed.lean.load_state(stock)
    crossed.stock.iter = crossed.lean.iter = 1
    crossed.train(draw_batch(1))
    pair.train(draw_batch(1))
    assert crossed.lean.model.state_dict().keys() == pair.stock.model.state_dict().keys()
    weights = pair.stock.model.state_dict()
    assert [n for n, value in crossed.lean.model.state_dict().items() if not value.equal(weights[n])] == []


def test_detections_are_equal() -> None:
    for overrides in ((), CASCADE, RETINANET):
        pair = Pair(small_cfg(*overrides, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0))
        found = []
        for trainer in (pair.stock, pair.lean):
            with torch.inference_mode():
                found.append(trainer.model.eval()(draw_batch(0))[0]["instances"])
        assert len(found[0]) == len(found[1])
        assert found[0].pred_boxes.tensor.equal(found[1].pred_boxes.tensor)
        assert found[0].scores.equal(found[1].scores)


@pytest.mark.parametrize("overrides", [(), CASCADE])
def test_a_training_that_diverges_is_told(overrides: tuple[Any, ...]) -> None:
    trainer = Pair(small_cfg(*overrides)).lean
    trainer.model.proposal_generator.rpn_head.anchor_deltas.bias.data.fill_(float("inf"))
    trainer.batches = iter([draw_batch(0)])
    with pytest.raises(TrialError, match=r"iteration 1: expected finite losses.*Inf/NaN"):
        trainer.run_step()


SIXTY_FOUR = ("INPUT.MIN_SIZE_TRAIN", [64], "SOLVER.IMS_PER_BATCH", 2, "SOLVER.BASE_LR", 1e-4)
FEW = ("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 32, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 200)
WHOLE: dict[str, tuple[Any, ...]] = {
    "R50-FPN": ("agropest_r50_fpn.yaml", *SIXTY_FOUR, *FEW),
    "demo": ("demo.yaml",),
    "Cascade": ("agropest_r50_fpn.yaml", *SIXTY_FOUR, *FEW, *CASCADE),
    "RetinaNet": ("agropest_r50_fpn.yaml", *SIXTY_FOUR, *RETINANET),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_fifty_iterations_of_the_projects_detectors(name: str) -> None:
    path, *overrides = WHOLE[name]
    pair = Pair(file_cfg(path, *overrides))
    for number in range(50):
        pair.train(draw_batch(number, OTHER_SIZES if number % 5 == 0 else ((64, 64), (64, 64))))
