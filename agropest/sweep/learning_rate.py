"""What is still to come of a learning-rate schedule, and what else decides how a learning curve rises."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

# What shapes a learning curve: with another value of these, a variant may well be behind before the learning rate
# decays and ahead after it. (Anchors, losses and samplers change where a curve ends more than its shape.)
CURVE_PREFIXES = (
    "COMMAND.",
    "SOLVER.",
    "INPUT.",
    "MODEL.BACKBONE.",
    "MODEL.RESNETS.",
    "MODEL.TIMM.",
    "MODEL.FPN.",
    "MODEL.WEIGHTS",
)
ANCHOR_KEYS = ("MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS")
START_PREFIXES = (
    "COMMAND.",
    "MODEL.META_ARCHITECTURE",
    "MODEL.RETINANET.",
    "MODEL.ROI_BOX_HEAD.",
    "MODEL.ROI_BOX_CASCADE_HEAD.",
    "MODEL.ROI_HEADS.NAME",
    "MODEL.WEIGHTS",
)
NOT_CURVE = ("INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST", "SOLVER.CHECKPOINT_PERIOD")


def decay_to_come(config: Mapping[str, Any], iteration: int) -> float:
    """Returns the share of the learning rate's decay that is still ahead after ``iteration`` iterations, in [0, 1].

    1 before the first step of a step schedule (gamma 0.1: then 0.09, then 0); falling along a cosine; for a schedule
    without decay, and any other, the share of the iterations that is left.
    """
    end = int(config["SOLVER.MAX_ITER"])
    name = config["SOLVER.LR_SCHEDULER_NAME"]
    left = max(0.0, 1.0 - iteration / end)
    if name == "WarmupCosineLR":
        return 0.5 * (1.0 + math.cos(math.pi * (1.0 - left)))
    steps = [step for step in config["SOLVER.STEPS"] if step < end]
    gamma = float(config["SOLVER.GAMMA"])
    if name != "WarmupMultiStepLR" or not steps or not 0 <= gamma < 1:
        return left
    last = gamma ** len(steps)
    now = gamma ** sum(step < iteration for step in steps)  # a step takes effect in the iteration after it
    return float((now - last) / (1.0 - last))


def start_key(config: Mapping[str, Any]) -> str:
    """Returns what decides how far behind a trial begins, as text to compare.

    Another number of anchors in a cell, or another head, does not fit COCO's weights and starts from random ones;
    another loss starts from other gradients.
    """
    per_cell = {key: [len(level) for level in config[key]] for key in ANCHOR_KEYS}
    chosen = {key: value for key, value in config.items() if key.startswith(START_PREFIXES) and "THRESH" not in key}
    return json.dumps(per_cell | chosen, sort_keys=True)


def curve_key(config: Mapping[str, Any]) -> str:
    """Returns what the shape of the learning curve depends on, as text to compare."""
    chosen = {k: v for k, v in config.items() if k.startswith(CURVE_PREFIXES) and not k.startswith(NOT_CURVE)}
    return json.dumps(chosen, sort_keys=True)
