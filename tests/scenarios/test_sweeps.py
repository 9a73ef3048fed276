"""Every file in sweeps/: planned as it stands, every variant trained for two iterations at toy size.

Toy size keeps what a variant varies: sizes are divided, layers are narrowed, and nothing is set that a sweep sets, but
for the initial weights, which are not on this machine.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agropest.data.anchors.fitted import fitted_anchors
from agropest.data.dataset import Dataset
from agropest.data.training_sets.opened import open_training_sets
from agropest.store.store import Store
from agropest.sweep.detectron2_keys import FlatConfig
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.lint import lint
from agropest.sweep.lint.subject import first_seeds
from agropest.sweep.plan import WEIGHTS, expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec
from agropest.training.dry_run.effects import find_effects
from agropest.training.evaluation import TestTimeAugmentation, detect
from agropest.training.input.batches import BatchStream
from agropest.training.input.mapper import TestMapper
from agropest.training.input.records import load_records
from agropest.training.input.samplers import class_repeat_factors
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config
from agropest.tuning.search.suggestions import open_search
from tests.conftest import BOXES

SWEEPS = sorted((Path(__file__).resolve().parents[2] / "sweeps").glob("*.yaml"))
NAMES = [path.stem for path in SWEEPS]
EVERY_SWEEP = {
    *("anchors", "augmentation", "backbones", "baseline", "demo", "factorial", "focal_loss", "heads", "sampler"),
    *("bccd", "detectors", "evaluation", "learning_curve", "population", "schedule", "search", "study", "torchvision"),
}
# What a sweep sets and what has no effect, on purpose: the study's sampler, at a threshold that repeats nothing.
IDLE = {"study": {"run2": ["DATALOADER.SAMPLER_TRAIN", "DATALOADER.REPEAT_THRESHOLD"]}}
# The rules that speak of a sweep on such data, each of them to the point.
TOLD = {
    "anchors": {"reinitialised", "anchor-range"},
    "search": {"single-seed"},
    "torchvision": {"single-seed"},
    "factorial": {"reinitialised", "anchor-range"},
    "study": {
        *("sampler-no-op", "score-threshold", "several-factors", "unequal-iterations", "unequal-augmentation"),
        *("single-seed", "reinitialised", "anchor-range"),
    },
}
# Those whose verdicts decide how many seeds are trained: the others list theirs, or search.
ADAPTIVE = {"anchors", "augmentation", "backbones", "bccd", "demo", "focal_loss", "heads", "sampler", "schedule"}
SMALLER = 10


def planned(path: Path, dataset: Dataset) -> tuple[SweepSpec, list[TrialSpec]]:
    spec = load_sweep(path)
    fit = functools.partial(fitted_anchors, dataset)
    sets = open_training_sets([variant.training for variant in spec.variants], dataset, {})
    return spec, expand_trials(spec, dataset.fingerprint, dataset.class_names, fit, sets.fingerprints)


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
        "SOLVER.IMS_PER_BATCH": max(2, config["SOLVER.ACCUMULATION_STEPS"]),
    }
    if config["MODEL.BACKBONE.NAME"] == "build_narrow_resnet18_fpn_backbone":
        small["MODEL.RESNETS.RES2_OUT_CHANNELS"] = 32
    for key in ("INPUT.MIN_SIZE_TRAIN", "TEST.AUG.MIN_SIZES"):
        small[key] = [side // SMALLER for side in config[key]]
    for key in ("INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TRAIN", "INPUT.MAX_SIZE_TEST"):
        small[key] = config[key] // SMALLER
    return {**config, **small}


def detectron2s(trials: list[TrialSpec]) -> list[TrialSpec]:
    """Returns one trial for each variant that Detectron2 trains."""
    return [trial for trial in first_seeds([t for t in trials if t.trains]) if not is_command(trial.config)]


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
def test_the_header_says_how_much_is_trained(path: Path, agropest: Dataset) -> None:
    spec, everyone = planned(path, agropest)
    trials = [trial for trial in everyone if trial.trains]
    evaluations = re.search(r"^# Cost:.* and (\d+) evaluations of\s+#\s+their weights", path.read_text(), re.M | re.S)
    assert len(everyone) - len(trials) == (int(evaluations[1]) if evaluations else 0)
    cost = re.search(r"^# Cost: +(\w+) trials?(?: of|,) ([\d,]+) iterations( in all)?", path.read_text(), re.MULTILINE)
    assert cost is not None
    number = {"one": 1}.get(cost[1]) or int(cost[1])
    iterations = int(cost[2].replace(",", ""))
    members = spec.search.population  # of which each trains the whole schedule, one generation after the other
    assert number == len(trials) + members
    whole = sum(trial.max_iter for trial in trials) + members * trials[0].max_iter
    assert iterations * (1 if cost[3] else number) == whole
    trained = re.search(r" iterations(?: in all)?, of which ([\d,]+) are trained", path.read_text())
    tree = stage_tree(trials)
    assert (int(trained[1].replace(",", "")) if trained else tree.num_iters_unshared) == tree.num_iters


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_the_header_says_the_most_that_seeds_until_decided_may_cost(path: Path) -> None:
    spec = load_sweep(path)
    told = re.search(
        r"^# Cost:.* to begin with \((\d+) variants, 2 seeds\)(.*?)^question", path.read_text(), re.M | re.S
    )
    assert spec.seed_rule.is_adaptive == (told is not None) == (path.stem in ADAPTIVE)
    if told is not None:
        most = re.search(r"At most (\d+) trials, if no\s+(?:#\s+)?verdict were clear before (\d+) seeds", told[0], re.I)
        assert most is not None
        assert (int(told[1]), spec.seed_rule.start) == (len(spec.variants), 2)
        assert [int(most[1]), int(most[2])] == [len(spec.variants) * spec.seed_rule.most, spec.seed_rule.most]


def test_what_the_headers_say_of_anchors_and_samplers(agropest: Dataset) -> None:
    _, trials = planned(next(path for path in SWEEPS if path.stem == "anchors"), agropest)
    evaluated = ("INPUT.MIN_SIZE_TEST", "TEST.AUG.ENABLED")
    differing = {str({**trial.config, **dict.fromkeys(evaluated)}) for trial in trials}
    assert (len(first_seeds(trials)), len(differing)) == (12, 12)  # six trainings with each of two seeds
    shares = np.array(BOXES) / 15282
    for threshold, told in ((0.001, []), (0.1, [9, 1.13, 1.29]), (0.3, [12, 1.43, 2.23])):
        repeated = [r for r in class_repeat_factors(shares, threshold) if r > 1]
        assert [len(repeated), round(min(repeated), 2), round(max(repeated), 2)] == told if told else not repeated


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_it_plans_and_every_override_counts(path: Path, agropest: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """On data with AgroPest-12's class frequencies, which decide what a sampler repeats; it has no pictures."""
    monkeypatch.setattr("agropest.training.dry_run.effects.rehearse", lambda trial, records: None)
    spec, trials = planned(path, agropest)
    variants = detectron2s(trials)
    baseline = next(trial for trial in trials if trial.label == spec.baseline)
    assert len({trial.signature for trial in trials}) == len(trials)
    # Of population the members are drawn while it runs; of evaluation one is trained.
    assert len(first_seeds(trials)) >= 2 or path.stem in ("baseline", "evaluation", "population")
    effects = find_effects(variants, baseline, agropest.splits["train"])
    assert effects.faults == []
    bases = {variant.name for variant in spec.variants if variant.base is not None}
    written = {label: keys for label, keys in effects.idle.items() if label not in bases}
    assert written == IDLE.get(path.stem, {})
    assert {remark.rule for remark in lint(spec, trials, agropest, effects.idle)} == TOLD.get(path.stem, set())


