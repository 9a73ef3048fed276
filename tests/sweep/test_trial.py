from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest.errors import EnvironmentFault, SweepFileError
from agropest.modeling.config import ADDED_LATER
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.resources import Resources
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.stages.training import training_signature
from agropest.sweep.trial import TrialSpec, weights_identity

CLASSES = ["Ants", "Bees", "Wasps"]


def plan(tmp_path: Path, text: str, *settings: str) -> list[TrialSpec]:
    return expand_trials(spec(tmp_path, text, *settings), "data-1", CLASSES)


def spec(tmp_path: Path, text: str, *settings: str) -> SweepSpec:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return load_sweep(path, settings)


TWO = "variants: {low: {SOLVER.BASE_LR: 0.002}, baseline: {}}\nseeds: [1, 2]\n"


def test_one_trial_for_every_variant_and_seed_the_baseline_first(tmp_path: Path) -> None:
    trials = plan(tmp_path, TWO)
    assert [trial.name for trial in trials] == ["baseline/s1", "baseline/s2", "low/s1", "low/s2"]
    assert trials[2].overrides == {"SOLVER.BASE_LR": 0.002}
    assert trials[0].config["MODEL.ROI_HEADS.NUM_CLASSES"] == 3
    assert [trial.config["SEED"] for trial in trials] == [1, 2, 1, 2]
    assert len({trial.signature for trial in trials}) == 4


def test_a_signature_is_of_what_decides_the_numbers_and_of_nothing_else(tmp_path: Path) -> None:
    trial = plan(tmp_path, TWO)[0]
    same = [
        replace(trial, label="other", resources=Resources(cpus=8), levels={"a": "on"}),
        replace(trial, config={**trial.config, "OUTPUT_DIR": "x", "DATALOADER.NUM_WORKERS": 9, "MODEL.DEVICE": "cpu"}),
    ]
    other = [
        replace(trial, data="data-2"),
        replace(trial, weights="sha256:1"),
        replace(trial, training_version=99),
        replace(trial, config={**trial.config, "SOLVER.MAX_ITER": 41000}),
        replace(trial, config={**trial.config, "A.NEW.KEY": 1}),
    ]
    assert {t.signature for t in same} == {trial.signature}
    assert trial.signature not in {t.signature for t in other}
    assert len({t.signature for t in other}) == len(other)


def test_keys_that_came_later_leave_old_trials_what_they_are_while_they_change_nothing(tmp_path: Path) -> None:
    trial = plan(tmp_path, TWO)[0]
    assert set(ADDED_LATER) <= set(trial.config)
    before = replace(trial, config={key: value for key, value in trial.config.items() if key not in ADDED_LATER})
    assert (before.signature, training_signature(before)) == (trial.signature, training_signature(trial))
    for key, value in {"SOLVER.OPTIMIZER": "AdamW", "SOLVER.ACCUMULATION_STEPS": 2}.items():
        other = replace(trial, config={**trial.config, key: value})
        assert other.signature != trial.signature
        assert training_signature(other) != training_signature(trial)


def test_the_same_trial_in_two_sweeps_is_one(tmp_path: Path) -> None:
    one = plan(tmp_path, "variants: {baseline: {SOLVER.BASE_LR: 0.001}}\nseeds: [1]\n")[0]
    two = plan(tmp_path, "variants: {plain: {}, fast: {SOLVER.BASE_LR: 0.1}}\nbaseline: plain\nseeds: [1]\n")[0]
    assert one.signature == two.signature  # 0.001 is Detectron2's default
    assert one.label != two.label


