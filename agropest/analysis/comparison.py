"""What a sweep, or a few prediction files, can say: every variant against the baseline, with what is not known.

``sweep_comparison.compare_trials`` reads the store, ``prediction_comparison.compare_detectors`` takes boxes of any
origin; both return a :class:`Comparison`, which the console table, the files and the page render.

Finished variants are compared by the evaluation that validation chose. A variant of which a seed has not finished
(stopped, failed, running) is compared with the baseline, seed by seed, at the last iteration that both have evaluated,
is never ranked, and is never said to tie with the best: the seeds that were let finish would speak for it alone.

With several seeds the bootstrap draws seeds as well as images. The spread across seeds is given apart from the
interval; one seed says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agropest.analysis.guards import GuardResult, guarded
from agropest.statistics.average_precision import CLASS_PREFIX
from agropest.statistics.bootstrap import Replicates
from agropest.statistics.effects import contrasts
from agropest.statistics.inference import (
    BETTER,
    CONFIDENCE,
    INCONCLUSIVE,
    WORSE,
    Difference,
    Estimate,
    compare,
    estimate,
    ties,
)
from agropest.statistics.matching import Targets
from agropest.statistics.metric import num_boxes_behind
from agropest.statistics.sums import mean_over_seeds, minus, weighted_sum
from agropest.store.records import TrialState
from agropest.sweep.factors import APPLIED
from agropest.sweep.sections.guard import Guard

FARTHEST = 100.0  # percentage points that two values of a metric can be apart


@dataclass(frozen=True)
class ComparedVariant:
    """One variant, or one prediction file.

    Attributes:
        rank: among the variants of which all seeds have finished, from 1; None for the others.
        status: of the store; of several seeds the best one's, or how many have finished where not all have.
        seeds: of the trials behind the figures.
        iterations: of the evaluations behind the figures, one for each seed.
        estimate: of the metric on validation, mean over seeds; its interval holds image sampling, and with several
            seeds the spread across them too.
        by_seed: of the metric, one for each seed; their intervals hold image sampling only.
        ap_deployed: AP of the boxes at or above the deployed threshold, mean over seeds.
        seed_spread: standard deviation across seeds; None with one seed.
        difference: to the baseline; None for the baseline itself and where nothing can be compared.
        equal_iterations: where the variant or the baseline has not finished: the iterations at which they were
            compared, by seed; empty otherwise.
        ties_with_best: not distinguishable from the variant with the highest value.
        per_class: class to the difference of its AP to the baseline's; each with an interval of its own, exploratory.
        guards: one for each guard of the sweep.
        test: of the same checkpoints on the test split; None where there is none.
        test_ap_deployed: as ``ap_deployed``, of them.
        gap: validation minus test, as :class:`Estimate`.
        test_difference: to the baseline on test; only of the variant that validation ranks first.
        notes: what a reader must know.
    """

    label: str
    estimate: Estimate
    rank: int | None = None
    status: str = TrialState.FINISHED
    seeds: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
    by_seed: tuple[Estimate, ...] = ()
    ap_deployed: float | None = None
    seed_spread: float | None = None
    difference: Difference | None = None
    equal_iterations: tuple[int, ...] = ()
    ties_with_best: bool = False
    per_class: Mapping[str, Estimate] = field(default_factory=dict)
    guards: tuple[GuardResult, ...] = ()
    test: Estimate | None = None
    test_ap_deployed: float | None = None
    gap: Estimate | None = None
    test_difference: Difference | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Effect:
    """What a factor does; ``kind`` as in :mod:`agropest.statistics.effects`, p values corrected over the effects.

    Attributes:
        difference: of the metric.
        ap_deployed: the same of AP at the deployed threshold, without an interval; None where a variant has none.
    """

    kind: str
    factors: tuple[str, ...]
    difference: Difference
    ap_deployed: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What is known of a metric.

    Attributes:
        metric: of :mod:`agropest.statistics.metric`.
        baseline: the label that the others are compared with.
        num_images: of the split.
        num_sources: of which they are copies: the sample size behind the intervals.
        num_boxes: annotations behind the metric.
        resamples: of the bootstrap.
        confidence: of the intervals.
        variants: ranked first, then the others.
        sentence: what is known, in one sentence.
        effects: of the factors, where the sweep has some and their variants have finished.
        damaged: names of finished trials of which something is missing or damaged; they count as interrupted.
    """

    metric: str
    baseline: str
    num_images: int
    num_sources: int
    num_boxes: int
    resamples: int
    confidence: float
    variants: tuple[ComparedVariant, ...]
    sentence: str
    effects: tuple[Effect, ...] = ()
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """Replicates of one variant, one for each seed.

    Attributes:
        metric: of the metric.
        by_class: of AP, for the classes and the guards.
        deployed: AP at the deployed score threshold.
    """

    seeds: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
    metric: tuple[Replicates, ...] = ()
    by_class: tuple[Replicates, ...] = ()
    deployed: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A variant before anything is compared.

    Attributes:
        shown: behind its own figures.
        against: the two sides of its difference to the baseline, where these are not both ``shown``: at equal
            iterations, because one of them has not finished.
        test: of the same checkpoints on the test split.
        test_deployed: AP there at the deployed score threshold.
        levels: of the factors, where the variant is one of a design.
        is_apart: it has not finished, and nothing was evaluated at the same seed and iteration as the baseline.
    """

    label: str
    status: str
    shown: Drawn
    against: tuple[Drawn, Drawn] | None = None
    test: tuple[Replicates, ...] = ()
    test_deployed: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()
    levels: Mapping[str, str] = field(default_factory=dict)
    is_apart: bool = False


def compare_candidates(
    candidates: Sequence[Candidate],
    metric: str,
    baseline: str,
    targets: Targets,
    guards: Sequence[Guard] = (),
    design: str = "",
) -> Comparison:
    """Returns what can be said of candidates whose replicates are drawn alike; ``design`` is that of their factors."""
    base = next((one for one in candidates if one.label == baseline), None)
    differences = _differences(candidates, base, metric)
    near_best = _near_best(candidates, metric)
    variants = [_compared(one, base, metric, differences.get(one.label), guards) for one in candidates]
    variants.sort(key=lambda one: (one.status != TrialState.FINISHED, -_known(one.estimate.value)))
    ranked = [
        replace(one, rank=place if one.status == TrialState.FINISHED else None, ties_with_best=one.label in near_best)
        for place, one in enumerate(variants, start=1)
    ]
    ranked = _with_test_difference(ranked, candidates, base, metric)
    resamples = next((one.shown.metric[0].samples.shape[1] for one in candidates if one.shown.metric), 0)
    sizes = (targets.num_images, targets.num_groups, num_boxes_behind(metric, targets), resamples)
    told = sentence(metric, baseline, ranked, targets)
    return Comparison(metric, baseline, *sizes, CONFIDENCE, tuple(ranked), told, _effects(candidates, metric, design))


def _effects(candidates: Sequence[Candidate], metric: str, design: str) -> tuple[Effect, ...]:
    """Returns what the factors do, from the variants that have finished."""
    there = {
        one.label: one
        for one in candidates
        if one.status == TrialState.FINISHED and mean_over_seeds(one.shown.metric, metric)
    }
    found = []
    for question in contrasts({label: one.levels for label, one in there.items()}, APPLIED, design):
        drawn = {label: there[label].shown for label in question.weights}
        paired = len({one.seeds for one in drawn.values()}) == 1
        sampled = weighted_sum(
            [(drawn[label].metric, weight) for label, weight in question.weights.items()], metric, paired
        )
        if sampled is not None and sampled.is_known:
            found.append((question, sampled))
    judged = compare([sampled for _, sampled in found], 2 * FARTHEST)  # an interaction is a difference of differences
    deployed = {label: _mean_known(one.shown.deployed) for label, one in there.items()}
    return tuple(
        Effect(question.kind, question.factors, difference, _weighted(deployed, question.weights))
        for (question, _), difference in zip(found, judged, strict=True)
    )


def _weighted(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    parts = [weight * value for label, weight in weights.items() if (value := values[label]) is not None]
    return sum(parts) if len(parts) == len(weights) else None


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _known(value: float | None) -> float:
    return -1.0 if value is None else value


def _sides(one: Candidate, base: Candidate) -> tuple[Drawn, Drawn] | None:
    return None if one.is_apart else one.against or (one.shown, base.shown)


def _differences(candidates: Sequence[Candidate], base: Candidate | None, metric: str) -> dict[str, Difference]:
    if base is None:
        return {}
    found = {}
    for one in candidates:
        if one.label != base.label:
            sides = _sides(one, base)
            if sides is None:
                continue
            ours, theirs = sides
            sampled = minus(ours.metric, theirs.metric, metric, ours.seeds == theirs.seeds)
            if sampled is not None and sampled.is_known:
                found[one.label] = sampled
    return dict(zip(found, compare(list(found.values())), strict=True))


def _near_best(candidates: Sequence[Candidate], metric: str) -> set[str]:
    """Returns the labels of the finished candidates that are not distinguishable from the best."""
    values = {
        one.label: mean_over_seeds(one.shown.metric, metric) for one in candidates if one.status == TrialState.FINISHED
    }
    finished = [(one, sampled) for one in candidates if (sampled := values.get(one.label)) is not None]
    if not finished:
        return set()
    best = max(finished, key=lambda pair: pair[1].value)[0].shown
    behind = [minus(best.metric, one.shown.metric, metric, one.shown.seeds == best.seeds) for one, _ in finished]
    near = ties([sampled for sampled in behind if sampled is not None])
    return {one.label for (one, _), is_near in zip(finished, near, strict=True) if is_near}


def _compared(
    one: Candidate, base: Candidate | None, metric: str, difference: Difference | None, guards: Sequence[Guard]
) -> ComparedVariant:
    sampled, tested = mean_over_seeds(one.shown.metric, metric), mean_over_seeds(one.test, metric)
    values = [value for value, _ in (each.of(metric) for each in one.shown.metric) if value is not None]
    per_class = {} if base is None or one.label == base.label else _per_class(one, base)
    gap = minus(one.shown.metric, one.test, metric, paired=True) if one.test else None
    return ComparedVariant(
        label=one.label,
        estimate=estimate(sampled, 0.0, 100.0),
        status=one.status,
        seeds=one.shown.seeds,
        iterations=one.shown.iterations,
        by_seed=tuple(estimate(mean_over_seeds([drawn], metric), 0.0, 100.0) for drawn in one.shown.metric),
        ap_deployed=_mean_known(one.shown.deployed),
        seed_spread=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        difference=difference,
        equal_iterations=one.against[0].iterations if one.against else (),
        per_class=per_class,
        guards=tuple(guarded(guard, per_class) for guard in guards) if per_class else (),
        test=estimate(tested, 0.0, 100.0) if tested else None,
        test_ap_deployed=_mean_known(one.test_deployed),
        gap=estimate(gap, -FARTHEST, FARTHEST) if gap else None,
        notes=one.notes,
    )


def _per_class(one: Candidate, base: Candidate) -> dict[str, Estimate]:
    sides = _sides(one, base)
    if sides is None or not sides[0].by_class or not sides[1].by_class:
        return {}
    ours, theirs = sides
    names = ours.by_class[0].class_names
    paired = ours.seeds == theirs.seeds
    drawn = {name: minus(ours.by_class, theirs.by_class, CLASS_PREFIX + name, paired) for name in names}
    return {name: estimate(sampled, -FARTHEST, FARTHEST) for name, sampled in drawn.items() if sampled is not None}


def _with_test_difference(
    ranked: list[ComparedVariant], candidates: Sequence[Candidate], base: Candidate | None, metric: str
) -> list[ComparedVariant]:
    """Adds the difference on test of the variant that validation ranks first: chosen without looking there."""
    first = ranked[0] if ranked else None
    if first is None or base is None or first.rank != 1 or first.label == base.label:
        return ranked
    chosen = next(one for one in candidates if one.label == first.label)
    sampled = minus(chosen.test, base.test, metric, chosen.shown.seeds == base.shown.seeds)
    if sampled is None or not sampled.is_known:
        return ranked
    return [replace(first, test_difference=compare([sampled])[0]), *ranked[1:]]


def sentence(metric: str, baseline: str, variants: Sequence[ComparedVariant], targets: Targets) -> str:
    """Returns what is known, in one sentence."""
    judged = [(one.label, one.difference) for one in variants if one.rank is not None and one.difference is not None]
    sources = f" of {targets.num_groups} sources" if targets.num_groups < targets.num_images else ""
    sample = f"{targets.num_images} images{sources} with {num_boxes_behind(metric, targets)} boxes"
    if not judged:
        return f"Nothing has finished that could be compared with {baseline} ({sample})."
    parts = []
    for verdict in (BETTER, WORSE):
        names = [
            f"{label} ({round(difference.value, 2) + 0.0:+.2f})"
            for label, difference in judged
            if difference.verdict == verdict
        ]
        if names:
            parts.append(f"{verdict} than {baseline}: {', '.join(names)}")
    unclear = [(label, difference) for label, difference in judged if difference.verdict == INCONCLUSIVE]
    if unclear:
        names = [
            f"{label} ({round(difference.value, 2) + 0.0:+.2f}, {_seen_from(difference)})"
            for label, difference in unclear
        ]
        parts.append(f"not established either way: {', '.join(names)}")
    return f"By {metric} on {sample}: {'; '.join(parts)}."


def _seen_from(difference: Difference) -> str:
    if difference.detectable is None:
        return "too few images to call any"
    return f"detectable from {difference.detectable:.1f}"
