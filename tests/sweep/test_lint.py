"""Each rule of the linter speaks where it must and is silent where it must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest import files
from agropest.data.dataset import Dataset, Split
from agropest.errors import SweepFileError
from agropest.sweep.lint import RULES, lint
from agropest.sweep.lint.config_rules import factor_of
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[2]


def remarks(path: Path, dataset: Dataset) -> list[tuple[str, str]]:
    """Returns (rule, variant) of every remark; the variant is empty where the sweep is meant."""
    spec = load_sweep(path)
    found = lint(spec, expand_trials(spec, dataset.fingerprint, dataset.class_names), dataset)
    whole = ("single-seed", "split-leakage")  # not of one variant
    labels = (
        [r.text.split(":")[0] if r.rule == whole[1] else ""] if r.rule in whole else r.text.split(":")[0].split(", ")
        for r in found
    )
    return [(r.rule, label) for r, its in zip(found, labels, strict=True) for label in its]


def of(tmp_path: Path, text: str, dataset: Dataset) -> set[tuple[str, str]]:
    path = tmp_path / "a.yaml"
    path.write_text("config: {SOLVER.WARMUP_ITERS: 100, SOLVER.MAX_ITER: 40000, SOLVER.STEPS: [30000]}\n" + text)
    return {pair for pair in remarks(path, dataset) if pair[0] not in ("anchor-range", "single-seed")}


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


def test_early_stopping_without_anything_to_stop_by(tmp_path: Path, agropest: Dataset) -> None:
    text = "variants: {baseline: {}}\nstop: {method: asha, grace_period_iters: 50}\n"
    assert of(tmp_path, text, agropest) == {("early-stopping", "baseline")}
    silent = "variants: {baseline: {TEST.EVAL_PERIOD: 4000}}\nstop: {method: asha, grace_period_iters: 8000}\n"
    assert of(tmp_path, silent, agropest) == set()


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
    assert texts == ([f"baseline: {told}"] if told else [])


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
    assert factor_of("INPUT.ROTATION_DEGREES") == "augmentation"
    assert factor_of("MODEL.RPN.NMS_THRESH") == "MODEL.RPN"
    assert len(RULES) == 16


def test_the_batch_of_a_whole_sweep_is_held_against_the_base_config(tmp_path: Path, agropest: Dataset) -> None:
    text = "variants: {baseline: {}}\n"
    path = tmp_path / "a.yaml"
    path.write_text("config: {SOLVER.IMS_PER_BATCH: 32}\n" + text)
    assert ("learning-rate", "baseline") in remarks(path, agropest)
    path.write_text("config: {SOLVER.IMS_PER_BATCH: 32, SOLVER.BASE_LR: 0.002}\n" + text)
    assert ("learning-rate", "baseline") not in remarks(path, agropest)


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