def test_configs_that_no_trainer_could_run_are_refused_all_at_once(tmp_path: Path) -> None:
    text = """
variants:
  baseline: {}
  uneven:
    MODEL.ANCHOR_GENERATOR.SIZES: [[8, 12], [16], [32], [64], [128]]
    MODEL.RPN.IN_FEATURES: [p2, p3, p4, p5, p6]
  still: {SOLVER.BASE_LR: 0}
  never: {SOLVER.MAX_ITER: -1}
  no_size: {INPUT.MIN_SIZE_TRAIN: []}
"""
    with pytest.raises(SweepFileError) as caught:
        plan(tmp_path, text)
    faults = caught.value.faults
    assert len(faults) == 4
    assert (
        "uneven: MODEL.ANCHOR_GENERATOR.SIZES: expected 1 or 5 lists of equal length (got lengths [2, 1, 1, 1, 1])"
        in faults[0]
    )
    assert "still: SOLVER.BASE_LR" in faults[1]
    assert "never: SOLVER.MAX_ITER" in faults[2]


def test_weights_are_identified_by_content_not_by_place(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"weights")
    (tmp_path / "c.pth").write_bytes(b"others")
    a, b, c = (weights_identity(str(tmp_path / name)) for name in ("a.pth", "b.pth", "c.pth"))
    assert a == b != c
    assert weights_identity("") == ""
    assert weights_identity("detectron2://x/y.pkl") == "detectron2://x/y.pkl"
    with pytest.raises(EnvironmentFault, match="expected a file"):
        weights_identity(str(tmp_path / "none.pth"))


def test_a_timm_backbones_weights_are_identity_too(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"a")
    known = weights_identity("", "timm://x.y")
    assert known == " + timm://x.y"
    assert weights_identity("", str(tmp_path / "a.safetensors")).startswith(" + sha256:")
    with pytest.raises(EnvironmentFault, match=r"MODEL\.TIMM\.WEIGHTS"):
        weights_identity("", str(tmp_path / "none"))


def test_what_the_plan_would_replace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "config: {MODEL.ROI_HEADS.NUM_CLASSES: 7, MODEL.ANCHOR_GENERATOR.FITTED: 1}\n"
        "variants:\n  baseline: {}\n  b: {MODEL.RETINANET.NUM_CLASSES: 2}\n"
        "  c: {MODEL.ANCHOR_GENERATOR.SIZES: [[32, 64, 128, 256, 512]]}\n"
        "  d: {MODEL.ANCHOR_GENERATOR.SIZES: [[32, 64, 128, 256, 512]], MODEL.ANCHOR_GENERATOR.FITTED: 0}\n"
    )
    fit = lambda config, per_level, where: {}  # noqa: E731
    with pytest.raises(SweepFileError) as caught:
        expand_trials(load_sweep(path), "f", ["one", "two", "three"], fit)
    assert [line.split(" expected ")[0].removeprefix(f"{path}: ") for line in caught.value.faults] == [
        "config: MODEL.ROI_HEADS.NUM_CLASSES:",
        "b: MODEL.RETINANET.NUM_CLASSES:",
        "c: MODEL.ANCHOR_GENERATOR.SIZES:",
    ]
    path.write_text("base: x.yaml\nvariants: {baseline: {MODEL.ROI_HEADS.NUM_CLASSES: 3}}\n")
    (tmp_path / "x.yaml").write_text("MODEL: {ROI_HEADS: {NUM_CLASSES: 80}}\n")
    assert expand_trials(load_sweep(path), "f", ["one", "two", "three"])[0].config["MODEL.ROI_HEADS.NUM_CLASSES"] == 3


def test_retinanets_anchors_are_those_of_its_own_levels(tmp_path: Path) -> None:
    retinanet = "META_ARCHITECTURE: RetinaNet, ANCHOR_GENERATOR: {SIZES: [[8], [16], [32], [64], [128]]}"
    text = "variants: {baseline: {MODEL: {%s, RPN: {IN_FEATURES: [p2]}}}}"
    assert plan(tmp_path, text % retinanet)  # five levels by default, whatever an RPN would look at
    with pytest.raises(SweepFileError, match=r"expected 1 or 2 lists.*every level of MODEL.RETINANET.IN_FEATURES"):
        plan(tmp_path, text % (retinanet + ", RETINANET: {IN_FEATURES: [p3, p4]}"))
