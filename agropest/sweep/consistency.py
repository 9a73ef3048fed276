"""Settings of a trial that contradict one another."""

from __future__ import annotations

import math
from collections.abc import Callable

from agropest.errors import fault
from agropest.sweep.detectron2_keys import FlatConfig

CLASS_WEIGHTS, CLASS_LOSS = "MODEL.ROI_BOX_HEAD.CLASS_WEIGHTS", "MODEL.ROI_BOX_HEAD.CLS_LOSS"
WEIGHTED_LOSS = "weighted_cross_entropy"
BATCH, PARTS, BETAS = "SOLVER.IMS_PER_BATCH", "SOLVER.ACCUMULATION_STEPS", "SOLVER.ADAMW_BETAS"


def refuse_inconsistent(config: FlatConfig, processes: int, where: str, faults: list[str]) -> None:
    """Adds a fault for every setting that the others leave no room for.

    Args:
        config: effective.
        processes: that train a trial together.
        where: names the variant.
        faults: is extended.
    """

    def refuse(key: str, rule: str, fix: str) -> None:
        faults.append(fault(f"{where}: {key}", rule, config[key], fix))

    images, parts = config[BATCH] // processes, config[PARTS]
    if parts > 1 and images % parts:
        rule = f"expected a divisor of {BATCH}" + (f" / {processes} processes ({images})" if processes > 1 else "")
        refuse(PARTS, rule, f"{BATCH} is {config[BATCH]}, the batch of one step")
    if len(config[BETAS]) != 2 or not all(0 <= beta < 1 for beta in config[BETAS]):
        refuse(BETAS, "expected two numbers from 0 to below 1", "write e.g. [0.9, 0.999]")
    _check_class_weights(config, refuse)


def _check_class_weights(config: FlatConfig, refuse: Callable[[str, str, str], None]) -> None:
    weights, num_classes = config[CLASS_WEIGHTS], config["MODEL.ROI_HEADS.NUM_CLASSES"]
    if config[CLASS_LOSS] == WEIGHTED_LOSS and not weights:
        refuse(CLASS_WEIGHTS, f"expected weights beside {CLASS_LOSS} {WEIGHTED_LOSS}", f"give {num_classes} numbers")
    elif weights and len(weights) not in (num_classes, num_classes + 1):
        rule = f"expected {num_classes} weights, one for each class, or {num_classes + 1} with the background's"
        refuse(CLASS_WEIGHTS, rule, "give them in the order of the data's classes")
    elif weights and not all(_is_weight(weight) for weight in weights):
        refuse(CLASS_WEIGHTS, "expected numbers from 0 up", "1 leaves a class as it is")
    elif weights and not any(weights):
        refuse(CLASS_WEIGHTS, "expected a weight above 0", "with none, nothing would be learnt")


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
