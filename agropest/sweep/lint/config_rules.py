"""Rules that hold the variants against one another, and each against what its evaluation and its weights need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from agropest.errors import SweepFileError
from agropest.modeling.config import FCOS, RETINANET
from agropest.sweep.detectron2_keys import FlatConfig, default_config, detectron2_folder, read_config_file
from agropest.sweep.lint.data_rules import SAMPLER_KEYS, rarest_not_repeated
from agropest.sweep.lint.subject import MOST_BUILT, Subject, first_seeds
from agropest.sweep.stages.rates import rate_schedule
from agropest.sweep.stages.training import written_training
from agropest.sweep.trial import TrialSpec

# Detectron2's default; above it, the precision-recall curve is cut off and AP is no longer AP.
HIGHEST_EVALUATION_THRESHOLD = 0.05
# detectron2://COCO-Detection/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl, by the name of its config.
ZOO_MODEL = re.compile(r"detectron2://(COCO-[A-Za-z]+/[^/]+)/")


def score_threshold(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        head = "RETINANET" if trial.config["MODEL.META_ARCHITECTURE"] in (RETINANET, FCOS) else "ROI_HEADS"
        threshold = trial.config[f"MODEL.{head}.SCORE_THRESH_TEST"]
        if threshold > HIGHEST_EVALUATION_THRESHOLD:
            yield (
                f"{trial.label}: MODEL.{head}.SCORE_THRESH_TEST {threshold:g} cuts off the precision-recall "
                "curve, more so where a loss makes scores low; keep 0.05 and read AP_deployed, from the same boxes"
            )


def unequal_iterations(subject: Subject) -> Iterator[str]:
    base = subject.baseline
    sources = {variant.name: variant.extends for variant in subject.spec.variants if variant.extends}
    for trial in subject.others if base.schedule_iters else ():
        if trial.schedule_iters == base.schedule_iters:
            continue
        if trial.label in sources:
            yield _longer(trial, sources[trial.label], subject)
        else:
            yield (
                f"{trial.label}: trains {trial.schedule_iters} iterations and {base.label} {base.schedule_iters}: a "
                "difference may be the training time's"
            )


def _longer(trial: TrialSpec, source: str, subject: Subject) -> str:
    """Returns what a variant of ``extend:`` means for the comparison, and at which learning rate it continues."""
    base = subject.baseline
    shorter = next(one for one in subject.variants if one.label == source)
    more, schedule = trial.schedule_iters - shorter.schedule_iters, rate_schedule(trial.config)
    share = schedule.multiplier(shorter.schedule_iters) if schedule is not None else 1.0
    text = f"{trial.label}: continues from {source} for {more} iterations, at {share:g} times SOLVER.BASE_LR at first: "
    if source == base.label:
        return text + f"its difference from {base.label} is what the longer training does"
    fix = f"extend {base.label}, too, and compare those that are as long"
    if f"{base.label}-to-{trial.schedule_iters}" in {one.label for one in subject.variants}:
        fix = f"compare it with {base.label}-to-{trial.schedule_iters}, which is as long"
    return text + f"its difference from {base.label} is the longer training's as well; {fix}"


def equal_trials(subject: Subject) -> Iterator[str]:
    seen: dict[str, str] = {}
    for trial in first_seeds(subject.trials):
        if trial.signature in seen:
            other = seen[trial.signature]
            yield f"{trial.label}: is the same trial as {other}: their effective configs are equal; they run once"
        seen.setdefault(trial.signature, trial.label)


def no_effect(subject: Subject) -> Iterator[str]:
    if len(subject.variants) > MOST_BUILT:
        yield (
            f"only the first {MOST_BUILT} of {len(subject.variants)} variants were built: what an override of another "
            "one changes is not known"
        )
    # What a base config of its own sets is not what the author of the sweep has written.
    written = {variant.name: variant.overrides for variant in subject.spec.variants if variant.base is not None}
    for trial in subject.variants:
        idle = [key for key in subject.idle.get(trial.label, ()) if key in written.get(trial.label, (key,))]
        if rarest_not_repeated(subject, trial) is not None:  # sampler-no-op says why
            idle = [key for key in idle if key not in SAMPLER_KEYS]
        if idle:
            keys = ", ".join(f"{key}: {trial.config[key]}" for key in idle)
            yield (
                f"{trial.label}: {keys} changes nothing: model, optimizer, batches and evaluation are built alike "
                "without it; switch on the setting that it needs, or remove it"
            )


def single_seed(subject: Subject) -> Iterator[str]:
    several = [one for one in first_seeds(subject.trials) if (one.source or one).max_iter]
    if len(subject.spec.seeds) > 1 or len(several) < 2:
        return
    fix = "add seeds: [42, 43, 44], or {start: 2, most: 8, until: decided}"
    if len({written_training(one) for one in several}) == 1:
        yield f"one seed: what the verdicts say is said of one training, which every variant evaluates; {fix}"
    else:
        yield (
            "one seed: what differs between variants may differ between seeds of one variant as much, so no verdict; "
            f"{fix}"
        )


def reinitialised(subject: Subject) -> Iterator[str]:
    """Anchors of another number than those of the model whose weights a trial starts from."""
    for trial in subject.variants:
        weights = ZOO_MODEL.match(trial.config["MODEL.WEIGHTS"])
        zoo = _zoo_config(weights[1]) if weights else None
        if not weights or zoo is None or not _has_rpn(zoo) or not _has_rpn(trial.config):
            continue
        ours, theirs = _anchors_per_cell(trial.config), _anchors_per_cell(zoo)
        if ours != theirs:
            yield (
                f"{trial.label}: has {ours} anchors per cell, and {weights[1]}, whose weights it starts from, has "
                f"{theirs}: the last layers of its RPN head do not fit and start from random weights, which may be "
                f"part of a difference; sizes times aspect ratios of a level that make {theirs} would fit"
            )


@cache
def _zoo_config(name: str) -> FlatConfig | None:
    """Returns the config of a model of Detectron2's zoo; None where this installation has none that is read here."""
    path = detectron2_folder() / "model_zoo" / "configs" / f"{name}.yaml"
    try:
        return {**default_config(), **read_config_file(path)}
    except SweepFileError:  # not there, or of another version
        return None


def _has_rpn(config: FlatConfig) -> bool:
    return (config["MODEL.META_ARCHITECTURE"], config["MODEL.PROPOSAL_GENERATOR.NAME"]) == ("GeneralizedRCNN", "RPN")


def _anchors_per_cell(config: FlatConfig) -> int:
    """Returns how many anchors the RPN has at each cell of a level; all levels have equally many."""
    return len(config["MODEL.ANCHOR_GENERATOR.SIZES"][0]) * len(config["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"][0])
