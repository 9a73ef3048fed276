"""Each rule of the linter speaks where it must and is silent where it must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agropest import files
from agropest.data.dataset import Dataset, Split
from agropest.errors import SweepFileError
from agropest.sweep.lint import RULES, factor_of, lint
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[2]
# AgroPest-12: boxes of each class in its 11,502 training images; a twentieth of them here.
BOXES = (2231, 1596, 1058, 1740, 1083, 1182, 1071, 1062, 918, 1199, 1167, 975)


@pytest.fixture(scope="module")
def agropest(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set with AgroPest-12's class frequencies: one large box in each image of 640 x 640."""
    folder = tmp_path_factory.mktemp("frequencies")
    classes = np.repeat(np.arange(1, 13), [number // 20 for number in BOXES]).tolist()
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 640} for i in range(1, len(classes) + 1)]
    box = [20, 20, 560, 560]
    annotations = [
        {"id": i, "image_id": i, "category_id": c, "bbox": box, "area": 560 * 560, "iscrowd": 0}
        for i, c in enumerate(classes, start=1)
    ]
    categories = [{"id": i, "name": f"class{i}"} for i in range(1, 13)]
    path = folder / "train.json"
    files.write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    splits = {name: Split(name, path, folder, len(images), len(images)) for name in ("train", "valid")}
    return Dataset(folder, "f", tuple(c["name"] for c in categories), splits, folder / "health.json")  # type: ignore[arg-type]


def remarks(path: Path, dataset: Dataset) -> list[tuple[str, str]]:
    """Returns (rule, variant) of every remark; the variant is empty where the sweep is meant."""
    spec = load_sweep(path)
    found = lint(spec, expand_trials(spec, dataset.fingerprint, dataset.class_names), dataset)
    return [(r.rule, r.text.split(":")[0] if r.rule != "single-seed" else "") for r in found]


def of(tmp_path: Path, text: str, dataset: Dataset) -> set[tuple[str, str]]:
    path = tmp_path / "a.yaml"
    path.write_text("config: {SOLVER.WARMUP_ITERS: 100, SOLVER.MAX_ITER: 40000, SOLVER.STEPS: [30000]}\n" + text)
    return {pair for pair in remarks(path, dataset) if pair[0] not in ("large-boxes", "single-seed")}


def test_the_study_is_told_what_it_got_wrong(agropest: Dataset) -> None:
    found = remarks(ROOT / "sweeps" / "study.yaml", agropest)
    assert ("sampler-no-op", "run2") in found
    assert ("sampler-no-op", "run2a") not in found  # 0.08 repeats the rarest classes
    assert [v for rule, v in found if rule == "several-factors"] == ["run1", "run2", "run2a"]
    assert [v for rule, v in found if rule == "unequal-iterations"] == ["run2a"]
    assert [v for rule, v in found if rule == "score-threshold"] == ["run0", "run1", "run2", "run2a"]
    assert [v for rule, v in found if rule == "large-boxes"] == ["run1", "run2", "run2a"]  # the lost 512 px anchors
    assert [v for rule, v in found if rule == "unequal-augmentation"] == ["run1", "run2", "run2a"]
    assert ("single-seed", "") in found


def test_the_no_op_sampler_is_told_with_its_numbers(agropest: Dataset) -> None:
    spec = load_sweep(ROOT / "sweeps" / "study.yaml")
    found = lint(spec, expand_trials(spec, "f", agropest.class_names), agropest)
    text = next(remark.text for remark in found if remark.rule == "sampler-no-op")
    assert "0.001" in text
    assert "5.9%" in text  # slugs: 918 of 15,282, before rounding


CASES = {
    "equal-trials": ("{same: {SOLVER.BASE_LR: 0.001}}", "{other: {SOLVER.BASE_LR: 0.002}}"),
    "unequal-iterations": ("{long: {SOLVER.MAX_ITER: 50000}}", "{other: {SOLVER.BASE_LR: 0.002}}"),
    "several-factors": (
        "{two: {SOLVER.BASE_LR: 0.002, DATALOADER.REPEAT_THRESHOLD: 0.5}}",
        "{one: {SOLVER.BASE_LR: 0.002, SOLVER.GAMMA: 0.2}}",
    ),
    "schedule": ("{late: {SOLVER.STEPS: [40000]}}", "{early: {SOLVER.STEPS: [39999]}}"),
    "learning-rate": ("{big: {SOLVER.IMS_PER_BATCH: 32}}", "{both: {SOLVER.IMS_PER_BATCH: 32, SOLVER.BASE_LR: 0.002}}"),
    "score-threshold": (
        "{high: {MODEL.ROI_HEADS.SCORE_THRESH_TEST: 0.06}}",
        "{low: {MODEL.ROI_HEADS.SCORE_THRESH_TEST: 0.04}}",
    ),
    "sampler-no-op": (
        "{s: {DATALOADER.SAMPLER_TRAIN: RepeatFactorTrainingSampler, DATALOADER.REPEAT_THRESHOLD: 0.05}}",
        "{s: {DATALOADER.SAMPLER_TRAIN: RepeatFactorTrainingSampler, DATALOADER.REPEAT_THRESHOLD: 0.2}}",
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_and_is_silent_and_can_be_silenced(rule: str, tmp_path: Path, agropest: Dataset) -> None:
    bad, good = ("variants: {baseline: {}, " + text[1:] + "\n" for text in CASES[rule])
    assert {name for name, _ in of(tmp_path, bad, agropest)} == {rule}
    assert of(tmp_path, good, agropest) == set()
    assert of(tmp_path, bad + f"silence: [{rule}]\n", agropest) == set()


def test_early_stopping_without_anything_to_stop_by(tmp_path: Path, agropest: Dataset) -> None:
    text = "variants: {baseline: {}}\nstop: {method: asha, grace_period_iters: 50}\n"
    assert of(tmp_path, text, agropest) == {("early-stopping", "baseline")}
    silent = "variants: {baseline: {TEST.EVAL_PERIOD: 4000}}\nstop: {method: asha, grace_period_iters: 8000}\n"
    assert of(tmp_path, silent, agropest) == set()


def test_a_factorial_design_is_not_called_confounded(tmp_path: Path, agropest: Dataset) -> None:
    text = "factors: {lr: {SOLVER.BASE_LR: 0.002}, loss: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}}\ndesign: full\n"
    assert of(tmp_path, text, agropest) == set()


def test_silencing_a_rule_that_there_is_not(tmp_path: Path, agropest: Dataset) -> None:
    with pytest.raises(SweepFileError, match="did you mean 'single-seed'"):
        of(tmp_path, "variants: {baseline: {}}\nsilence: [single-seeds]\n", agropest)


def test_factors_of_keys() -> None:
    assert factor_of("MODEL.ANCHOR_GENERATOR.SIZES") == "anchors"
    assert factor_of("INPUT.MIN_SIZE_TEST") == "test scale"
    assert factor_of("INPUT.ROTATION_DEGREES") == "augmentation"
    assert factor_of("MODEL.RPN.NMS_THRESH") == "MODEL.RPN"
    assert len(RULES) == 11
