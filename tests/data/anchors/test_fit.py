from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from agropest.data.anchors.config import read_anchor_config
from agropest.data.anchors.coverage import anchor_snippet, dataset_coverage, fitted_grid
from agropest.data.anchors.fit import AnchorGrid, anchor_coverage, cell_anchors, fit_anchors, iou_kmeans
from agropest.data.inspection.statistics import Boxes
from agropest.detectron2_ready import make_importable
from agropest.errors import DataError


def test_anchors_of_a_cell() -> None:
    assert cell_anchors([32], [0.5, 1, 2]) == pytest.approx(
        np.array([[45.2548, 22.6274], [32, 32], [22.6274, 45.2548]])
    )


def test_best_anchor_by_hand() -> None:
    wh = np.array([[32, 32], [32, 32], [64, 32], [8, 8]], float)
    centres = np.array([[16, 16], [24, 16], [16, 16], [8, 8]], float)
    coverage = anchor_coverage(wh, [[32]], [[1.0]], [16], centres)
    # 8 px aside: 24*32 / (2*1024 - 24*32) = 0.6; twice as wide: 1024 / 2048; small, between four: 64 / 1024
    assert coverage.best_iou == pytest.approx([1, 0.6, 0.5, 0.0625])
    assert coverage.share(0.5) == 0.75
    assert coverage.share(0.5, np.array([False, True, False, True])) == 0.5
    assert coverage.share(0.5, np.zeros(4, bool)) is None


def test_without_positions_it_is_a_lower_bound() -> None:
    rng = np.random.default_rng(0)
    wh, centres = rng.uniform(10, 200, (200, 2)), rng.uniform(0, 640, (200, 2))
    arguments = ([[32], [64]], [[0.5, 1, 2]], [8, 16])
    assert (anchor_coverage(wh, *arguments).best_iou <= anchor_coverage(wh, *arguments, centres).best_iou + 1e-12).all()


def test_the_grid_ends_with_the_image() -> None:
    wh, centres = np.array([[32.0, 32.0]]), np.array([[63.0, 63.0]])
    inner = anchor_coverage(wh, [[32]], [[1.0]], [32], centres, np.array([[64.0, 64.0]]))
    assert inner.best_iou[0] < anchor_coverage(wh, [[32]], [[1.0]], [32], centres).best_iou[0]


