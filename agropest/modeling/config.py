"""The config keys that Detectron2 lacks, registered the Detectron2 way. No torch, no Detectron2.

Every default leaves stock Detectron2 as it is, and where Detectron2 has a key, that key is the one. ``CHOICES`` and
``RANGES`` let the sweep room refuse a wrong value before anything starts. ``docs/variants.md`` lists them all.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STOCK_LOSS = "cross_entropy"
# Dense detectors, by META_ARCHITECTURE: both have RetinaNet's keys; FCOS has no anchors.
RETINANET, FCOS = "RetinaNet", "FCOS"
SGD, ADAMW = "SGD", "AdamW"

SAMPLERS = (
    "TrainingSampler",  # Detectron2's names
    "RepeatFactorTrainingSampler",
    "InstanceAwareRepeatFactorSampler",  # Yaman et al. 2023
    "ClassBalancedSampler",
)


def loss_names() -> tuple[str, ...]:
    """Returns the classification losses: Detectron2's, and one for each file of ``agropest/modeling/losses``."""
    folder = Path(__file__).with_name("losses")
    return (STOCK_LOSS, *sorted(module.name for module in pkgutil.iter_modules([str(folder)])))


BOX_LOSSES = ("smooth_l1", "giou", "diou", "ciou")

CHOICES: dict[str, tuple[Any, ...]] = {
    "MODEL.ROI_BOX_HEAD.CLS_LOSS": loss_names(),
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": BOX_LOSSES,
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": BOX_LOSSES,
    "DATALOADER.SAMPLER_TRAIN": SAMPLERS,
    "INPUT.FORMAT": ("BGR", "RGB", "L", "YUV-BT.601"),
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": ("choice", "range"),
    "INPUT.RANDOM_FLIP": ("horizontal", "vertical", "none"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("value", "norm"),
    "SOLVER.OPTIMIZER": (SGD, ADAMW),
    "INPUT.CROP.TYPE": ("relative", "relative_range", "absolute", "absolute_range"),
}

# Keys that came after the first stored results: while they have these values, a trial is the one that it was before.
ADDED_LATER: dict[str, Any] = {
    "MODEL.ROI_BOX_HEAD.CLASS_WEIGHTS": [],
    "MODEL.FCOS.CENTER_SAMPLING_RADIUS": 1.5,
    "SOLVER.OPTIMIZER": SGD,
    "SOLVER.ADAMW_BETAS": [0.9, 0.999],
    "SOLVER.ACCUMULATION_STEPS": 1,
    "TEST.PATIENCE": 0,
    "TEST.AMP.ENABLED": False,
}

# Lowest and highest value, both allowed.
RANGES: dict[str, tuple[float, float]] = {
    "MODEL.ROI_BOX_HEAD.FOCAL_ALPHA": (0.0, 1.0),
    "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA": (0.0, 10.0),
    "MODEL.ROI_BOX_HEAD.PRIOR_PROB": (1e-6, 0.5),
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": (0.0, 1.0),
    "MODEL.ANCHOR_GENERATOR.FITTED": (0, 9),
    "MODEL.FCOS.CENTER_SAMPLING_RADIUS": (0.0, 16.0),
    "TEST.DEPLOYED_SCORE_THRESH": (0.0, 1.0),
    "TEST.PATIENCE": (0, 10_000),
    "DATALOADER.REPEAT_THRESHOLD": (0.0, 1.0),
    "SOLVER.IMS_PER_BATCH": (1, 4096),
    "SOLVER.EMA.DECAY": (0.0, 0.999999),
    "SOLVER.ACCUMULATION_STEPS": (1, 4096),
    "INPUT.PHOTOMETRIC.BRIGHTNESS": (0.0, 0.9),
    "INPUT.PHOTOMETRIC.CONTRAST": (0.0, 0.9),
    "INPUT.PHOTOMETRIC.SATURATION": (0.0, 1.0),
    "INPUT.ROTATION_DEGREES": (0.0, 180.0),
    "INPUT.COPY_PASTE.PROB": (0.0, 1.0),
    "INPUT.COPY_PASTE.MAX_OBJECTS": (1, 20),
}


def identifying(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a flat config without those of ``ADDED_LATER`` that have the value that they always had."""
    return {key: value for key, value in config.items() if key not in ADDED_LATER or value != ADDED_LATER[key]}


def add_agropest_config(cfg: Any) -> None:
    """Adds our keys with their defaults to a Detectron2 config.

    Args:
        cfg: a ``CfgNode``, Detectron2's or fvcore's; is changed.
    """
    node = type(cfg)
    _add_model_keys(cfg.MODEL, node)
    _add_input_keys(cfg.INPUT, node)

    cfg.SOLVER.OPTIMIZER = SGD
    cfg.SOLVER.ADAMW_BETAS = [0.9, 0.999]
    # Parts of IMS_PER_BATCH that follow one another, for a card too small for the whole; one step comes after the last.
    cfg.SOLVER.ACCUMULATION_STEPS = 1

    cfg.SOLVER.EMA = node()
    cfg.SOLVER.EMA.ENABLED = False  # evaluate an exponential moving average of the weights
    cfg.SOLVER.EMA.DECAY = 0.999  # share of the average that stays at each iteration

    # AP at this threshold is reported beside AP, from the same boxes.
    cfg.TEST.DEPLOYED_SCORE_THRESH = 0.5
    # The training ends once its validation AP has not risen for so many evaluations; 0: at SOLVER.MAX_ITER.
    cfg.TEST.PATIENCE = 0
    # Evaluate in mixed precision, whatever the training has: other boxes, and faster on a card.
    cfg.TEST.AMP = node()
    cfg.TEST.AMP.ENABLED = False


def _add_model_keys(model: Any, node: Any) -> None:
    # Classification loss of the box head; softmax_focal is the study's, sigmoid_focal that of Lin et al. 2017.
    model.ROI_BOX_HEAD.CLS_LOSS = STOCK_LOSS
    model.ROI_BOX_HEAD.FOCAL_ALPHA = 0.25  # weight of foreground classes; background has 1 - alpha
    model.ROI_BOX_HEAD.FOCAL_GAMMA = 2.0  # 0: no focusing
    model.ROI_BOX_HEAD.PRIOR_PROB = (
        0.01  # of sigmoid_focal: every class starts at this probability (bias initialisation)
    )

    # Of weighted_cross_entropy: a weight for each class, in the data's order; one more is the background's (else 1).
    model.ROI_BOX_HEAD.CLASS_WEIGHTS = []

    # MODEL.BACKBONE.NAME "build_timm_fpn_backbone": any four-stage features_only model of timm under Detectron2's FPN.
    # Which stages continue is MODEL.FPN.IN_FEATURES (empty: res2 to res5), how many are frozen
    # MODEL.BACKBONE.FREEZE_AT.
    model.TIMM = node()
    model.TIMM.NAME = "swin_tiny_patch4_window7_224"
    model.TIMM.WEIGHTS = ""  # a local .pth, .bin or .safetensors file, or timm://<tag>; empty: random

    # Of META_ARCHITECTURE "FCOS": a location within so many strides of a box's centre is positive; 0: any in the box.
    model.FCOS = node()
    model.FCOS.CENTER_SAMPLING_RADIUS = 1.5

    # Sizes for each FPN level that are fitted to the training boxes, with aspect ratios; 0: SIZES and ASPECT_RATIOS as
    # they are given. Resolved when the trials are planned: a trial's config holds the fitted numbers.
    model.ANCHOR_GENERATOR.FITTED = 0

    model.CHANNELS_LAST = False  # memory layout of the convolutions; equal up to rounding, often faster on a GPU


def _add_input_keys(inputs: Any, node: Any) -> None:
    # Each x: a factor from [1 - x, 1 + x] for every training image; 0: off.
    inputs.PHOTOMETRIC = node()
    inputs.PHOTOMETRIC.BRIGHTNESS = 0.0
    inputs.PHOTOMETRIC.CONTRAST = 0.0
    inputs.PHOTOMETRIC.SATURATION = 0.0

    inputs.ROTATION_DEGREES = 0.0  # an angle from [-x, x]; a box becomes the hull of its turned corners; 0: off

    # Rectangles around boxes of other training images, pasted with a soft border. Boxes, not masks.
    inputs.COPY_PASTE = node()
    inputs.COPY_PASTE.PROB = 0.0  # share of training images that get some; 0: off
    inputs.COPY_PASTE.MAX_OBJECTS = 2  # one to this many in such an image
    inputs.COPY_PASTE.CLASSES = []  # class indices from 0; empty: the half of the classes with the fewest boxes
