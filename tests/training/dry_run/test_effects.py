"""Which overrides change what is built: each kind once where it does, and once where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import SweepFileError
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.dry_run.effects import find_effects
from agropest.training.dry_run.remembered_effects import idle_overrides

# Overrides that count only where something else is switched on, each with what switches it on.
COUPLED = {
    "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA: 3.0": "MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal",
    "MODEL.ROI_BOX_HEAD.PRIOR_PROB: 0.1": "MODEL.ROI_BOX_HEAD.CLS_LOSS: sigmoid_focal",
    "DATALOADER.REPEAT_THRESHOLD: 0.9": "DATALOADER.SAMPLER_TRAIN: RepeatFactorTrainingSampler",
    "SOLVER.STEPS: [2]": "SOLVER.LR_SCHEDULER_NAME: WarmupMultiStepLR",
    "SOLVER.EMA.DECAY: 0.5": "SOLVER.EMA.ENABLED: true",
    "INPUT.CROP.SIZE: [0.5, 0.5]": "INPUT.CROP.ENABLED: true",
    "INPUT.COPY_PASTE.MAX_OBJECTS: 5": "INPUT.COPY_PASTE.PROB: 1.0",
    "TEST.AUG.MIN_SIZES: [48]": "TEST.AUG.ENABLED: true",
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE: 0.3": "SOLVER.CLIP_GRADIENTS.ENABLED: true",
}
ALONE = (
    "SOLVER.BASE_LR: 0.002",
    "MODEL.ANCHOR_GENERATOR.SIZES: [[8], [16], [32], [64], [128]]",
    "MODEL.RPN.NMS_THRESH: 0.6",
    "INPUT.MIN_SIZE_TEST: 80",
    "INPUT.ROTATION_DEGREES: 5",
    "MODEL.PIXEL_MEAN: [1, 2, 3]",
    "TEST.DEPLOYED_SCORE_THRESH: 0.4",
)


def idle(tmp_path: Path, tiny_sweep: Path, dataset: Dataset, *lines: str) -> list[str]:
    text = tiny_sweep.read_text().split("variants:")[0]
    if "CLIP_GRADIENTS" not in text:
        text = text.replace("config:\n", "config:\n  SOLVER.CLIP_GRADIENTS.ENABLED: false\n")
    tiny_sweep.write_text(text + "variants:\n  baseline: {}\n  v:\n" + "".join(f"    {line}\n" for line in lines))
    spec = load_sweep(tiny_sweep)
    baseline, variant = expand_trials(spec, dataset.fingerprint, dataset.class_names)
    effects = find_effects([baseline, variant], baseline, dataset.splits["train"])
    assert effects.faults == []
    return effects.idle.get("v", [])


@pytest.mark.parametrize("line", COUPLED)
def test_a_setting_of_something_switched_off_is_idle(
    tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset, line: str
) -> None:
    assert idle(tmp_path, tiny_sweep, tiny_dataset, line) == [line.split(":")[0]]
    assert idle(tmp_path, tiny_sweep, tiny_dataset, line, COUPLED[line]) == []


def test_what_counts_alone(tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    assert idle(tmp_path, tiny_sweep, tiny_dataset, *ALONE) == []


def test_a_sampler_that_repeats_nothing_is_idle(tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    lines = ("DATALOADER.SAMPLER_TRAIN: RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD: 0.0001")
    assert idle(tmp_path, tiny_sweep, tiny_dataset, *lines) == [line.split(":")[0] for line in lines]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("MODEL.BACKBONE.NAME=build_no_such_backbone", "build_no_such_backbone"),
        ("MODEL.RPN.IOU_THRESHOLDS=[]", "IndexError"),
    ],
)
def test_what_cannot_be_built_is_refused_before_it_is_launched(
    setting: str, told: str, tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset
) -> None:
    spec = load_sweep(tiny_sweep, [setting])
    trials = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    with pytest.raises(SweepFileError, match=told) as caught:
        idle_overrides(trials, trials[0], tiny_dataset, tmp_path, tiny_sweep, lambda: None)
    [fault] = caught.value.faults  # once, of both variants
    assert fault.split(": ")[:2] == [str(tiny_sweep), "every variant"]


def test_the_answer_is_remembered(tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    spec = load_sweep(tiny_sweep)
    trials = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    said: list[Any] = []
    for _ in range(2):
        assert idle_overrides(trials, trials[0], tiny_dataset, tmp_path, tiny_sweep, lambda: said.append(1)) == {}
    assert said == [1]
