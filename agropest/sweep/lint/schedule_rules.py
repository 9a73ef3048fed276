"""Rules that hold the variants against their schedules: steps, warm-up, evaluations, early stopping, batch and rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.lint.subject import Subject
from agropest.sweep.sections.search import PBT, is_drawn
from agropest.sweep.sections.stop_rule import HYPERBAND, NONE
from agropest.sweep.stopping.halving_options import most_rungs, rung_iteration
from agropest.sweep.trial import TrialSpec

BATCH, RATE = "SOLVER.IMS_PER_BATCH", "SOLVER.BASE_LR"
SPARE = 1.1


def schedule(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        config, end = trial.config, trial.schedule_iters
        late = [step for step in config["SOLVER.STEPS"] if step >= end]
        if late and config["SOLVER.LR_SCHEDULER_NAME"] == "WarmupMultiStepLR":
            yield (
                f"{trial.label}: SOLVER.STEPS {late} lie at or past the end ({end} iterations) and never happen; move "
                "them before it, or take them out"
            )
        warm_up = config["SOLVER.WARMUP_ITERS"]
        if warm_up > end / 4:
            yield (
                f"{trial.label}: the warm-up takes {warm_up} of {end} iterations, and little is left at the full "
                "learning rate; a tenth or less is usual (SOLVER.WARMUP_ITERS)"
            )
        yield from _evaluations(subject, trial)
        yield from _patience(trial)


def _evaluations(subject: Subject, trial: TrialSpec) -> Iterator[str]:
    period, end = trial.config["TEST.EVAL_PERIOD"], trial.schedule_iters
    if not 0 < period < end:
        if subject.spec.search.method != PBT:  # which evaluates at the end of every generation
            yield (
                f"{trial.label}: TEST.EVAL_PERIOD {period} evaluates only once, after the last of {end} iterations: no "
                "better checkpoint can be chosen; a tenth of the iterations is usual"
            )
    elif end % period:
        yield (
            f"{trial.label}: TEST.EVAL_PERIOD {period} does not divide {end}: the last evaluation, after the end, "
            f"comes {end % period} iterations after the one before; a divisor spaces them evenly"
        )


def _patience(trial: TrialSpec) -> Iterator[str]:
    patience, period, end = trial.config["TEST.PATIENCE"], trial.eval_period_iters, trial.schedule_iters
    first = (1 + patience) * period
    if not patience:
        return
    if first >= end:
        yield (
            f"{trial.label}: TEST.PATIENCE {patience} can end nothing: there are {len(trial.evaluation_iters)} "
            "evaluations; give less, or take it out"
        )
    decay = min(trial.config["SOLVER.STEPS"], default=end)
    if first <= decay < end and trial.config["SOLVER.LR_SCHEDULER_NAME"] == "WarmupMultiStepLR":
        yield (
            f"{trial.label}: TEST.PATIENCE {patience} may end it at iteration {first}, before the learning rate first "
            f"falls, at {decay}, where AP usually rises; {decay // period} waits for that"
        )


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
        yield "search.quantile_fraction is 0: no member continues from another, except in place of one that failed"


def early_stopping(subject: Subject) -> Iterator[str]:
    rule = subject.spec.stop
    if rule.method == NONE:
        return
    for trial in subject.variants:
        warm_up, period = trial.config["SOLVER.WARMUP_ITERS"], trial.eval_period_iters
        if period >= trial.max_iter and (rule.is_stated or subject.others):
            yield (
                f"{trial.label}: is evaluated only at its end: {rule.method} can stop nothing; set TEST.EVAL_PERIOD, "
                "or stop: none"
            )
        last = max(trial.evaluation_iters[:-1], default=trial.max_iter)
        if last < trial.max_iter and rule.grace_period_iters > last:
            yield (
                f"{trial.label}: stop.grace_period_iters {rule.grace_period_iters} is past the last evaluation before "
                f"the end (iteration {last}): {rule.method} can stop nothing; give at most {last}, or stop: none"
            )
        first = _first_rung(subject, trial) if rule.method == HYPERBAND else rule.grace_period_iters
        if 0 < first < warm_up:
            yield (
                f"{trial.label}: {rule.method} may stop it at iteration {first}, within its warm-up ({warm_up}), "
                "before it has trained at its own learning rate; raise stop.grace_period_iters"
            )
        if 0 < rule.grace_period_iters < period < trial.max_iter:
            yield (
                f"{trial.label}: stop.grace_period_iters {rule.grace_period_iters} ends before the first evaluation "
                f"(iteration {period}), where {rule.method} may stop it all the same; give more than {period}, or "
                "take it out"
            )


def _first_rung(subject: Subject, trial: TrialSpec) -> int:
    """Returns the first iteration at which HyperBand's most aggressive bracket stops trials; 0: it stops none."""
    rule = subject.spec.stop
    rungs = most_rungs(max(len(one.evaluation_iters) for one in subject.variants), rule.reduction_factor)
    share = rule.reduction_factor**-rungs
    return rung_iteration(trial.evaluation_iters, share, rule.grace_period_iters) if rungs else 0


def learning_rate(subject: Subject) -> Iterator[str]:
    """A batch of another size whose learning rate is not scaled with it.

    Between the square root of the batch's ratio (Krizhevsky 2014, "One weird trick") and the ratio itself (the linear
    rule: Goyal et al. 2017, section 2.1), both with a tenth to spare, a rate counts as scaled.
    """
    for trial in subject.variants:
        whose, other = _held_against(subject, trial)
        images, rate = trial.config[BATCH] / other[BATCH], trial.config[RATE] / other[RATE]
        low, high = sorted((images, math.sqrt(images)))
        if images != 1 and not low / SPARE <= rate <= high * SPARE:
            its = "the same" if rate == 1 else f"{rate:g} times its"
            linear, root = other[RATE] * images, other[RATE] * math.sqrt(images)
            yield (
                f"{trial.label}: has {images:g} times {whose} batch and {its} SOLVER.BASE_LR: a difference may be the "
                f"learning rate's; the linear rule (Goyal et al. 2017) gives {linear:.3g}, the square root {root:.3g}"
            )


def _held_against(subject: Subject, trial: TrialSpec) -> tuple[str, Mapping[str, Any]]:
    """Returns whose batch and rate those of a variant are held against; its own, where its rate is varied on purpose.

    A batch that only some variants have is held against the baseline's, and that of the whole sweep against the base
    config's, unless its rate is Detectron2's default: a placeholder, not a rate to scale.
    """
    baseline, search = subject.baseline.config, subject.spec.search
    if trial.config[BATCH] != baseline[BATCH]:
        is_searched = RATE in search.names.keys and is_drawn(search, trial.label)
        return "the baseline's", trial.config if is_searched else baseline
    base = {**default_config(), **subject.spec.base}
    is_varied = trial.config[RATE] != baseline[RATE]
    is_first = baseline[RATE] != base[RATE] and (RATE not in subject.spec.base or base[RATE] <= 0)
    return "the base config's", trial.config if is_varied or is_first else base