@pytest.fixture(scope="module")
def trained() -> dict[str, list[dict[str, torch.Tensor]]]:
    """Losses of both iterations by signature: what several sweeps share is trained once."""
    return {}


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_every_variant_trains(path: Path, insects: Dataset, trained: dict[str, list[dict[str, torch.Tensor]]]) -> None:
    _, trials = planned(path, insects)
    split = insects.splits["train"]
    records = load_records(split.name, split.annotations, split.image_root).dicts
    augmented = ""
    for trial in detectron2s(trials):
        small = replace(trial, config={**toy(trial.config), "SEED": trial.seed})
        trainer = None
        if small.signature not in trained:
            trainer = two_iterations(small, records)
            trained[small.signature] = trainer._recent
        losses = trained[small.signature]
        assert len(losses) == 2
        assert all(torch.isfinite(value) for step in losses for value in step.values()), trial.label
        dense = {"retinanet": {"loss_cls", "loss_box_reg"}, "fcos": {"loss_fcos_cls", "loss_fcos_loc", "loss_fcos_ctr"}}
        assert dense.get(trial.label, {"loss_rpn_cls", "loss_rpn_loc"}) <= set(losses[0])
        assert any("_cls" in name and "rpn" not in name for name in losses[0])
        if "TEST.AUG.ENABLED" in trial.overrides and trainer is not None and not augmented:
            assert_augmented(small, trainer, records[0])
            augmented = trial.label
    assert augmented == {"anchors": "tta", "study": "run1"}.get(path.stem, "")


