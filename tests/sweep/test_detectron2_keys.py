from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep import detectron2_keys as keys


def test_the_defaults_are_detectron2s_own_and_ours() -> None:
    """Read without importing Detectron2, they must be what it says when it is imported."""
    code = (
        "from agropest import detectron2_ready; detectron2_ready.make_importable()\n"
        "from detectron2.config import get_cfg\n"
        "from agropest.modeling.config import add_agropest_config\n"
        "from agropest.sweep.detectron2_keys import default_config, flatten\n"
        "cfg = get_cfg(); add_agropest_config(cfg)\n"
        "assert flatten(cfg) == default_config() and len(default_config()) > 150\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=600)


def test_flatten_and_nest_are_inverse() -> None:
    tree = {"A": {"B": (1, 2), "C": {"D": None}}, "E": {}}
    flat = keys.flatten(tree)
    assert flat == {"A.B": [1, 2], "A.C.D": None, "E": {}}
    assert keys.nest(flat) == {"A": {"B": [1, 2], "C": {"D": None}}, "E": {}}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("SOLVER.BASE_LR", 1, 1.0),
        ("SOLVER.BASE_LR", "1e-3", 0.001),
        ("SOLVER.STEPS", "(60000, 80000)", [60000, 80000]),
        ("SOLVER.MAX_ITER", 300.0, 300),
        ("MODEL.BACKBONE.NAME", "x", "x"),
        ("SOLVER.AMP.ENABLED", True, True),
    ],
)
def test_values_become_their_keys_type(key: str, value: object, expected: object) -> None:
    result = keys.coerce(key, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("SOLVER.AMP.ENABLED", 1, "true or false"),
        ("SOLVER.MAX_ITER", 1.5, "whole number"),
        ("SOLVER.MAX_ITER", True, "expected a number"),
        ("SOLVER.BASE_LR", float("nan"), "finite"),
        ("SOLVER.STEPS", 5, "a list"),
        ("MODEL.BACKBONE.NAME", 5, "text"),
        ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "focal", "one of cross_entropy"),
        ("TEST.DEPLOYED_SCORE_THRESH", 1.5, "from 0.0 to 1.0"),
    ],
)
def test_wrong_values_name_the_rule(key: str, value: object, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        keys.coerce(key, value)


def test_bases_are_merged_and_circles_refused(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("SOLVER: {MAX_ITER: 10, BASE_LR: 0.5}\n")
    (tmp_path / "top.yaml").write_text("_BASE_: base.yaml\nSOLVER: {MAX_ITER: 20}\n")
    assert keys.read_config_file(tmp_path / "top.yaml") == {"SOLVER.MAX_ITER": 20, "SOLVER.BASE_LR": 0.5}
    (tmp_path / "base.yaml").write_text("_BASE_: top.yaml\n")
    with pytest.raises(SweepFileError, match="circle"):
        keys.read_config_file(tmp_path / "top.yaml")


def test_the_model_zoos_configs_can_be_read() -> None:
    path = keys.detectron2_folder() / "model_zoo" / "configs" / "COCO-Detection" / "faster_rcnn_R_50_FPN_3x.yaml"
    flat = keys.read_config_file(path)
    assert flat["SOLVER.STEPS"] == [210000, 250000]
    assert flat["MODEL.BACKBONE.NAME"] == "build_resnet_fpn_backbone"
