"""Every kind of detector as a whole trial at toy size: trained, evaluated, tested, written down by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.dry_run.rehearsal import rehearse
from agropest.training.input.records import load_records
from agropest.training.run_context import RunContext
from agropest.training.trial import run_trial
from tests.conftest import TINY

# A ResNet-18 whose feature maps are those of RetinaNet; the base's RPN keys stay as they are, and say nothing here.
DENSE = """
    MODEL.BACKBONE.FREEZE_AT: 0
    MODEL.RESNETS: {DEPTH: 18, RES2_OUT_CHANNELS: 64, OUT_FEATURES: [res3, res4, res5]}
    MODEL.FPN.IN_FEATURES: [res3, res4, res5]
    MODEL.RETINANET.NUM_CONVS: 1
"""
RETINANET = (
    "\n    MODEL.META_ARCHITECTURE: RetinaNet\n    MODEL.BACKBONE.NAME: build_retinanet_resnet_fpn_backbone" + DENSE
)
FCOS = "\n    MODEL.META_ARCHITECTURE: FCOS\n    MODEL.BACKBONE.NAME: build_fcos_resnet_fpn_backbone" + DENSE
CASCADE = "{MODEL.ROI_HEADS.NAME: CascadeROIHeads, MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG: true}"
GREY = "{INPUT.FORMAT: L, MODEL.PIXEL_MEAN: [113.0], MODEL.PIXEL_STD: [57.0]}"
# One feature map of stride 16 at toy width, from the zoo's own configs.
NARROW = (
    "MODEL.WEIGHTS: '', MODEL.BACKBONE.FREEZE_AT: 0, MODEL.RESNETS.NORM: GN, MODEL.RESNETS.WIDTH_PER_GROUP: 32, "
    "MODEL.RESNETS.RES2_OUT_CHANNELS: 64, MODEL.RESNETS.STEM_OUT_CHANNELS: 32, "
    "MODEL.ANCHOR_GENERATOR.SIZES: [[16, 32]], MODEL.PROPOSAL_GENERATOR.MIN_SIZE: 0"
)
C4 = f"{{base: COCO-Detection/faster_rcnn_R_50_C4_1x.yaml, {NARROW}}}"
DC5 = f"{{base: COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml, {NARROW}}}"


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(RETINANET, id="retinanet"),
        pytest.param(FCOS, id="fcos"),
        pytest.param(CASCADE, id="cascade"),
        pytest.param(GREY, id="grey"),
        pytest.param(C4, id="c4", marks=pytest.mark.slow),
        pytest.param(DC5, id="dc5", marks=pytest.mark.slow),
    ],
)
def test_a_detector_is_trained_evaluated_and_tested(variant: str, tmp_path: Path, tiny_dataset: Dataset) -> None:
    require_whole_trial(variant, tmp_path, tiny_dataset)


@pytest.mark.slow
@pytest.mark.parametrize("variant", [RETINANET, FCOS, CASCADE], ids=["retinanet", "fcos", "cascade"])
def test_a_detector_is_evaluated_in_mixed_precision(variant: str, tmp_path: Path, tiny_dataset: Dataset) -> None:
    require_whole_trial(variant, tmp_path, tiny_dataset, "TEST.AMP.ENABLED=true")


def require_whole_trial(variant: str, tmp_path: Path, tiny_dataset: Dataset, *settings: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{TINY}\nseeds: [1]\nvariants:\n  one: {variant}\n")
    spec = load_sweep(path, ["SOLVER.MAX_ITER=2", *settings])
    (trial,) = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    split = tiny_dataset.splits["train"]
    rehearse(trial, load_records(split.name, split.annotations, split.image_root).dicts)
    splits = {name: (split.annotations, split.image_root) for name, split in tiny_dataset.splits.items()}
    folder = Store(tmp_path / "r").folder(trial).claim()
    status = run_trial(trial, folder, RunContext(splits), lambda record: None)
    assert (status.status, status.iteration, status.reason) == (TrialState.FINISHED, 2, "")
    assert [record.num_images for record in folder.read_evaluations("valid")] == [6]
    assert [record.num_images for record in folder.read_evaluations("test")] == [4]