def two_iterations(trial: TrialSpec, records: list[dict[str, Any]]) -> TrialTrainer:
    cfg = detectron2_config(trial, "cpu")
    trainer = TrialTrainer(cfg, "cpu")
    trainer.batches = BatchStream(records, cfg, trial.seed).iterate(0, 0)
    trainer.train(0, 2)
    return trainer


def assert_augmented(trial: TrialSpec, trainer: TrialTrainer, record: dict[str, Any]) -> None:
    """Asserts that a picture is evaluated at every size of ``TEST.AUG``, flipped and not."""
    model = TestTimeAugmentation(trainer.cfg, trainer.evaluation_model())
    seen = []
    one_by_one = model.augmented.model.inference

    def inference(inputs: list[dict[str, Any]], *arguments: Any, **others: Any) -> Any:
        seen.extend(tuple(item["image"].shape) for item in inputs)
        return one_by_one(inputs, *arguments, **others)

    model.augmented.model.inference = inference
    found = detect(model, [record], TestMapper(trainer.cfg), {index: index + 1 for index in range(12)})
    assert found.num_images == 1
    sides = [side for side in trial.config["TEST.AUG.MIN_SIZES"] for _ in range(2)]
    assert sorted(min(shape[1:]) for shape in seen[: len(sides)]) == sides
    assert len(sides) == 18  # as sweeps/anchors.yaml says


