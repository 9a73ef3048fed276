"""Anchor coverage of a data set under a config: by class and by size, over all training scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from agropest.data.anchors.config import AnchorConfig
from agropest.data.anchors.fit import THRESHOLDS, AnchorCoverage, AnchorGrid, anchor_coverage, fit_anchors
from agropest.data.inspection.statistics import MEDIUM_BELOW, SMALL_BELOW, Boxes, resize_factors

REFINED_BOXES = 800
REFINING_STEPS = (1.25, 1.1)
REFINING_THRESHOLDS = (0.4, 0.5, 0.5, 0.6, 0.7)  # a box that no anchor meets weighs more than one met well


@dataclass(frozen=True)
class CoverageRow:
    """Some of the boxes.

    Attributes:
        group: a class name, "small", "medium", "large" (COCO's limits, in pixels of the stored image) or "all".
        boxes: number of them, each counted once.
        share_50: share whose best anchor reaches IoU 0.5, over all training scales; None without boxes.
        share_70: likewise 0.7.
        mean_iou: of the best anchors.
    """

    group: str
    boxes: int
    share_50: float | None
    share_70: float | None
    mean_iou: float | None


@dataclass(frozen=True)
class DatasetCoverage:
    """Coverage of a split.

    Attributes:
        best_iou: shape (scales, boxes).
    """

    best_iou: np.ndarray
    by_class: tuple[CoverageRow, ...]
    by_size: tuple[CoverageRow, ...]
    total: CoverageRow

    @property
    def rows(self) -> tuple[CoverageRow, ...]:
        """Every row, the total last."""
        return (*self.by_class, *self.by_size, self.total)


def input_scale_wh(boxes: Boxes, config: AnchorConfig) -> np.ndarray:
    """Returns widths and heights as the network sees them, shape (scales, boxes, 2)."""
    return np.stack([boxes.wh * resize_factors(boxes.image_wh, s, config.max_size) for s in config.short_sides])


def dataset_coverage(
    boxes: Boxes, class_names: tuple[str, ...], config: AnchorConfig, grid: AnchorGrid | None = None
) -> DatasetCoverage:
    """Returns how well anchors meet the boxes where they lie on the anchor grid, at each training scale.

    Args:
        boxes: of a split.
        class_names: by class index.
        config: whose training scales, and whose anchors, are used.
        grid: other anchors than the config's.
    """
    at_scales = [_at_scale(boxes, side, config.max_size, grid or config.grid) for side in config.short_sides]
    best = np.stack([coverage.best_iou for coverage in at_scales])
    area = boxes.wh.prod(axis=1)
    sizes = {
        "small": area < SMALL_BELOW,
        "medium": (area >= SMALL_BELOW) & (area < MEDIUM_BELOW),
        "large": area >= MEDIUM_BELOW,
    }
    by_class = tuple(_row(name, best, boxes.class_index == i) for i, name in enumerate(class_names))
    by_size = tuple(_row(name, best, among) for name, among in sizes.items())
    return DatasetCoverage(best, by_class, by_size, _row("all", best, np.ones(len(area), bool)))


def _at_scale(boxes: Boxes, short_side: int, max_size: int, grid: AnchorGrid) -> AnchorCoverage:
    factors = resize_factors(boxes.image_wh, short_side, max_size)
    centres = (boxes.xy + boxes.wh / 2) * factors
    image_wh = boxes.image_wh * factors
    return anchor_coverage(boxes.wh * factors, grid.sizes, grid.ratios, grid.strides, centres, image_wh, grid.offset)


def _row(group: str, best: np.ndarray, among: np.ndarray) -> CoverageRow:
    chosen = best[:, among]
    if not chosen.size:
        return CoverageRow(group, 0, None, None, None)
    share_50, share_70 = (float((chosen >= threshold).mean()) for threshold in THRESHOLDS)
    return CoverageRow(group, int(among.sum()), share_50, share_70, float(chosen.mean()))


def fitted_grid(boxes: Boxes, config: AnchorConfig, seed: int = 0) -> AnchorGrid:
    """Returns anchors fitted to the boxes at all training scales, as many as the config has at each position.

    1. K-means with the distance 1 - IoU (:func:`agropest.data.anchors.fit.fit_anchors`) of boxes laid on their anchors.
    2. Each size and ratio is moved by some percent while that raises the coverage on the anchor grid: a coarse level's
       anchors lie up to half a stride beside a box, which k-means does not know of.
    """
    wh = input_scale_wh(boxes, config).reshape(-1, 2)
    num_levels = len(config.grid.strides)
    per_level, num_ratios = len(config.grid.sizes[0]), len(config.grid.ratios[0])
    sizes, ratios = fit_anchors(wh, num_levels, per_level, num_ratios, seed)
    start = AnchorGrid(sizes, ratios * num_levels, config.grid.strides, config.grid.offset)
    chosen = np.random.default_rng(seed).permutation(len(boxes.wh))[:REFINED_BOXES]
    return _refined(start, boxes.at(chosen), config)


def _refined(grid: AnchorGrid, boxes: Boxes, config: AnchorConfig) -> AnchorGrid:
    best, best_score = grid, _score(grid, boxes, config)
    for step in REFINING_STEPS:
        moved = True
        while moved:
            moved = False
            for trial in list(_neighbours(best, step)):
                score = _score(trial, boxes, config)
                if score > best_score + 1e-4:
                    best, best_score, moved = trial, score, True
                    break
    return best


def _neighbours(grid: AnchorGrid, step: float) -> Iterator[AnchorGrid]:
    """Yields grids of which one size, or one ratio on all levels, is larger or smaller by the factor ``step``."""
    for factor in (step, 1 / step):
        for level, sizes in enumerate(grid.sizes):
            for i in range(len(sizes)):
                row = tuple(round(s * factor, 1) if j == i else s for j, s in enumerate(sizes))
                moved = (*grid.sizes[:level], row, *grid.sizes[level + 1 :])
                flat = [size for own in moved for size in own]
                if flat == sorted(flat):  # finer levels keep the smaller anchors
                    yield replace(grid, sizes=moved)
        for i in range(len(grid.ratios[0])):
            row = tuple(sorted(round(r * factor, 2) if j == i else r for j, r in enumerate(grid.ratios[0])))
            yield replace(grid, ratios=(row,) * len(grid.ratios))


def _score(grid: AnchorGrid, boxes: Boxes, config: AnchorConfig) -> float:
    """Returns the share of boxes that reach an IoU, averaged over REFINING_THRESHOLDS and the extreme scales."""
    sides = sorted({min(config.short_sides), max(config.short_sides)})
    iou = np.concatenate([_at_scale(boxes, side, config.max_size, grid).best_iou for side in sides])
    return float(np.mean([(iou >= threshold).mean() for threshold in REFINING_THRESHOLDS]))


def anchor_snippet(grid: AnchorGrid) -> str:
    """Returns a grid as YAML: Detectron2's keys as a sweep file's overrides have them."""
    ratios = grid.ratios[:1] if len(set(grid.ratios)) == 1 else grid.ratios
    return (
        f"MODEL.ANCHOR_GENERATOR.SIZES: {[list(row) for row in grid.sizes]}\n"
        f"MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS: {[list(row) for row in ratios]}\n"
    )