@pytest.mark.filterwarnings("ignore:torch.meshgrid")  # Detectron2's own call
def test_coverage_is_what_detectron2s_anchors_reach() -> None:
    make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
        from detectron2.structures import Boxes as Detectron2Boxes
        from detectron2.structures import pairwise_iou
    sizes, ratios, strides, side = [[24.0, 40.0], [64.0, 100.0]], [[0.5, 1.0], [1.0, 3.0]], [8, 16], 256
    generator = DefaultAnchorGenerator(sizes=sizes, aspect_ratios=ratios, strides=strides, offset=0.5)
    anchors = Detectron2Boxes.cat(list(generator([torch.zeros(1, 1, side // s, side // s) for s in strides])))
    rng = np.random.default_rng(1)
    wh = rng.uniform(8, 150, (80, 2))
    corner = rng.uniform(0, 1, (80, 2)) * (side - wh)
    expected = pairwise_iou(Detectron2Boxes(torch.tensor(np.hstack([corner, corner + wh]))), anchors).max(dim=1).values
    image_wh = np.full((80, 2), float(side))
    found = anchor_coverage(wh, sizes, ratios, strides, corner + wh / 2, image_wh, offset=0.5)
    assert found.best_iou == pytest.approx(expected.numpy(), abs=1e-5)


def test_kmeans_finds_the_clusters() -> None:
    rng = np.random.default_rng(0)
    true = np.array([[20, 20], [40, 120], [200, 100]], float)
    boxes = np.concatenate([centre * rng.uniform(0.95, 1.05, (50, 2)) for centre in true])
    found = iou_kmeans(boxes, 3, np.random.default_rng(1))
    assert found[found[:, 0].argsort()] == pytest.approx(true, rel=0.03)


def test_fitted_anchors_are_repeatable_and_ordered() -> None:
    wh = np.random.default_rng(0).uniform(10, 300, (6000, 2))
    sizes, ratios = fit_anchors(wh, 5, 2, 3, seed=1)
    assert fit_anchors(wh, 5, 2, 3, seed=1) == (sizes, ratios)
    flat = [size for row in sizes for size in row]
    assert [len(row) for row in sizes] == [2] * 5
    assert flat == sorted(flat)
    assert ratios[0] == tuple(sorted(ratios[0]))


def test_one_box_is_enough() -> None:
    sizes, _ = fit_anchors(np.array([[30.0, 30.0]]), 2, 1, 3)
    assert sizes == ((30.0,), (30.0,))


def boxes(wh: list[tuple[float, float]], classes: list[int]) -> Boxes:
    size = np.array(wh, float)
    return Boxes(size, np.full((len(wh), 2), 10.0), np.array(classes), np.full((len(wh), 2), 200.0))


def test_coverage_by_class_and_size(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "MODEL:\n  ANCHOR_GENERATOR:\n    SIZES: [[40]]\n    ASPECT_RATIOS: [[1.0]]\n  RPN:\n    IN_FEATURES: [p2]\n"
        "INPUT:\n  MIN_SIZE_TRAIN: (200, 400)\n  MAX_SIZE_TRAIN: 400\n"
    )
    config = read_anchor_config(path)
    coverage = dataset_coverage(boxes([(40, 40), (20, 20), (100, 100)], [0, 0, 1]), ("A", "B", "C"), config)
    assert coverage.best_iou.shape == (2, 3)
    told = {row.group: (row.boxes, row.share_50) for row in coverage.rows}
    # at 200 px the 40 px box fits, at 400 px the 20 px box does
    assert told == {
        "A": (2, 0.5),
        "B": (1, 0.0),
        "C": (0, None),
        "small": (1, 0.5),
        "medium": (1, 0.5),
        "large": (1, 0.0),
        "all": (3, pytest.approx(1 / 3)),
    }
    fitted = fitted_grid(boxes([(40, 40), (20, 20)], [0, 0]), config)
    assert [len(row) for row in fitted.sizes] == [1]
    parsed = yaml.safe_load(anchor_snippet(fitted))
    assert parsed["MODEL.ANCHOR_GENERATOR.SIZES"] == [list(row) for row in fitted.sizes]
    assert parsed["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"] == [list(fitted.ratios[0])]


def test_a_config_with_its_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "MODEL:\n  RPN:\n    IN_FEATURES: [p2, p3]\n  ANCHOR_GENERATOR:\n    SIZES: [[8], [16]]\n"
        "INPUT:\n  MAX_SIZE_TRAIN: 900\n"
    )
    (tmp_path / "c.yaml").write_text("_BASE_: base.yaml\nMODEL:\n  ANCHOR_GENERATOR:\n    SIZES: [[9], [18]]\n")
    config = read_anchor_config(tmp_path / "c.yaml")
    assert config.grid == AnchorGrid(((9.0,), (18.0,)), ((0.5, 1.0, 2.0),) * 2, (4, 8))
    assert (config.short_sides, config.max_size) == ((800,), 900)


def test_a_range_of_scales(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("INPUT:\n  MIN_SIZE_TRAIN: [400, 800]\n  MIN_SIZE_TRAIN_SAMPLING: range\n")
    assert read_anchor_config(tmp_path / "c.yaml").short_sides == (400, 500, 600, 700, 800)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("MODEL: [", "expected a Detectron2 config in YAML"),
        ("- 1", "expected keys and values"),
        ("_BASE_: c.yaml", "expected no ring of files"),
        ("_BASE_: nowhere.yaml", "nowhere.yaml: expected a Detectron2 config"),
        ("_BASE_: [a]", "_BASE_: expected a file"),
        ("MODEL: {RPN: {IN_FEATURES: [p2, p9]}}", "IN_FEATURES: expected levels of known stride, got ..p9"),
        ("MODEL: {ANCHOR_GENERATOR: {SIZES: [[8], [16]]}}", "SIZES: expected 1 or 1 lists"),
        ("MODEL: {ANCHOR_GENERATOR: {SIZES: [[-8]]}}", "SIZES: expected 1 or 1 lists"),
        ("MODEL: {ANCHOR_GENERATOR: {ASPECT_RATIOS: wide}}", "ASPECT_RATIOS: expected"),
        ("INPUT: {MIN_SIZE_TRAIN: [wide]}", "MIN_SIZE_TRAIN: expected pixels"),
        ("INPUT: {MAX_SIZE_TRAIN: 0}", "MAX_SIZE_TRAIN: expected pixels"),
    ],
)
def test_what_is_no_config(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(DataError, match=part):
        read_anchor_config(tmp_path / "c.yaml")


def test_a_config_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a Detectron2 config"):
        read_anchor_config(tmp_path / "no.yaml")


def test_fitting_on_the_grid_beats_kmeans_alone_and_keeps_the_order(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "MODEL:\n  ANCHOR_GENERATOR:\n    SIZES: [[8], [16], [32], [64], [128]]\n"
        "  RPN:\n    IN_FEATURES: [p2, p3, p4, p5, p6]\nINPUT:\n  MIN_SIZE_TRAIN: [200]\n"
    )
    config = read_anchor_config(tmp_path / "c.yaml")
    rng = np.random.default_rng(0)
    wh = np.exp(rng.uniform(np.log(10), np.log(120), (300, 2)))
    data = Boxes(wh, rng.uniform(0, 1, (300, 2)) * (200 - wh), np.zeros(300, int), np.full((300, 2), 200.0))
    fitted = fitted_grid(data, config)
    sizes, ratios = fit_anchors(wh, 5, 1, 3)
    start = AnchorGrid(sizes, ratios * 5, config.grid.strides)
    names = ("A",)
    share = [dataset_coverage(data, names, config, grid).total.share_50 for grid in (start, fitted)]
    assert share[0] is not None
    assert share[1] is not None
    assert share[1] > share[0]
    flat = [size for row in fitted.sizes for size in row]
    assert flat == sorted(flat)
    assert fitted_grid(data, config) == fitted


def test_retinanets_levels_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "MODEL:\n  META_ARCHITECTURE: RetinaNet\n  ANCHOR_GENERATOR:\n    SIZES: [[8], [16], [32], [64], [128]]\n"
    )
    assert len(read_anchor_config(path).grid.sizes) == 5
    path.write_text(path.read_text() + "  RETINANET:\n    IN_FEATURES: [p3, x4]\n")
    with pytest.raises(DataError, match=r"MODEL.RETINANET.IN_FEATURES: expected levels of known stride"):
        read_anchor_config(path)
