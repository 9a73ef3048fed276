"""A detector small enough to be built in every test, and a batch for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from agropest import detectron2_ready

detectron2_ready.make_importable()
with warnings.catch_warnings():  # fvcore calls torch.jit.script as it is imported, which torch warns of
    warnings.filterwarnings("ignore", ".*torch.jit.script")
    import detectron2.modeling  # noqa: F401

SMALL = [
    *("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.BACKBONE.FREEZE_AT", 0),
    *("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone", "MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.NORM", "GN"),
    *("MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"]),
    *("MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.FPN.NORM", "GN", "MODEL.FPN.OUT_CHANNELS", 32),
    *("MODEL.ANCHOR_GENERATOR.SIZES", [[8], [16], [24], [32], [48]]),
    *("MODEL.RPN.IN_FEATURES", ["p2", "p3", "p4", "p5", "p6"], "MODEL.ROI_HEADS.IN_FEATURES", ["p2", "p3", "p4", "p5"]),
    *("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 60, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 30, "MODEL.RPN.POST_NMS_TOPK_TEST", 20),
    *("MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_HEADS.NUM_CLASSES", 3),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16, "MODEL.RPN.BATCH_SIZE_PER_IMAGE", 32),
    *("MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead", "MODEL.ROI_BOX_HEAD.NUM_FC", 1, "MODEL.ROI_BOX_HEAD.FC_DIM", 32),
    *("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 3),
]

# Every added key with its default.
ADDED = {
    "MODEL.ANCHOR_GENERATOR.FITTED": 0,
    "MODEL.ROI_BOX_HEAD.CLS_LOSS": "cross_entropy",
    "MODEL.ROI_BOX_HEAD.FOCAL_ALPHA": 0.25,
    "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA": 2.0,
    "MODEL.ROI_BOX_HEAD.PRIOR_PROB": 0.01,
    "MODEL.ROI_BOX_HEAD.CLASS_WEIGHTS": [],
    "MODEL.TIMM.NAME": "swin_tiny_patch4_window7_224",
    "MODEL.TIMM.WEIGHTS": "",
    "MODEL.FCOS.CENTER_SAMPLING_RADIUS": 1.5,
    "MODEL.CHANNELS_LAST": False,
    "INPUT.PHOTOMETRIC.BRIGHTNESS": 0.0,
    "INPUT.PHOTOMETRIC.CONTRAST": 0.0,
    "INPUT.PHOTOMETRIC.SATURATION": 0.0,
    "INPUT.ROTATION_DEGREES": 0.0,
    "INPUT.COPY_PASTE.PROB": 0.0,
    "INPUT.COPY_PASTE.MAX_OBJECTS": 2,
    "INPUT.COPY_PASTE.CLASSES": [],
    "SOLVER.OPTIMIZER": "SGD",
    "SOLVER.ADAMW_BETAS": [0.9, 0.999],
    "SOLVER.ACCUMULATION_STEPS": 1,
    "SOLVER.EMA.ENABLED": False,
    "SOLVER.EMA.DECAY": 0.999,
    "TEST.DEPLOYED_SCORE_THRESH": 0.5,
    "TEST.PATIENCE": 0,
    "TEST.AMP.ENABLED": False,
}


@pytest.fixture
def added() -> dict[str, Any]:
    return dict(ADDED)


@pytest.fixture
def make_cfg() -> Callable[..., Any]:
    """Returns a function from overrides (key, value, ...) to a small config."""

    def make(*overrides: Any) -> Any:
        from detectron2.config import get_cfg

        from agropest.modeling.config import add_agropest_config

        cfg = get_cfg()
        add_agropest_config(cfg)
        cfg.merge_from_list([*SMALL, *overrides])
        cfg.freeze()
        return cfg

    return make


@pytest.fixture
def batch() -> list[dict[str, Any]]:
    """Two images of 64 px with two boxes each."""
    from detectron2.structures import Boxes, Instances

    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(2):
        instances = Instances((64, 64))
        instances.gt_boxes = Boxes(torch.tensor([[4.0, 6.0, 30.0, 28.0], [30.0, 20.0, 60.0, 62.0]]))
        instances.gt_classes = torch.tensor([0, 2])
        image = torch.randint(0, 255, (3, 64, 64), generator=generator, dtype=torch.uint8)
        found.append({"image": image, "instances": instances, "height": 64, "width": 64})
    return found
