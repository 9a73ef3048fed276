"""How often each image counts, and what follows from that for every detector alike.

Shapes: I images, K classes, R weightings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.detections.matching import ALL, AREA_RANGES, Targets

Array = npt.NDArray[Any]

_AREAS = list(AREA_RANGES)


class ImageWeights:
    """Weightings of the images of one split, each a set of images in which some stand several times.

    Args:
        targets: of the split.
        weights: [R, I], whole numbers from 0, of any type.

    Attributes:
        rows: the weights, [R, I].
        copies: the largest weight.
    """

    def __init__(self, targets: Targets, weights: Array) -> None:
        self.targets = targets
        self.rows: Array = np.ascontiguousarray(weights)
        self.copies = int(weights.max(initial=0))
        self._positives: dict[str, Array] = {}

    def positives(self, area: str = ALL) -> Array:
        """Returns the number of annotations that count in an area range, [K, R]."""
        if area not in self._positives:
            per_image = self.targets.positives[_AREAS.index(area)]
            every = np.arange(self.rows.shape[1])
            sums = [self.rows.take(np.repeat(every, row), axis=1).sum(axis=1, dtype=np.int64) for row in per_image]
            self._positives[area] = np.array(sums, dtype=np.int64).reshape(len(per_image), len(self.rows))
        return self._positives[area]
