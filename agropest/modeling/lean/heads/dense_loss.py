"""The box regression loss of anchors: only what is trained on is encoded."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

from fvcore.nn import smooth_l1_loss
from torch import Tensor

from agropest.modeling.lean.geometry.anchors import Grid
from agropest.modeling.lean.geometry.boxes import encode
from agropest.modeling.lean.geometry.matching import Matches, Targets


def dense_box_loss(
    grid: Grid, transform: Any, deltas: Tensor, targets: Targets, matches: Matches, positive: Tensor, beta: float
) -> Tensor:
    """Returns the sum of the smooth L1 loss, as Detectron2's ``_dense_box_regression_loss``.

    Args:
        deltas: predicted, [N, R, 4].
        positive: the columns of the batch that are trained on, in ascending order (that of the sum).
        beta: of the loss; 0: L1.
    """
    wanted = encode(grid.boxes[positive % len(grid.boxes)], targets.boxes[matches.rows[positive]], transform)
    return smooth_l1_loss(deltas.view(-1, 4)[positive], wanted, beta=beta, reduction="sum")
