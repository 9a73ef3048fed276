"""A loss or backbone file of one's own is part of a trial's signature, by its content."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.stages.training import training_signature
from agropest.sweep.trial import TrialSpec
from agropest.sweep.user_code import MODELING, SHIPPED, code_identity, digest

LOSS = "def loss(logits, labels, head):\n    return smoothed(logits, labels, {})\n"


@pytest.fixture
def modeling(tmp_path: Path) -> Path:
    for room in ("losses", "backbones"):
        shutil.copytree(MODELING / room, tmp_path / "modeling" / room)
    return tmp_path / "modeling"


def test_shipped_files_are_as_they_are_shipped() -> None:
    """Whoever changes one raises TRAINING_VERSION if its numbers change, and in any case the digest here."""
    found = {p.relative_to(MODELING).as_posix() for r in ("losses", "backbones") for p in (MODELING / r).glob("*.py")}
    assert found - {"losses/__init__.py", "backbones/__init__.py"} == set(SHIPPED)
    assert {name: digest(MODELING / name) for name in SHIPPED} == SHIPPED


@pytest.mark.parametrize(
    ("loss", "backbone"),
    [("cross_entropy", "build_resnet_fpn_backbone"), ("softmax_focal", "build_timm_fpn_backbone")],
)
def test_what_is_shipped_adds_nothing(loss: str, backbone: str) -> None:
    assert code_identity({"MODEL.ROI_BOX_HEAD.CLS_LOSS": loss, "MODEL.BACKBONE.NAME": backbone}) == ""


def test_the_content_of_a_loss_file_counts(modeling: Path) -> None:
    config = {"MODEL.ROI_BOX_HEAD.CLS_LOSS": "smooth", "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone"}
    (modeling / "losses" / "smooth.py").write_text(LOSS.format(0.1))
    weak = code_identity(config, modeling)
    (modeling / "losses" / "smooth.py").write_text(LOSS.format(0.9))
    strong = code_identity(config, modeling)
    assert weak.startswith("losses/smooth.py ")
    assert weak != strong


def test_a_changed_backbone_counts_for_the_trials_that_build_it_and_no_other(modeling: Path) -> None:
    path = modeling / "backbones" / "timm_fpn.py"
    path.write_text(path.read_text() + "\n# changed\n")
    assert code_identity({"MODEL.BACKBONE.NAME": "build_timm_fpn_backbone"}, modeling).startswith(
        "backbones/timm_fpn.py"
    )
    assert code_identity({"MODEL.BACKBONE.NAME": "build_narrow_resnet_fpn_backbone"}, modeling) == ""


def test_code_is_in_both_signatures_and_none_leaves_them_as_they_were() -> None:
    trial = TrialSpec("a", 1, dict(default_config()), "d")
    assert replace(trial, code="").signature == trial.signature
    mine = replace(trial, code="losses/smooth.py 00ff")
    assert mine.signature != trial.signature
    assert training_signature(mine) != training_signature(trial)
