"""Every file in sweeps/: planned as it stands, every variant trained for two iterations at toy size.

Toy size keeps what a variant varies: sizes are divided, layers are narrowed, and nothing is set that a sweep sets.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.data.fitted import fitted_anchors
from agropest.sweep.detectron2_keys import FlatConfig
from agropest.sweep.lint import RULES, lint
from agropest.sweep.lint.subject import first_seeds
from agropest.sweep.plan import WEIGHTS, expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training.batches import BatchStream
from agropest.training.effects import find_effects
from agropest.training.records import load_records
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config

SWEEPS = sorted((Path(__file__).resolve().parents[1] / "sweeps").glob("*.yaml"))
NAMES = [path.stem for path in SWEEPS]
EVERY_SWEEP = {
    *("anchors", "augmentation", "backbones", "baseline", "demo", "factorial", "focal_loss", "heads", "sampler"),
    *("schedule", "study"),
}
# What a sweep sets and what has no effect, on purpose: the study's sampler, at a threshold that repeats nothing.
IDLE = {"study": {"run2": ["DATALOADER.REPEAT_THRESHOLD"]}}
SMALLER = 10


def planned(path: Path, dataset: Dataset) -> tuple[SweepSpec, list[TrialSpec]]:
    spec = load_sweep(path)
    fit = functools.partial(fitted_anchors, dataset)
    return spec, expand_trials(spec, dataset.fingerprint, dataset.class_names, fit)


def toy(config: FlatConfig) -> FlatConfig:
    """Returns the same variant for pictures of 64 px and a processor."""
    small = {
        **dict.fromkeys(WEIGHTS, ""),
        "MODEL.RESNETS.NORM": "GN",  # frozen batch norm diverges from random weights
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 32,
        "MODEL.RESNETS.STEM_OUT_CHANNELS": 32,
        "MODEL.FPN.OUT_CHANNELS": 32,
        "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 32,
        "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 100,
        "MODEL.RPN.POST_NMS_TOPK_TRAIN": 50,
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.WARMUP_ITERS": 1,
    }
    if config["MODEL.BACKBONE.NAME"] == "build_narrow_resnet18_fpn_backbone":
        small["MODEL.RESNETS.RES2_OUT_CHANNELS"] = 32
    for key in ("INPUT.MIN_SIZE_TRAIN", "TEST.AUG.MIN_SIZES"):
        small[key] = [side // SMALLER for side in config[key]]
    for key in ("INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TRAIN", "INPUT.MAX_SIZE_TEST"):
        small[key] = config[key] // SMALLER
    return {**config, **small}


@pytest.fixture(scope="module")
def insects(tiny_dataset: Dataset) -> Dataset:
    assert len(tiny_dataset.class_names) == 12  # as AgroPest-12, whose classes sweeps/augmentation.yaml names by number
    return tiny_dataset


def test_they_are_all_here() -> None:
    assert set(NAMES) == EVERY_SWEEP


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_the_header_says_question_command_and_cost(path: Path) -> None:
    head = path.read_text().split("\nquestion:")[0]
    assert re.findall(r"^# (Question|Command|Cost): ", head, re.MULTILINE) == ["Question", "Command", "Cost"]
    assert f"python launch.py sweeps/{path.name}" in head
    assert load_sweep(path).question


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_it_plans_and_every_override_counts(path: Path, agropest: Dataset) -> None:
    """On data with AgroPest-12's class frequencies, which decide what a sampler repeats."""
    spec, trials = planned(path, agropest)
    variants = first_seeds(trials)
    baseline = next(trial for trial in variants if trial.label == spec.baseline)
    assert len({trial.signature for trial in trials}) == len(trials)
    assert len(variants) >= 2 or path.stem == "baseline"
    effects = find_effects(variants, baseline, agropest.splits["train"])
    assert effects.faults == []
    assert effects.idle == IDLE.get(path.stem, {})
    told = {remark.rule for remark in lint(spec, trials, agropest, effects.idle)}
    assert told <= set(RULES)
    if path.stem not in ("study", "augmentation", "heads"):  # these combine factors, and say so
        assert "several-factors" not in told


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_every_variant_trains(path: Path, insects: Dataset) -> None:
    _, trials = planned(path, insects)
    split = insects.splits["train"]
    records = load_records(split.name, split.annotations, split.image_root).dicts
    seen: set[str] = set()
    for trial in first_seeds(trials):
        small = replace(trial, config={**toy(trial.config), "SEED": trial.seed})
        if small.signature in seen:
            continue
        seen.add(small.signature)
        losses = two_iterations(small, records)
        assert len(losses) == 2
        assert all(torch.isfinite(value) for step in losses for value in step.values()), trial.label
        assert {"loss_rpn_cls", "loss_rpn_loc"} <= set(losses[0])
        assert any(name.startswith("loss_cls") for name in losses[0])


def two_iterations(trial: TrialSpec, records: list[dict[str, Any]]) -> list[dict[str, torch.Tensor]]:
    cfg = detectron2_config(trial, "cpu")
    trainer = TrialTrainer(cfg, "cpu")
    trainer.batches = BatchStream(records, cfg, trial.seed).iterate(0, 0)
    trainer.train(0, 2)
    return trainer._recent