# Learning rates by hand, at iterations after the warm-up: BASE_LR x 0.1 for each of SOLVER.STEPS that is past.
STEPWISE = {1000: 1e-3, 14999: 1e-3, 15000: 1e-4, 20000: 1e-5}
RATES = {
    ("schedule", "baseline"): STEPWISE,
    ("schedule", "half_lr"): {step: rate / 2 for step, rate in STEPWISE.items()},
    ("schedule", "twice_lr"): {step: rate * 2 for step, rate in STEPWISE.items()},
    # 0.0005 x (1 + cos(pi x n / 25,000)): cos is 0.5 after a third, 0 after a half, and -1 at the end.
    ("schedule", "cosine"): {12500: 5e-4, 25000: 0.0},
    ("schedule", "averaged"): STEPWISE,
    ("schedule", "twice_as_long"): {1000: 1e-3, 29999: 1e-3, 30000: 1e-4, 40000: 1e-5},
    **{
        ("search", f"random-{number:03d}"): {step: rate * times for step, rate in STEPWISE.items()}
        for number, times in enumerate((0.4222, 0.5221, 0.3182, 6.397, 0.3331, 1.968, 9.167))
    },
    ("detectors", "adamw"): {step: rate / 20 for step, rate in STEPWISE.items()},
    ("detectors", "accumulated"): {step: rate * 4 for step, rate in STEPWISE.items()},
    ("study", "run0"): STEPWISE,
    ("study", "run2a"): {250: 5.005e-4, 500: 1e-3, 8999: 1e-3, 9000: 1e-4, 12000: 1e-5},
}
EVALUATED = {
    ("schedule", "twice_as_long"): [5000 * number for number in range(1, 11)],
    ("study", "run2a"): [2500 * number for number in range(1, 7)],
}
STARTS_FROM = {
    "cascade": "detectron2://Misc/cascade_mask_rcnn_R_50_FPN_3x/144998488/model_final_480dd8.pkl",
    "retinanet": "detectron2://COCO-Detection/retinanet_R_50_FPN_3x/190397829/model_final_5bd44e.pkl",
    "fcos": "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
    "dc5": "detectron2://COCO-Detection/faster_rcnn_R_50_DC5_3x/137849425/model_final_68d202.pkl",
    "c4": "detectron2://COCO-Detection/faster_rcnn_R_50_C4_3x/137849393/model_final_f97cb7.pkl",
    "r50_imagenet": "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
    "r50_coco": "detectron2://COCO-Detection/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl",
    "r101_imagenet": "detectron2://ImageNetPretrained/MSRA/R-101.pkl",
    "swin_t": " + timm://swin_tiny_patch4_window7_224.ms_in1k",
    "convnext_t": " + timm://convnext_tiny.fb_in1k",
}


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_schedules_and_weights_are_what_a_sweep_says(path: Path, insects: Dataset) -> None:
    """What :func:`find_effects` takes from the config as it stands is held against what is built and done."""
    _, trials = planned(path, insects)
    for trial in detectron2s(trials):
        name, changed = (path.stem, trial.label), set(trial.overrides)
        if any(key.startswith("SOLVER.") for key in changed):
            assert name in RATES
        if name in RATES:
            trainer = TrialTrainer(detectron2_config(replace(trial, config=toy(trial.config)), "cpu"), "cpu")
            assert {step: rate_at(trainer, step) for step in RATES[name]} == pytest.approx(RATES[name], abs=1e-9)
            is_adamw = trial.config["SOLVER.OPTIMIZER"] == "AdamW"
            assert {group.get("momentum", group.get("betas")) for group in trainer.optimizer.param_groups} == {
                (0.9, 0.999) if is_adamw else 0.9
            }
            assert (trainer.ema is not None) is (trial.label == "averaged")
            if trainer.ema is not None:
                assert trainer.ema.decay == 0.999
                assert trainer.evaluation_model() is trainer.ema.module
        if changed & {"SOLVER.MAX_ITER", "TEST.EVAL_PERIOD"}:
            assert [n for n in range(1, 60000) if trial.is_evaluation(n)] == EVALUATED[name]
        if changed.intersection(WEIGHTS) or path.stem == "backbones":
            assert trial.weights == STARTS_FROM[trial.label]


def test_the_features_that_no_question_of_the_study_needs_are_shown(insects: Dataset, tmp_path: Path) -> None:
    """Searches, budgets, trackers and retries; a population's members are drawn when it is launched."""
    specs = {path.stem: load_sweep(path) for path in SWEEPS}
    search, population = specs["search"], specs["population"]
    assert (search.search.method, search.stop.method, search.retries) == ("random", "asha", 3)
    assert search.budget.max_hours == 4
    assert [tracker.name for tracker in search.track] == ["mlflow"]
    assert population.search.method == "pbt"

    def expand(spec: SweepSpec) -> list[TrialSpec]:
        return expand_trials(spec, insects.fingerprint, insects.class_names)

    members = open_search(population, expand, Store(tmp_path / "r"))
    assert members is not None
    assert members.next_round()
    trials = members.expand(members.sweep())
    assert len({trial.config["SOLVER.BASE_LR"] for trial in trials}) == 7  # six members and the baseline
    assert {trial.max_iter for trial in trials} == {5000, 25000}


def rate_at(trainer: TrialTrainer, iteration: int) -> float:
    trainer.scheduler.last_epoch = iteration
    return float(trainer.scheduler.get_lr()[0])
