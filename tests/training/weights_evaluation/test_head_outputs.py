"""What a box head says, kept and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.modeling.build import build
from agropest.training.trial import detectron2_config
from agropest.training.weights_evaluation.head_outputs import (
    HeadOutput,
    has_head_outputs,
    read_outputs,
    write_outputs,
)
from tests.training.test_trial import trial_of


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], True),
        (["MODEL.ROI_BOX_HEAD.CLS_LOSS=sigmoid_focal"], True),
        (["MODEL.ROI_HEADS.NAME=CascadeROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG=true"], False),
    ],
)
def test_one_box_head_is_kept_and_a_cascade_is_not(
    settings: list[str], expected: bool, tiny_sweep: Path, tiny_dataset: Dataset
) -> None:
    cfg = detectron2_config(trial_of(tiny_sweep, tiny_dataset, "baseline", *settings), "cpu")
    assert has_head_outputs(build(cfg)) is expected


def test_outputs_are_read_back_and_damage_is_no_output(tmp_path: Path) -> None:
    torch.manual_seed(0)
    outputs = [
        HeadOutput(3, (64, 96), (128, 192), torch.rand(2, 8), torch.rand(2, 3)),
        HeadOutput(9, (64, 64), (64, 64), torch.rand(0, 8), torch.rand(0, 3)),
    ]
    path = tmp_path / "outputs.npz"
    assert read_outputs(path) is None
    write_outputs(path, outputs)
    found = read_outputs(path)
    assert found is not None
    for one, two in zip(outputs, found, strict=True):
        assert (one.image_id, one.input_size, one.size) == (two.image_id, two.input_size, two.size)
        assert torch.equal(one.boxes, two.boxes)
        assert torch.equal(one.scores, two.scores)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert read_outputs(path) is None
