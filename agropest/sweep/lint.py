"""What a sweep file means but its author can hardly want: said before anything is trained.

Each rule is a function from :class:`Subject` to the texts of its remarks; :data:`RULES` names them, and
``silence: [name]`` in the sweep file turns one off. They warn, and never refuse: what cannot be trained at all is
refused by ``sweep.plan``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agropest.data.dataset import Dataset
from agropest.data.statistics import box_scales, class_statistics, repeat_factors
from agropest.errors import SweepFileError, fault, nearest
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

# Detectron2's default; above it, the precision-recall curve is cut off and AP is no longer AP.
HIGHEST_EVALUATION_THRESHOLD = 0.05
# Keys that are one factor together, however many of them change; any other key is a factor by its own group.
FACTORS = {
    "MODEL.ANCHOR_GENERATOR": "anchors",
    "MODEL.ROI_BOX_HEAD": "box head",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": "score threshold",
    "MODEL.BACKBONE": "backbone",
    "MODEL.RESNETS": "backbone",
    "MODEL.TIMM": "backbone",
    "MODEL.FPN": "backbone",
    "MODEL.PIXEL": "backbone",
    "INPUT.FORMAT": "backbone",
    "INPUT.MIN_SIZE_TRAIN": "train scales",
    "INPUT.MAX_SIZE_TRAIN": "train scales",
    "INPUT.MIN_SIZE_TEST": "test scale",
    "INPUT.MAX_SIZE_TEST": "test scale",
    "TEST.AUG": "test-time augmentation",
    "DATALOADER": "sampler",
    "SOLVER": "schedule",
    "INPUT": "augmentation",
}
BIG_SHARE = 0.05


@dataclass(frozen=True)
class Remark:
    """One remark on a sweep.

    Attributes:
        rule: a key of ``RULES``; goes into ``silence:``.
        text: what, with the numbers, and what to do.
    """

    rule: str
    text: str


@dataclass(frozen=True)
class Subject:
    """What the rules look at; ``variants`` has one trial for each variant, the first seed's."""

    spec: SweepSpec
    trials: Sequence[TrialSpec]
    dataset: Dataset

    @cached_property
    def variants(self) -> list[TrialSpec]:
        return list({trial.label: trial for trial in reversed(self.trials)}.values())[::-1]

    @cached_property
    def baseline(self) -> TrialSpec:
        return next(trial for trial in self.variants if trial.label == self.spec.baseline)

    @cached_property
    def others(self) -> list[TrialSpec]:
        return [trial for trial in self.variants if trial.label != self.spec.baseline]

    @cached_property
    def image_classes(self) -> list[frozenset[int]]:
        return [classes for classes in class_statistics(self.dataset, "train").image_class_sets if classes]


def lint(spec: SweepSpec, trials: Sequence[TrialSpec], dataset: Dataset) -> list[Remark]:
    """Returns the remarks of every rule that the sweep file does not silence, in the order of ``RULES``.

    Raises:
        SweepFileError: ``silence:`` names a rule that there is not.
    """
    unknown = [name for name in spec.silence if name not in RULES]
    if unknown:
        where, rule = f"{spec.path}: silence", "expected names of lint rules"
        raise SweepFileError(*(fault(where, rule, name, nearest(name, RULES)) for name in unknown))
    subject = Subject(spec, trials, dataset)
    wanted = {name: rule for name, rule in RULES.items() if name not in spec.silence}
    return [Remark(name, text) for name, rule in wanted.items() for text in rule(subject)]


