"""Each rule of the linter speaks where it must and is silent where it must not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agropest import files
from agropest.data.dataset import Dataset, Split
from agropest.data.training_sets.opened import TrainingSets
from agropest.errors import SweepFileError
from agropest.machine import Card, Machine
from agropest.sweep.lint import RULES, lint
from agropest.sweep.lint.data_rules import SAMPLER_KEYS
from agropest.sweep.lint.factor_rules import factor_of
from agropest.sweep.lint.subject import Subject
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[2]


def remarks(path: Path, dataset: Dataset) -> list[tuple[str, str]]:
    """Returns (rule, variant) of every remark; the variant is empty where the sweep is meant."""
    spec = load_sweep(path)
    trials = expand_trials(spec, dataset.fingerprint, dataset.class_names)
    found = lint(spec, trials, dataset)
    everybody = ", ".join(dict.fromkeys(trial.label for trial in trials))
    found = [replace(one, text=one.text.replace("every variant: ", f"{everybody}: ", 1)) for one in found]
    whole = ("single-seed", "split-leakage", "idle-gpu")  # not of one variant
    labels = (
        [r.text.split(":")[0] if r.rule == whole[1] else ""] if r.rule in whole else r.text.split(":")[0].split(", ")
        for r in found
    )
    return [(r.rule, label) for r, its in zip(found, labels, strict=True) for label in its]


NOT_HERE = ("anchor-range", "single-seed", "slow-on-cpu", "idle-gpu")  # of the data, or of the machine


def of(tmp_path: Path, text: str, dataset: Dataset) -> set[tuple[str, str]]:
    path = tmp_path / "a.yaml"
    path.write_text(
        "config: {SOLVER.WARMUP_ITERS: 100, SOLVER.MAX_ITER: 40000, SOLVER.STEPS: [30000], TEST.EVAL_PERIOD: 5000}\n"
        + text
    )
    return {pair for pair in remarks(path, dataset) if pair[0] not in NOT_HERE}


def test_the_study_is_told_what_it_got_wrong(agropest: Dataset) -> None:
    found = remarks(ROOT / "sweeps" / "study.yaml", agropest)
    assert ("sampler-no-op", "run2") in found
    assert ("sampler-no-op", "run2a") not in found  # 0.08 repeats the rarest classes
    assert [v for rule, v in found if rule == "several-factors"] == ["run1", "run2", "run2a"]
    assert [v for rule, v in found if rule == "unequal-iterations"] == ["run2a"]
    assert [v for rule, v in found if rule == "score-threshold"] == ["run0", "run1", "run2", "run2a"]
    assert [v for rule, v in found if rule == "anchor-range"] == ["run1", "run2", "run2a"]  # the lost 512 px anchors
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
    "oversized-anchors": (
        "{big: {MODEL.ANCHOR_GENERATOR.SIZES: [[32, 64, 128, 512, 1200]]}}",
        "{good: {MODEL.ANCHOR_GENERATOR.SIZES: [[32, 64, 128, 512, 900]]}}",
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


def test_what_a_longer_training_means_for_the_comparison(tmp_path: Path, agropest: Dataset) -> None:
    def told(extend: str) -> list[str]:
        path = tmp_path / "a.yaml"
        schedule = "SOLVER: {WARMUP_ITERS: 100, MAX_ITER: 40000, STEPS: [30000]}, TEST.EVAL_PERIOD: 5000"
        variants = "variants: {baseline: {}, slow: {SOLVER.BASE_LR: 0.0005}}"
        path.write_text(f"config: {{{schedule}}}\n{variants}\nextend: {extend}\n")
        spec = load_sweep(path)
        found = lint(spec, expand_trials(spec, "f", agropest.class_names), agropest)
        return [remark.text for remark in found if remark.rule == "unequal-iterations"]

    at = "for 10000 iterations, at 0.1 times SOLVER.BASE_LR at first"
    both = "its difference from baseline is the longer training's as well"
    assert told("{slow: 50000}") == [
        f"slow-to-50000: continues from slow {at}: {both}; extend baseline, too, and compare those that are as long"
    ]
    assert told("50000") == [
        f"baseline-to-50000: continues from baseline {at}: "
        "its difference from baseline is what the longer training does",
        f"slow-to-50000: continues from slow {at}: {both}; compare it with baseline-to-50000, which is as long",
    ]


def test_variants_that_only_evaluate_are_no_trainings_to_the_rules(tmp_path: Path, agropest: Dataset) -> None:
    more = "MODEL.ROI_HEADS.SCORE_THRESH_TEST: 0.5, TEST.AUG.ENABLED: true, INPUT.MIN_SIZE_TEST: 600"
    assert of(tmp_path, f"variants: {{baseline: {{}}}}\nevaluate: {{all: {{{more}}}}}\n", agropest) == set()
    path = tmp_path / "a.yaml"
    assert ("single-seed", "") in remarks(path, agropest)


GIVEN = "SOLVER.MAX_ITER: 0, MODEL.WEIGHTS: detectron2://a/b.pkl"


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ("{baseline: {}}\nevaluate: {few: {TEST.DETECTIONS_PER_IMAGE: 9}}", "is said of one training"),
        ("{baseline: {}, few: {TEST.DETECTIONS_PER_IMAGE: 9}}", "is said of one training"),
        ("{baseline: {}, slow: {SOLVER.BASE_LR: 0.0001}}", "so no verdict"),
        (f"{{baseline: {{{GIVEN}}}}}\nevaluate: {{few: {{TEST.DETECTIONS_PER_IMAGE: 9}}}}", ""),
    ],
)
def test_what_one_seed_leaves_unknown(variants: str, said: str, tmp_path: Path, agropest: Dataset) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"seeds: [42]\nvariants: {variants}\n")
    spec = load_sweep(path)
    remarked = lint(spec, expand_trials(spec, agropest.fingerprint, agropest.class_names), agropest)
    found = [one.text for one in remarked if one.rule == "single-seed"]
    assert len(found) == bool(said)
    assert all(said in one for one in found)


def test_test_time_augmentation_is_compared_alone_or_not_at_all(tmp_path: Path, agropest: Dataset) -> None:
    for more, told in ((", INPUT.RANDOM_FLIP: none", {("unequal-augmentation", "v")}), ("", set())):
        text = f"variants: {{baseline: {{}}, v: {{TEST.AUG.ENABLED: true{more}}}}}\nsilence: [several-factors]\n"
        assert of(tmp_path, text, agropest) == told


def test_early_stopping_without_anything_to_stop_by(tmp_path: Path, agropest: Dataset) -> None:
    once, twice = "{baseline: {TEST.EVAL_PERIOD: 0}}", "{baseline: {TEST.EVAL_PERIOD: 0}, b: {TEST.EVAL_PERIOD: 40000}}"
    at_the_end = {("schedule", "baseline"), ("early-stopping", "baseline")}
    assert of(tmp_path, f"variants: {once}\nstop: asha\n", agropest) == at_the_end
    both = {(rule, label) for rule, _ in at_the_end for label in ("baseline", "b")}
    assert of(tmp_path, f"variants: {twice}\n", agropest) == both  # the race, by default
    assert of(tmp_path, f"variants: {twice}\nstop: none\n", agropest) == {pair for pair in both if "schedule" in pair}
    assert of(tmp_path, f"variants: {once}\n", agropest) == {("schedule", "baseline")}  # alone it races with nobody
    silent = "variants: {baseline: {TEST.EVAL_PERIOD: 4000}}\nstop: {method: asha, grace_period_iters: 8000}\n"
    assert of(tmp_path, silent, agropest) == set()


@pytest.mark.parametrize("method", ["asha", "race", "median", ""])
def test_a_grace_period_that_ends_before_anything_is_evaluated(method: str, tmp_path: Path, agropest: Dataset) -> None:
    named = f"method: {method}, " if method else ""
    for grace, told in ((4999, True), (5000, False), (0, False)):
        text = f"variants: {{baseline: {{}}}}\nstop: {{{named}grace_period_iters: {grace}}}\n"
        assert of(tmp_path, text, agropest) == ({("early-stopping", "baseline")} if told else set())


@pytest.mark.parametrize("method", ["asha", "race", "median", "hyperband"])
def test_a_grace_period_past_the_last_evaluation_that_can_stop_anything(
    method: str, tmp_path: Path, agropest: Dataset
) -> None:
    """Of 40,000 iterations, one evaluation every 5,000, nothing is saved by a stop at the last."""
    for grace, told in ((35_000, False), (35_001, True), (50_000, True)):
        text = f"variants: {{baseline: {{}}}}\nstop: {{method: {method}, grace_period_iters: {grace}}}\n"
        assert of(tmp_path, text, agropest) == ({("early-stopping", "baseline")} if told else set())


@pytest.mark.parametrize(
    ("period", "told"),
    [
        (0, "TEST.EVAL_PERIOD 0 evaluates only once, after the last of 40000 iterations"),
        (40000, "TEST.EVAL_PERIOD 40000 evaluates only once"),
        (50000, "TEST.EVAL_PERIOD 50000 evaluates only once"),
        (15000, "the last evaluation, after the end, comes 10000 iterations after the one before"),
        (20000, ""),
    ],
)
def test_evaluations_that_are_one_or_not_evenly_spaced(
    period: int, told: str, tmp_path: Path, agropest: Dataset
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"config: {{SOLVER.MAX_ITER: 40000, TEST.EVAL_PERIOD: {period}}}\nvariants: {{baseline: {{}}}}\n")
    spec = load_sweep(path)
    trials = expand_trials(spec, "f", agropest.class_names)
    texts = [remark.text for remark in lint(spec, trials, agropest) if remark.rule == "schedule"]
    assert [told in text for text in texts] == ([True] if told else [])
    assert told[:16] != "the last evaluat" or trials[0].evaluation_iters == (15000, 30000, 40000)


@pytest.mark.parametrize(
    ("patience", "told"),
    [
        (0, ""),
        (2, "TEST.PATIENCE 2 may end it at iteration 15000, before the learning rate first falls, at 20000"),
        (3, "TEST.PATIENCE 3 may end it at iteration 20000, before the learning rate first falls, at 20000"),
        (4, ""),
        (6, ""),
        (7, "TEST.PATIENCE 7 can end nothing: there are 8 evaluations"),
    ],
)
def test_a_patience_that_is_too_short_or_too_long(patience: int, told: str, tmp_path: Path, agropest: Dataset) -> None:
    path = tmp_path / "a.yaml"
    schedule = "SOLVER: {MAX_ITER: 40000, STEPS: [20000, 35000], WARMUP_ITERS: 100}, TEST.EVAL_PERIOD: 5000"
    path.write_text(f"config: {{{schedule}, TEST.PATIENCE: {patience}}}\nvariants: {{baseline: {{}}}}\n")
    spec = load_sweep(path)
    trials = expand_trials(spec, "f", agropest.class_names)
    texts = [remark.text for remark in lint(spec, trials, agropest) if remark.rule == "schedule"]
    assert [told in text for text in texts] == ([True] if told else [])
    if "falls" in told:
        assert texts[0].endswith("; 4 waits for that")


def test_a_population_that_is_judged_too_early_or_cut_short(tmp_path: Path, agropest: Dataset) -> None:
    def remarks(interval: int, warm_up: int, fraction: float) -> list[str]:
        path = tmp_path / "a.yaml"
        path.write_text(
            f"config: {{SOLVER.MAX_ITER: 300, SOLVER.WARMUP_ITERS: {warm_up}, SOLVER.STEPS: []}}\n"
            f"search: {{method: pbt, interval_iters: {interval}, quantile_fraction: {fraction},\n"
            "  space: {SOLVER.BASE_LR: {uniform: [0.01, 0.02]}}}\n"
        )
        spec = load_sweep(path)
        found = lint(spec, expand_trials(spec, agropest.fingerprint, agropest.class_names), agropest)
        return [remark.text for remark in found if remark.rule == "population"]

    assert remarks(100, 50, 0.25) == []
    assert [text.split(":")[0] for text in remarks(70, 70, 0.0)] == [
        "search.interval_iters 70 does not divide SOLVER.MAX_ITER 300",
        "search.interval_iters 70 lies within the warm-up (70 iterations)",
        "search.quantile_fraction is 0",
    ]


def test_a_factorial_design_is_not_called_confounded(tmp_path: Path, agropest: Dataset) -> None:
    text = "factors: {lr: {SOLVER.BASE_LR: 0.002}, loss: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}}\ndesign: full\n"
    assert of(tmp_path, text, agropest) == set()


def test_a_factor_that_is_two_is_named(tmp_path: Path, agropest: Dataset) -> None:
    both = "{SOLVER.BASE_LR: 0.002, MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}"
    for design in ("full", "ablation"):
        text = f"factors: {{both: {both}, flip: {{INPUT.RANDOM_FLIP: none}}}}\ndesign: {design}\n"
        assert of(tmp_path, text, agropest) == {("several-factors", "factors.both")}
        assert of(tmp_path, text + "silence: [several-factors]\n", agropest) == set()
        beside = "variants: {baseline: {}}\n"  # takes the place of the combination without any factor
        assert of(tmp_path, beside + text, agropest) == {("several-factors", "factors.both")}
    same = "factors: {one: {SOLVER.BASE_LR: 0.002, MODEL.ROI_BOX_HEAD.CLS_LOSS: cross_entropy}}\n"  # the default
    assert of(tmp_path, same, agropest) == set()


@pytest.mark.parametrize(
    ("warm_up", "period", "grace", "told"),
    [
        # Ten evaluations, eta 2: three rungs before the end, the first at 1/8 of 40,000, that is evaluation 8,000.
        (9000, 4000, 0, "hyperband may stop it at iteration 8000, within its warm-up (9000)"),
        (8000, 4000, 0, ""),
        (9000, 4000, 12000, ""),
        (9000, 21000, 0, ""),  # two evaluations: one rung, at 21,000
    ],
)
def test_hyperband_that_stops_within_the_warm_up(
    warm_up: int, period: int, grace: int, told: str, tmp_path: Path, agropest: Dataset
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"config: {{SOLVER.WARMUP_ITERS: {warm_up}, SOLVER.MAX_ITER: 40000, TEST.EVAL_PERIOD: {period}}}\n"
        f"variants: {{baseline: {{}}}}\nstop: {{method: hyperband, grace_period_iters: {grace}}}\n"
    )
    spec = load_sweep(path)
    found = lint(spec, expand_trials(spec, agropest.fingerprint, agropest.class_names), agropest)
    texts = [remark.text for remark in found if remark.rule == "early-stopping"]
    assert [text.split(", before it")[0] for text in texts] == ([f"baseline: {told}"] if told else [])


def test_more_variants_than_are_built_is_said(tmp_path: Path, agropest: Dataset) -> None:
    for count, said in ((32, []), (33, ["only the first 32 of 33 variants were built"])):
        path = tmp_path / "a.yaml"
        drawn = "".join(f", v{number}: {{SOLVER.BASE_LR: {number / 1000}}}" for number in range(2, count + 1))
        path.write_text(f"variants: {{baseline: {{}}{drawn}}}\n")
        spec = load_sweep(path)
        found = lint(spec, expand_trials(spec, agropest.fingerprint, agropest.class_names), agropest)
        assert [remark.text.split(":")[0] for remark in found if remark.rule == "no-effect"] == said


def test_equal_trials_are_said_to_run_once(tmp_path: Path, agropest: Dataset) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("variants: {baseline: {}, same: {SOLVER.BASE_LR: 0.001}}\n")
    spec = load_sweep(path)
    found = lint(spec, expand_trials(spec, agropest.fingerprint, agropest.class_names), agropest)
    assert [remark.text for remark in found if remark.rule == "equal-trials"] == [
        "same: is the same trial as baseline: their effective configs are equal; they run once"
    ]


def with_box(dataset: Dataset, side: int, folder: Path) -> Dataset:
    """Returns the data set with boxes of another size."""
    content = files.read_json(dataset.splits["train"].annotations)
    for annotation in content["annotations"]:
        annotation.update(bbox=[5, 5, side, side], area=side * side)
    files.write_json(folder / "train.json", content)
    splits = {name: replace(split, annotations=folder / "train.json") for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits)


@pytest.mark.parametrize(
    ("side", "sizes", "says"),
    [
        (560, "[[8], [16], [32], [64], [128]]", "larger than the largest anchor (128 px)"),
        (9, "[[32], [64], [128], [256], [512]]", "smaller than the smallest anchor (32 px)"),
        (100, "[[16], [32], [256], [512], [600]]", "between two anchor sizes"),
        (100, "[[32], [64], [128], [256], [512]]", ""),
    ],
)
def test_boxes_that_no_anchor_is_near(tmp_path: Path, agropest: Dataset, side: int, sizes: str, says: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"variants: {{baseline: {{}}}}\nconfig: {{INPUT.MIN_SIZE_TRAIN: [640], MODEL.ANCHOR_GENERATOR.SIZES: {sizes},"
        " MODEL.RPN.IN_FEATURES: [p2, p3, p4, p5, p6]}\n"
    )
    spec, dataset = load_sweep(path), with_box(agropest, side, tmp_path)
    found = lint(spec, expand_trials(spec, dataset.fingerprint, dataset.class_names), dataset)
    texts = [remark.text for remark in found if remark.rule == "anchor-range"]
    assert [says in text and "100% of the boxes" in text for text in texts] == ([True] if says else [])


def test_pictures_in_two_splits(tmp_path: Path, agropest: Dataset) -> None:
    names = {"train": ["a-1_jpg.rf.0.jpg", "b-1_jpg.rf.1.jpg"], "valid": ["a-1_jpg.rf.2.jpg", "c.jpg"]}
    content = files.read_json(agropest.splits["train"].annotations)
    splits = {}
    for split, files_ in names.items():
        images = [{"id": i, "file_name": n, "width": 640, "height": 640} for i, n in enumerate(files_, start=1)]
        annotations = [{**a, "image_id": 1} for a in content["annotations"][:1]]
        path = tmp_path / f"{split}.json"
        files.write_json(path, {**content, "images": images, "annotations": annotations})
        splits[split] = Split(split, path, tmp_path, 2, 1)
    dataset = replace(agropest, splits=splits, health=tmp_path / "health.json")
    assert of(tmp_path, "variants: {baseline: {}}\n", dataset) == {
        ("split-leakage", "1 source pictures have copies in train and in valid (the stem before .rf.)")
    }
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "pairs.csv").write_text(
        "kind,split_a,file_a,split_b,file_b,bits\nexact,train,x,valid,y,0\nnear,train,x,train,y,2\n"
    )
    texts = {text for rule, text in of(tmp_path, "variants: {baseline: {}}\n", dataset) if rule == "split-leakage"}
    assert "1 exact pairs of pictures in train and valid, by python -m agropest check" in texts
    assert len(texts) == 2


def test_an_override_without_effect_is_named(tmp_path: Path, agropest: Dataset) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("variants: {baseline: {}, gamma: {MODEL.ROI_BOX_HEAD.FOCAL_GAMMA: 3.0}}\n")
    spec = load_sweep(path)
    trials = expand_trials(spec, agropest.fingerprint, agropest.class_names)
    found = lint(spec, trials, agropest, {"gamma": ["MODEL.ROI_BOX_HEAD.FOCAL_GAMMA"]})
    assert [r.text[:50] for r in found if r.rule == "no-effect"] == [
        "gamma: MODEL.ROI_BOX_HEAD.FOCAL_GAMMA: 3.0 changes"
    ]


def test_silencing_a_rule_that_there_is_not(tmp_path: Path, agropest: Dataset) -> None:
    with pytest.raises(SweepFileError, match="did you mean 'single-seed'"):
        of(tmp_path, "variants: {baseline: {}}\nsilence: [single-seeds]\n", agropest)


def test_factors_of_keys() -> None:
    assert factor_of("MODEL.ANCHOR_GENERATOR.SIZES") == "anchors"
    assert factor_of("INPUT.MIN_SIZE_TEST") == "test scale"
    assert factor_of("MODEL.RPN.NMS_THRESH") == "MODEL.RPN"


SEVERAL = {  # what is several factors, though the keys look alike
    "focal+giou": "MODEL.ROI_BOX_HEAD: {CLS_LOSS: softmax_focal, BBOX_REG_LOSS_TYPE: giou}",
    "cascade+focal": "MODEL: {ROI_HEADS.NAME: CascadeROIHeads, ROI_BOX_HEAD.CLS_LOSS: softmax_focal}",
    "ema+cosine": "SOLVER: {EMA.ENABLED: true, LR_SCHEDULER_NAME: WarmupCosineLR}",
    "cosine+decay": "SOLVER: {LR_SCHEDULER_NAME: WarmupCosineLR, WEIGHT_DECAY: 0.001}",
    "rotation+crop": "INPUT: {ROTATION_DEGREES: 10, CROP.ENABLED: true}",
    "retinanet+crop": "MODEL.META_ARCHITECTURE: RetinaNet\n    INPUT.CROP.ENABLED: true",
    "adamw+crop": "SOLVER: {OPTIMIZER: AdamW, BASE_LR: 0.0001}\n    INPUT.CROP.ENABLED: true",
    "paste+flip": "INPUT: {COPY_PASTE.PROB: 0.5, RANDOM_FLIP: none}",
    "rotation+photometric": "INPUT: {ROTATION_DEGREES: 10, PHOTOMETRIC.CONTRAST: 0.2}",
    "grouping+sampler": "DATALOADER: {ASPECT_RATIO_GROUPING: false, SAMPLER_TRAIN: ClassBalancedSampler}",
}
ONE = {  # what belongs together
    "cascade": "MODEL: {ROI_HEADS.NAME: CascadeROIHeads, ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG: true}",
    "giou": "MODEL.ROI_BOX_HEAD: {BBOX_REG_LOSS_TYPE: giou, BBOX_REG_LOSS_WEIGHT: 10.0}",
    "focal": "MODEL.ROI_BOX_HEAD: {CLS_LOSS: sigmoid_focal, FOCAL_ALPHA: 0.5, PRIOR_PROB: 0.1}",
    "weights": f"MODEL.ROI_BOX_HEAD: {{CLS_LOSS: weighted_cross_entropy, CLASS_WEIGHTS: {[2] * 12}}}",
    "adamw": "SOLVER: {OPTIMIZER: AdamW, BASE_LR: 0.0001, WEIGHT_DECAY: 0.05, ADAMW_BETAS: [0.9, 0.99]}",
    "longer": "SOLVER: {MAX_ITER: 80000, STEPS: [60000, 70000], WARMUP_ITERS: 200}\n    TEST.EVAL_PERIOD: 8000",
    "batch": "SOLVER: {IMS_PER_BATCH: 32, BASE_LR: 0.002}",
    "timm": (
        "MODEL: {BACKBONE.NAME: build_timm_fpn_backbone, TIMM.NAME: convnext_tiny, PIXEL_MEAN: [1.0, 2.0, 3.0],\n"
        "      PIXEL_STD: [4.0, 5.0, 6.0], TIMM.WEIGHTS: 'timm://convnext_tiny.fb_in1k'}\n    INPUT.FORMAT: RGB"
    ),
    # The last two decide no number.
    "rate": "SOLVER.BASE_LR: 0.002\n    SOLVER.CHECKPOINT_PERIOD: 100",
    "retinanet": (
        "MODEL: {META_ARCHITECTURE: RetinaNet, BACKBONE.NAME: build_retinanet_resnet_fpn_backbone,\n"
        "      ANCHOR_GENERATOR.SIZES: [[32, 40, 50]], WEIGHTS: 'detectron2://COCO-Detection/retinanet_R_50_FPN_1x/1/a.pkl'}"
    ),
    "sampler": "DATALOADER: {SAMPLER_TRAIN: RepeatFactorTrainingSampler, REPEAT_THRESHOLD: 0.3}",
}


@pytest.mark.parametrize("name", [*SEVERAL, *ONE])
def test_what_is_one_factor_and_what_is_several(name: str, tmp_path: Path, agropest: Dataset) -> None:
    text = f"silence: [unequal-iterations]\nvariants:\n  baseline: {{}}\n  v:\n    {({**SEVERAL, **ONE})[name]}\n"
    assert of(tmp_path, text, agropest) == ({("several-factors", "v")} if name in SEVERAL else set())


@pytest.mark.parametrize("method", ["random", "grid"])
def test_what_a_search_draws_is_not_called_confounded(method: str, tmp_path: Path, agropest: Dataset) -> None:
    keys = ("SOLVER.BASE_LR: {choice: [0.001, 0.05]}", "SOLVER.IMS_PER_BATCH: {choice: [8, 16]}")
    space = f"{{{keys[0]}, {keys[1]}, TEST.AUG.ENABLED: {{choice: [true, false]}}}}"
    text = f"search: {{method: {method}, {'num_variants: 9, ' if method == 'random' else ''}space: {space}}}\n"
    told = of(tmp_path, text, agropest)
    assert {rule for rule, _ in told} <= {"equal-trials"}  # one of the grid is the baseline
    written = "variants: {baseline: {}, v: {SOLVER.BASE_LR: 0.05, TEST.AUG.ENABLED: true}}\n"
    several = {("several-factors", "v"), ("unequal-augmentation", "v")}
    assert several <= of(tmp_path, written + text, agropest)


def test_the_batch_of_a_whole_sweep_is_held_against_the_base_config(tmp_path: Path, agropest: Dataset) -> None:
    text = "variants: {baseline: {}}\n"
    path = tmp_path / "a.yaml"
    path.write_text("config: {SOLVER.IMS_PER_BATCH: 32}\n" + text)
    assert ("learning-rate", "baseline") in remarks(path, agropest)
    path.write_text("config: {SOLVER.IMS_PER_BATCH: 32, SOLVER.BASE_LR: 0.002}\n" + text)
    assert ("learning-rate", "baseline") not in remarks(path, agropest)
    # Detectron2's default rate is nobody's choice, that of a base config is: 4 images at 0.001 below.
    path.write_text("config: {SOLVER.IMS_PER_BATCH: 4, SOLVER.BASE_LR: 0.01}\n" + text)
    assert ("learning-rate", "baseline") not in remarks(path, agropest)
    (tmp_path / "none.yaml").write_text("SOLVER: {BASE_LR: 0.0}\n")
    path.write_text("base: none.yaml\nconfig: {SOLVER.IMS_PER_BATCH: 4, SOLVER.BASE_LR: 0.01}\n" + text)
    assert ("learning-rate", "baseline") not in remarks(path, agropest)
    path.write_text(
        f"base: {ROOT}/configs/agropest_r50_fpn.yaml\nconfig: {{SOLVER.IMS_PER_BATCH: 16, SOLVER.BASE_LR: 0.01}}\n"
        + text
    )
    assert ("learning-rate", "baseline") in remarks(path, agropest)


@pytest.mark.parametrize(
    ("batch", "rate", "told"),
    [
        (64, 0.004, ""),  # four times the batch: linear
        (64, 0.002, ""),  # the square root
        (64, 0.001, "4 times the baseline's batch and the same SOLVER.BASE_LR"),
        (64, 0.0015, "4 times the baseline's batch and 1.5 times its"),  # less than the square root
        (64, 0.0005, "and 0.5 times its SOLVER.BASE_LR"),  # the wrong way
        (64, 0.016, "the linear rule (Goyal et al. 2017) gives 0.004, the square root 0.002"),
        (4, 0.00025, ""),
        (4, 0.0005, ""),
        (4, 0.001, "0.25 times the baseline's batch and the same"),
        (4, 0.002, "and 2 times its"),
        (16, 0.05, ""),  # the same batch
    ],
)
def test_a_rate_between_the_square_root_and_the_linear_rule_is_scaled(
    batch: int, rate: float, told: str, tmp_path: Path, agropest: Dataset
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"variants: {{baseline: {{}}, v: {{SOLVER.IMS_PER_BATCH: {batch}, SOLVER.BASE_LR: {rate}}}}}\n")
    spec = load_sweep(path)
    found = lint(spec, expand_trials(spec, "f", agropest.class_names), agropest)
    texts = [remark.text for remark in found if remark.rule == "learning-rate"]
    assert [told in text for text in texts] == ([True] if told else [])


ZOO = "detectron2://COCO-Detection"


@pytest.mark.parametrize(
    ("weights", "settings", "told"),
    [
        (f"{ZOO}/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl", "", ""),
        (f"{ZOO}/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl", "SIZES: [[8, 16, 32]]", "has 9 anchors"),
        (f"{ZOO}/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl", "ASPECT_RATIOS: [[1.0]]", "has 1 anchors"),
        # Five sizes and three ratios on one level, as Detectron2's own C4 models have.
        (
            f"{ZOO}/faster_rcnn_R_50_C4_1x/137257644/model_final_721ade.pkl",
            "",
            "_C4_1x, whose weights it starts from, has 15:",
        ),
        (f"{ZOO}/retinanet_R_50_FPN_1x/190397773/model_final_bfca0b.pkl", "SIZES: [[8, 16, 32]]", ""),  # has no RPN
        (f"{ZOO}/no_such_model/1/model_final.pkl", "SIZES: [[8, 16, 32]]", ""),
        ("detectron2://ImageNetPretrained/MSRA/R-50.pkl", "SIZES: [[8, 16, 32]]", ""),  # has no RPN head
    ],
)
def test_an_rpn_head_that_does_not_fit_its_weights(
    weights: str, settings: str, told: str, tmp_path: Path, agropest: Dataset
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"base: {ROOT}/configs/agropest_r50_fpn.yaml\nconfig: {{MODEL.WEIGHTS: '{weights}'}}\n"
        f"variants: {{baseline: {{{'MODEL.ANCHOR_GENERATOR.' if settings else ''}{settings}}}}}\n"
    )
    spec = load_sweep(path)
    found = lint(spec, expand_trials(spec, "f", agropest.class_names), agropest)
    texts = [remark.text for remark in found if remark.rule == "reinitialised"]
    assert [told in text for text in texts] == ([True] if told else [])


def test_why_a_sampler_has_no_effect_is_said_once_and_its_threshold_is_enough(
    tmp_path: Path, agropest: Dataset
) -> None:
    def told(sampler: str, threshold: float) -> list[str]:
        path = tmp_path / "a.yaml"
        keys = f"DATALOADER.SAMPLER_TRAIN: {sampler}, DATALOADER.REPEAT_THRESHOLD: {threshold}, SOLVER.EMA.DECAY: 0.9"
        path.write_text(f"variants: {{baseline: {{}}, v: {{{keys}}}}}\n")
        spec = load_sweep(path)
        idle = {"v": [*SAMPLER_KEYS, "SOLVER.EMA.DECAY"]}
        found = lint(spec, expand_trials(spec, "f", agropest.class_names), agropest, idle)
        return [remark.text for remark in found if remark.rule in ("no-effect", "sampler-no-op")]

    sampler, rest = told("RepeatFactorTrainingSampler", 0.001)
    assert rest.startswith("v: SOLVER.EMA.DECAY: 0.9 changes nothing")
    # Slugs: 45 of 758 images, 0.05937: rounded down, 0.059 would repeat nothing.
    assert sampler.endswith("a threshold above 0.060 repeats something")
    (rest,) = told("TrainingSampler", 0.001)  # of which the threshold is no setting
    assert rest.startswith("v: DATALOADER.SAMPLER_TRAIN: TrainingSampler, DATALOADER.REPEAT_THRESHOLD: 0.001, SOLVER")


def test_retinanet_has_a_score_threshold_of_its_own(tmp_path: Path, agropest: Dataset) -> None:
    path = tmp_path / "a.yaml"
    for architecture, head, speaks in (
        ("RetinaNet", "RETINANET", True),
        ("RetinaNet", "ROI_HEADS", False),
        ("GeneralizedRCNN", "RETINANET", False),
    ):
        path.write_text(
            f"variants: {{baseline: {{}}}}\nconfig: {{MODEL.META_ARCHITECTURE: {architecture}, "
            f"MODEL.{head}.SCORE_THRESH_TEST: 0.5}}\n"
        )
        assert (("score-threshold", "baseline") in remarks(path, agropest)) is speaks


def test_several_seeds_are_enough(tmp_path: Path, agropest: Dataset) -> None:
    path = tmp_path / "a.yaml"
    for seeds, speaks in (("[42]", True), ("[42, 43]", False)):
        path.write_text(f"variants: {{baseline: {{}}, b: {{SOLVER.GAMMA: 0.2}}}}\nseeds: {seeds}\n")
        assert (("single-seed", "") in remarks(path, agropest)) is speaks
    path.write_text("variants: {baseline: {}}\n")  # nothing is compared
    assert ("single-seed", "") not in remarks(path, agropest)


def test_the_page_has_the_rules_in_their_order() -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    table = page.split("| rule | speaks of |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(RULES)


@pytest.mark.parametrize(("threshold", "speaks"), [(0.01, True), (0.5, False)])
def test_an_instance_aware_sampler_that_repeats_nothing(
    threshold: float, speaks: bool, tmp_path: Path, agropest: Dataset
) -> None:
    text = "DATALOADER.SAMPLER_TRAIN: InstanceAwareRepeatFactorSampler, DATALOADER.REPEAT_THRESHOLD"
    found = of(tmp_path, f"variants: {{baseline: {{}}, s: {{{text}: {threshold}}}}}\n", agropest)
    assert (("sampler-no-op", "s") in found) is speaks


def test_a_guard_on_a_class_that_validation_lacks(tmp_path: Path, agropest: Dataset) -> None:
    content = files.read_json(agropest.splits["valid"].annotations)
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != 3]
    path = tmp_path / "valid.json"
    files.write_json(path, content)
    valid = replace(agropest.splits["valid"], annotations=path)
    dataset = replace(agropest, splits={**agropest.splits, "valid": valid})
    text = "variants: {baseline: {}, other: {SOLVER.BASE_LR: 0.002}}\nguard: {class: class%d, max_drop: 2}\n"
    [(rule, told)] = of(tmp_path, text % 3, dataset)
    assert (rule, told) == ("guard-without-boxes", "the guard on class3 can say nothing")
    assert of(tmp_path, text % 2, dataset) == set()
    assert of(tmp_path, text % 3, agropest) == set()


def test_a_two_by_two_by_hand_holds_each_factor_alone(tmp_path: Path, agropest: Dataset) -> None:
    one, two = "SOLVER.BASE_LR: 0.002", "DATALOADER.REPEAT_THRESHOLD: 0.5, DATALOADER.SAMPLER_TRAIN: X"
    two = two.replace("X", "RepeatFactorTrainingSampler")
    both = f"variants: {{baseline: {{}}, lr: {{{one}}}, sampler: {{{two}}}, both: {{{one}, {two}}}}}\n"
    assert of(tmp_path, both, agropest) == set()
    other = both.replace("both: {SOLVER.BASE_LR: 0.002", "both: {SOLVER.BASE_LR: 0.004")  # not what stands alone
    assert of(tmp_path, other, agropest) == {("several-factors", "both")}


R50 = "resources: {gpus: 0}\nvariants: {baseline: {}, lr: {SOLVER.BASE_LR: 0.002}}\nsilence: [no-effect]\n"
CARD = Machine("EPYC", 8, (Card("H200", 10**11),))


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [
        (R50, Machine("EPYC", 8), {"slow-on-cpu"}),
        (R50, CARD, {"slow-on-cpu", "idle-gpu"}),
        (R50.replace("{gpus: 0}", "{gpus: 1}"), CARD, set()),
        (R50.replace("{gpus: 0}", "auto"), CARD, set()),
        (R50.replace("{gpus: 0}", "auto"), Machine("EPYC", 8), {"slow-on-cpu"}),
        ("config: {SOLVER.MAX_ITER: 20, SOLVER.STEPS: [10]}\n" + R50, Machine("EPYC", 8), set()),
    ],
)
def test_what_the_machine_has_and_the_trials_use(
    tmp_path: Path,
    agropest: Dataset,
    text: str,
    machine: Machine,
    expected: set[str],
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    spec = load_sweep(tmp_path / "a.yaml")
    trials = expand_trials(spec, agropest.fingerprint, agropest.class_names)
    subject = Subject(spec, trials, TrainingSets(agropest, {}), {}, machine)
    found = {name for name in ("slow-on-cpu", "idle-gpu") for _ in RULES[name](subject)}
    assert found == expected
