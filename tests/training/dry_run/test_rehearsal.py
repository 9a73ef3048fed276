"""What fails only after hours is found before anything trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import AgropestError
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.dry_run.rehearsal import rehearse
from agropest.training.input.records import load_records

RETINANET = (
    "MODEL.META_ARCHITECTURE=RetinaNet",
    "MODEL.BACKBONE.NAME=build_retinanet_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES=[res3, res4, res5]",
    "MODEL.FPN.IN_FEATURES=[res3, res4, res5]",
    "MODEL.RPN.IN_FEATURES=[p3, p4, p5, p6, p7]",
    "MODEL.ANCHOR_GENERATOR.SIZES=[[8], [16], [32], [64], [128]]",
)


def try_out(path: Path, dataset: Dataset, *settings: str) -> None:
    trial = expand_trials(load_sweep(path, settings), dataset.fingerprint, dataset.class_names)[0]
    rehearse(trial, load_records("train", *dataset.paths["train"]).dicts)


@pytest.mark.parametrize("settings", [(), ("TEST.AUG.ENABLED=True",), RETINANET])
def test_what_can_be_trained_and_evaluated_passes(
    tiny_sweep: Path, tiny_dataset: Dataset, settings: tuple[str, ...]
) -> None:
    try_out(tiny_sweep, tiny_dataset, *settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((*RETINANET, "TEST.AUG.ENABLED=True"), r"TEST\.AUG\.ENABLED: expected a model that can be augmented"),
        (("MODEL.META_ARCHITECTURE=ProposalNetwork",), "MODEL: expected a model that finds boxes"),
        (
            ("INPUT.CROP.ENABLED=True", "INPUT.CROP.TYPE=absolute_range", "INPUT.CROP.SIZE=[60, 40]"),
            "INPUT: expected settings that make a batch",
        ),
        (("INPUT.CROP.ENABLED=True", "INPUT.CROP.TYPE=nonsense"), "expected"),
    ],
)
def test_what_would_fail_mid_way_or_at_the_end_is_refused(
    tiny_sweep: Path, tiny_dataset: Dataset, settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises(AgropestError, match=words):
        try_out(tiny_sweep, tiny_dataset, *settings)


def test_a_file_without_weights_is_refused(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"<html>404</html>")
    with pytest.raises(AgropestError, match="expected weights"):
        try_out(tiny_sweep, tiny_dataset, f"MODEL.WEIGHTS={tmp_path / 'w.pth'}")