def _sampler_no_op(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        if trial.config["DATALOADER.SAMPLER_TRAIN"] != "RepeatFactorTrainingSampler":
            continue
        threshold = trial.config["DATALOADER.REPEAT_THRESHOLD"]
        if repeat_factors(subject.image_classes, threshold).repeats_anything:
            continue
        rarest = min(row.images for row in class_statistics(subject.dataset, "train").rows if row.images)
        share = rarest / len(subject.image_classes)
        yield (
            f"{trial.label}: the repeat-factor sampler repeats nothing: its threshold is {threshold:g}, and the rarest "
            f"class is in {share:.1%} of the images (r = max(1, sqrt(t / f)) is 1 for every class); a threshold above "
            f"{share:.3f} repeats something"
        )


def _score_threshold(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        threshold = trial.config["MODEL.ROI_HEADS.SCORE_THRESH_TEST"]
        if threshold > HIGHEST_EVALUATION_THRESHOLD:
            yield (
                f"{trial.label}: MODEL.ROI_HEADS.SCORE_THRESH_TEST {threshold:g} cuts off the precision-recall "
                "curve, more so where a loss makes scores low; keep 0.05 and read AP_deployed, from the same boxes"
            )


def _several_factors(subject: Subject) -> Iterator[str]:
    for trial in subject.others:
        if trial.levels:  # a factorial or ablation design: the other combinations are there
            continue
        factors = sorted({factor_of(key) for key in trial.overrides})
        if len(factors) > 1:
            yield (
                f"{trial.label}: changes {len(factors)} factors of {subject.baseline.label}: {', '.join(factors)}; "
                "no factor's own effect can be known; vary one at a time, or use factors:"
            )


def _unequal_iterations(subject: Subject) -> Iterator[str]:
    for trial in subject.others:
        if trial.max_iter != subject.baseline.max_iter:
            yield (
                f"{trial.label}: trains {trial.max_iter} iterations and {subject.baseline.label} "
                f"{subject.baseline.max_iter}: a difference may be the training time's"
            )


def _unequal_augmentation(subject: Subject) -> Iterator[str]:
    for trial in subject.others:
        if trial.levels:
            continue
        ours, theirs = trial.config["TEST.AUG.ENABLED"], subject.baseline.config["TEST.AUG.ENABLED"]
        if ours != theirs and len({factor_of(key) for key in trial.overrides}) > 1:
            which = trial.label if ours else subject.baseline.label
            yield f"{trial.label}: only {which} has test-time augmentation: it is compared together with the rest"


def _equal_trials(subject: Subject) -> Iterator[str]:
    seen: dict[str, str] = {}
    for trial in subject.variants:
        if trial.signature in seen:
            yield f"{trial.label}: is the same trial as {seen[trial.signature]}: their effective configs are equal"
        seen.setdefault(trial.signature, trial.label)


def _schedule(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        config, end = trial.config, trial.max_iter
        late = [step for step in config["SOLVER.STEPS"] if step >= end]
        if late and config["SOLVER.LR_SCHEDULER_NAME"] == "WarmupMultiStepLR":
            yield f"{trial.label}: SOLVER.STEPS {late} lie at or past the end ({end} iterations) and never happen"
        warm_up = config["SOLVER.WARMUP_ITERS"]
        if warm_up > end / 4:
            yield f"{trial.label}: the warm-up takes {warm_up} of {end} iterations; a tenth or less is usual"
        if end % trial.eval_period_iters:
            period = trial.eval_period_iters
            yield f"{trial.label}: TEST.EVAL_PERIOD {period} does not divide {end}: the last evaluation comes early"


def _early_stopping(subject: Subject) -> Iterator[str]:
    rule = subject.spec.stop
    if rule.method == "none":
        return
    for trial in subject.variants:
        if trial.eval_period_iters >= trial.max_iter:
            yield f"{trial.label}: is evaluated only at its end: {rule.method} can stop nothing; set TEST.EVAL_PERIOD"
        if 0 < rule.grace_period_iters < trial.config["SOLVER.WARMUP_ITERS"]:
            yield f"{trial.label}: {rule.method} may stop it at iteration {rule.grace_period_iters}, within its warm-up"
        if 0 < rule.grace_period_iters < trial.eval_period_iters:
            yield f"{trial.label}: the grace period ends before the first evaluation ({trial.eval_period_iters})"


def _single_seed(subject: Subject) -> Iterator[str]:
    if len(subject.spec.seeds) == 1 and subject.others:
        yield (
            "one seed: what differs between variants may differ between seeds of one variant as much; add seeds: "
            "[42, 43, 44] to tell"
        )


def _large_boxes(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        config = trial.config
        largest = max(size for sizes in config["MODEL.ANCHOR_GENERATOR.SIZES"] for size in sizes)
        sides = config["INPUT.MIN_SIZE_TRAIN"]
        scaled = box_scales(subject.dataset, "train", [sides[len(sides) // 2]], config["INPUT.MAX_SIZE_TRAIN"])
        share = float((np.sqrt(scaled.prod(axis=-1)) > largest * np.sqrt(2)).mean()) if scaled.size else 0.0
        if share > BIG_SHARE:
            yield (
                f"{trial.label}: {share:.0%} of the boxes are larger than the largest anchor ({largest:g} px) by "
                "more than half an octave at the network's input; python -m agropest stats fits anchors to the data"
            )


def _learning_rate(subject: Subject) -> Iterator[str]:
    base = subject.baseline.config
    for trial in subject.others:
        images, rate = (trial.config[key] / base[key] for key in ("SOLVER.IMS_PER_BATCH", "SOLVER.BASE_LR"))
        if images != 1 and rate == 1:
            yield (
                f"{trial.label}: has {images:g} times the baseline's batch and its SOLVER.BASE_LR; the linear rule "
                f"(Goyal et al. 2017) would make it {trial.config['SOLVER.BASE_LR'] * images:g}"
            )


RULES: dict[str, Callable[[Subject], Iterator[str]]] = {
    "sampler-no-op": _sampler_no_op,
    "score-threshold": _score_threshold,
    "several-factors": _several_factors,
    "unequal-iterations": _unequal_iterations,
    "unequal-augmentation": _unequal_augmentation,
    "equal-trials": _equal_trials,
    "schedule": _schedule,
    "early-stopping": _early_stopping,
    "single-seed": _single_seed,
    "large-boxes": _large_boxes,
    "learning-rate": _learning_rate,
}


def factor_of(key: str) -> str:
    """Returns the factor a Detectron2 key belongs to: the longest prefix in ``FACTORS``, or its first two parts."""
    fitting = [prefix for prefix in FACTORS if key.startswith(prefix)]
    return FACTORS[max(fitting, key=len)] if fitting else ".".join(key.split(".")[:2])
