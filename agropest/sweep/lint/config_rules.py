"""Rules that hold the variants against one another and against their schedule."""

from __future__ import annotations

from collections.abc import Iterator

from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.factors import APPLIED
from agropest.sweep.lint.subject import MOST_BUILT, Subject
from agropest.sweep.search import PBT
from agropest.sweep.stop_rule import HYPERBAND, most_rungs, rung_iteration
from agropest.sweep.trial import TrialSpec

# Detectron2's default; above it, the precision-recall curve is cut off and AP is no longer AP.
HIGHEST_EVALUATION_THRESHOLD = 0.05
# Keys that are one factor together, however many of them change; any other key is a factor by its own group.
FACTORS = {
    "MODEL.ANCHOR_GENERATOR": "anchors",
    "MODEL.ROI_BOX_HEAD": "box head",
    "MODEL.ROI_BOX_CASCADE_HEAD": "box head",
    "MODEL.ROI_HEADS.NAME": "box head",
    "MODEL.WEIGHTS": "backbone",  # weights of one backbone do not fit another
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
    "TEST.EVAL_PERIOD": "schedule",
    "INPUT": "augmentation",
}


def score_threshold(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        threshold = trial.config["MODEL.ROI_HEADS.SCORE_THRESH_TEST"]
        if threshold > HIGHEST_EVALUATION_THRESHOLD:
            yield (
                f"{trial.label}: MODEL.ROI_HEADS.SCORE_THRESH_TEST {threshold:g} cuts off the precision-recall "
                "curve, more so where a loss makes scores low; keep 0.05 and read AP_deployed, from the same boxes"
            )


def several_factors(subject: Subject) -> Iterator[str]:
    yield from _bundled_factors(subject)
    for trial in subject.others:
        if trial.levels:  # a factorial or ablation design: the other combinations are there
            continue
        factors = sorted({factor_of(key) for key in trial.overrides})
        if len(factors) > 1:
            yield (
                f"{trial.label}: changes {len(factors)} factors of {subject.baseline.label}: {', '.join(factors)}; "
                "no factor's own effect can be known; vary one at a time, or use factors:"
            )


def _bundled_factors(subject: Subject) -> Iterator[str]:
    """Levels of a design that change what are several factors by themselves, seen where such a level stands alone."""
    unapplied = (trial for trial in subject.variants if trial.levels and APPLIED not in trial.levels.values())
    base = next(unapplied, subject.baseline)
    for trial in subject.variants:
        applied = [name for name, level in trial.levels.items() if level == APPLIED]
        changed = [key for key, value in trial.config.items() if base.config.get(key) != value]
        factors = sorted({factor_of(key) for key in changed if key != "SEED"})
        if len(applied) == 1 and len(factors) > 1:
            yield (
                f"factors.{applied[0]}: applying it changes {len(factors)} factors at once: {', '.join(factors)}; the "
                "design cannot tell them apart; make each a factor of its own"
            )


def unequal_iterations(subject: Subject) -> Iterator[str]:
    for trial in subject.others:
        if trial.schedule_iters != subject.baseline.schedule_iters:
            yield (
                f"{trial.label}: trains {trial.schedule_iters} iterations and {subject.baseline.label} "
                f"{subject.baseline.schedule_iters}: a difference may be the training time's"
            )


def unequal_augmentation(subject: Subject) -> Iterator[str]:
    for trial in subject.others:
        if trial.levels:
            continue
        ours, theirs = trial.config["TEST.AUG.ENABLED"], subject.baseline.config["TEST.AUG.ENABLED"]
        if ours != theirs and len({factor_of(key) for key in trial.overrides}) > 1:
            has, lacks = ("has", "lacks") if ours else ("lacks", "has")
            yield (
                f"{trial.label}: {has} test-time augmentation, which {subject.baseline.label} {lacks}: its effect "
                "cannot be told from that of the other changes"
            )


def equal_trials(subject: Subject) -> Iterator[str]:
    seen: dict[str, str] = {}
    for trial in subject.variants:
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
    for trial in subject.variants:
        if trial.label in subject.idle:
            keys = ", ".join(f"{key}: {trial.config[key]}" for key in subject.idle[trial.label])
            yield (
                f"{trial.label}: {keys} changes nothing: model, optimizer, batches and evaluation are built alike "
                "without it; something else must be switched on for it to count, or it can go"
            )


def schedule(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        config, end = trial.config, trial.schedule_iters
        late = [step for step in config["SOLVER.STEPS"] if step >= end]
        if late and config["SOLVER.LR_SCHEDULER_NAME"] == "WarmupMultiStepLR":
            yield f"{trial.label}: SOLVER.STEPS {late} lie at or past the end ({end} iterations) and never happen"
        warm_up = config["SOLVER.WARMUP_ITERS"]
        if warm_up > end / 4:
            yield f"{trial.label}: the warm-up takes {warm_up} of {end} iterations; a tenth or less is usual"
        if end % trial.eval_period_iters:
            period = trial.eval_period_iters
            yield f"{trial.label}: TEST.EVAL_PERIOD {period} does not divide {end}: the last evaluation comes early"


def population(subject: Subject) -> Iterator[str]:
    rule, trial = subject.spec.search, subject.baseline
    if rule.method != PBT:
        return
    interval, end, warm_up = rule.interval_iters, trial.schedule_iters, trial.config["SOLVER.WARMUP_ITERS"]
    if end % interval:
        yield (
            f"search.interval_iters {interval} does not divide SOLVER.MAX_ITER {end}: the last generation trains only "
            f"{end % interval} iterations"
        )
    if interval <= warm_up:
        yield (
            f"search.interval_iters {interval} lies within the warm-up ({warm_up} iterations): the first generation is "
            "judged before it has trained at its own learning rates"
        )
    if rule.quantile_fraction == 0:
        yield "search.quantile_fraction is 0: nobody goes on from another, unless one fails"


def early_stopping(subject: Subject) -> Iterator[str]:
    rule = subject.spec.stop
    if rule.method == "none" or not rule.is_stated:
        return
    for trial in subject.variants:
        warm_up = trial.config["SOLVER.WARMUP_ITERS"]
        if trial.eval_period_iters >= trial.max_iter:
            yield f"{trial.label}: is evaluated only at its end: {rule.method} can stop nothing; set TEST.EVAL_PERIOD"
        first = _first_rung(subject, trial) if rule.method == HYPERBAND else rule.grace_period_iters
        if 0 < first < warm_up:
            yield f"{trial.label}: {rule.method} may stop it at iteration {first}, within its warm-up ({warm_up})"
        if 0 < rule.grace_period_iters < trial.eval_period_iters:
            yield f"{trial.label}: the grace period ends before the first evaluation ({trial.eval_period_iters})"


def _first_rung(subject: Subject, trial: TrialSpec) -> int:
    """Returns the first iteration at which HyperBand's most aggressive bracket stops trials; 0: it stops none."""
    rule = subject.spec.stop
    rungs = most_rungs(max(len(one.evaluation_iters) for one in subject.variants), rule.reduction_factor)
    share = rule.reduction_factor**-rungs
    return rung_iteration(trial.evaluation_iters, share, rule.grace_period_iters) if rungs else 0


def single_seed(subject: Subject) -> Iterator[str]:
    if len(subject.spec.seeds) == 1 and subject.others:
        yield (
            "one seed: what differs between variants may differ between seeds of one variant as much; add seeds: "
            "[42, 43, 44] to tell"
        )


def learning_rate(subject: Subject) -> Iterator[str]:
    """Another batch with the same rate, held against the base config, and then against the baseline."""
    base = {**default_config(), **subject.spec.base}
    for trial in subject.variants:
        for whose, config in (("the base config's", base), ("the baseline's", subject.baseline.config)):
            images = trial.config["SOLVER.IMS_PER_BATCH"] / config["SOLVER.IMS_PER_BATCH"]
            if images != 1 and trial.config["SOLVER.BASE_LR"] == config["SOLVER.BASE_LR"]:
                yield (
                    f"{trial.label}: has {images:g} times {whose} batch and its SOLVER.BASE_LR; the linear rule "
                    f"(Goyal et al. 2017) would make it {trial.config['SOLVER.BASE_LR'] * images:g}"
                )
                break


def factor_of(key: str) -> str:
    """Returns the factor a Detectron2 key belongs to: the longest prefix in ``FACTORS``, or its first two parts."""
    fitting = [prefix for prefix in FACTORS if key.startswith(prefix)]
    return FACTORS[max(fitting, key=len)] if fitting else ".".join(key.split(".")[:2])
