"""What a sweep, or a few prediction files, can say: every variant against the baseline, with what is not known.

``sweep_comparison.compare_trials`` reads the store, ``prediction_comparison.compare_detectors`` takes boxes of any
origin; both return a :class:`~.compared.Comparison`, which the console table, the files and the page render.

Finished variants are compared by the evaluation that validation chose. A variant of which a seed has not finished
(stopped, failed, running) is compared with the baseline, seed by seed, at the last iteration that both have evaluated,
is never ranked, and is never said to tie with the best: the seeds that were let finish would speak for it alone.

A verdict is about a variant: its error has two parts, images and seeds. What a seed does is pooled over the variants
that have several, else borrowed from other sweeps of the store with the same data and baseline; where nothing is known
of it, the verdict is unknown, and what is said is said of the checkpoints. Two evaluations of the same trainings are
compared training by training; with one seed, what is said is said of that training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agropest.analysis.candidates import Candidate, Drawn, mean_known
from agropest.analysis.compared import ComparedVariant, Comparison, SeedFacts
from agropest.analysis.evidence import FARTHEST, Bench, Borrowed
from agropest.analysis.factor_effects import factor_effects
from agropest.analysis.guards import check_guard
from agropest.analysis.sentences import sentence
from agropest.statistics.accuracy.average_precision import CLASS_PREFIX
from agropest.statistics.accuracy.metric import AP_WORST, missing_classes, num_boxes_behind
from agropest.statistics.alpha_spending import Looks
from agropest.statistics.bootstrap import Replicates
from agropest.statistics.detections.matching import Targets
from agropest.statistics.inference import (
    CONFIDENCE,
    INCONCLUSIVE,
    UNFINISHED,
    Difference,
    Estimate,
    Sampled,
    compare,
    estimate,
    ties,
)
from agropest.statistics.rare_classes import FewImages, few_images
from agropest.statistics.selection import of_the_first
from agropest.statistics.sums import mean_over_seeds
from agropest.store.records import TrialState
from agropest.sweep.sections.guard import Guard


def compare_candidates(
    candidates: Sequence[Candidate],
    metric: str,
    baseline: str,
    targets: Targets,
    guards: Sequence[Guard] = (),
    design: str = "",
    borrowed: Borrowed | None = None,
    is_of_checkpoints: bool = False,
    looks: Sequence[int] = (),
    indifference: float = 0.0,
) -> Comparison:
    """Returns what can be said of candidates whose replicates are drawn alike.

    Args:
        design: of their factors.
        borrowed: for what a seed does, where the candidates show nothing of it.
        is_of_checkpoints: prediction files are compared, not variants.
        looks: with how many seeds this is looked at while seeds are added; empty: once.
        indifference: differences that are smaller do not matter.
    """
    bench = Bench(candidates, borrowed, is_of_checkpoints)
    base = next((one for one in candidates if one.label == baseline), None)
    differences = _differences(bench, base, metric, Looks(tuple(looks)), indifference)
    near_best, behind = _near_best(bench, metric, Looks(tuple(looks)), indifference)
    variants = [_compared(bench, one, base, metric, differences.get(one.label), guards) for one in candidates]
    variants.sort(key=lambda one: (one.status != TrialState.FINISHED, -_known(one.estimate.value)))
    ranked = [
        replace(
            one,
            rank=place if one.status == TrialState.FINISHED else None,
            ties_with_best=one.label in near_best,
            behind=behind.get(one.label),
        )
        for place, one in enumerate(variants, start=1)
    ]
    ranked = _with_test_difference(_with_correction(ranked, bench, metric), bench, base, metric)
    rows = [each for one in candidates for each in one.shown.metric]
    missing, num_classes = missing_classes(metric, targets)
    comparison = Comparison(
        metric=metric,
        baseline=baseline,
        num_images=targets.num_images,
        num_sources=targets.num_groups,
        num_boxes=num_boxes_behind(metric, targets),
        resamples=rows[0].samples.shape[1] if rows else 0,
        confidence=CONFIDENCE,
        variants=tuple(ranked),
        sentence="",
        effects=factor_effects(bench, metric, design),
        seeds=SeedFacts.of(bench.of(metric).noise),
        missing=missing,
        num_classes=num_classes,
        is_of_checkpoints=is_of_checkpoints,
        low_by=_low_by(rows) if metric == AP_WORST else None,
    )
    return replace(comparison, sentence=sentence(comparison))


def _low_by(rows: Sequence[Replicates]) -> float | None:
    """Returns by how much the lowest of several classes looks lower than any is; None where it does not."""
    low = float(np.mean([-each.bias(AP_WORST) for each in rows])) if rows else 0.0
    return low if low > 0 else None


def _known(value: float | None) -> float:
    return -1.0 if value is None else value


def _sides(one: Candidate, base: Candidate) -> tuple[Drawn, Drawn] | None:
    return None if one.is_apart else one.against or (one.shown, base.shown)


def _differences(
    bench: Bench, base: Candidate | None, metric: str, looks: Looks, indifference: float
) -> dict[str, Difference]:
    """Returns the difference of each to the baseline; those of what did not end on purpose get no verdict."""
    if base is None:
        return {}
    evidence = bench.of(metric)
    judged: dict[str, Sampled] = {}
    others: dict[str, Sampled] = {}
    for one in bench.candidates:
        sides = _sides(one, base) if one.label != base.label else None
        sampled = evidence.minus((one.label, sides[0]), (base.label, sides[1])) if sides else None
        if sampled is not None and sampled.is_known:
            (judged if one.has_ended and base.has_ended else others)[one.label] = sampled
    found = dict(zip(judged, compare(list(judged.values()), FARTHEST, looks, indifference), strict=True))
    if bench.is_of_checkpoints:
        found = {
            label: replace(difference, verdict=difference.on_images or INCONCLUSIVE)
            for label, difference in found.items()
        }
    without = dict(zip(others, compare(list(others.values())), strict=True))
    return found | {
        label: replace(difference, verdict=UNFINISHED, on_images="") for label, difference in without.items()
    }


def _near_best(bench: Bench, metric: str, looks: Looks, indifference: float) -> tuple[set[str], dict[str, Difference]]:
    """Returns the labels of the finished candidates that are not distinguishable from the best, and the others' lag."""
    evidence = bench.of(metric)
    values = {one.label: (one, evidence.mean(one.label, one.shown)) for one in bench.candidates}
    finished = [(one, mean) for one, mean in values.values() if one.status == TrialState.FINISHED and mean is not None]
    if not finished:
        return set(), {}
    best = max(finished, key=lambda pair: pair[1].value)[0]
    lags = [evidence.minus((best.label, best.shown), (one.label, one.shown)) for one, _ in finished]
    known = [sampled for sampled in lags if sampled is not None]
    near = {one.label for (one, _), is_near in zip(finished, ties(known, looks), strict=True) if is_near}
    others = {one.label: lag for (one, _), lag in zip(finished, known, strict=True) if one is not best and lag.is_known}
    return near, dict(zip(others, compare(list(others.values()), FARTHEST, looks, indifference), strict=True))


def _compared(
    bench: Bench,
    one: Candidate,
    base: Candidate | None,
    metric: str,
    difference: Difference | None,
    guards: Sequence[Guard],
) -> ComparedVariant:
    evidence = bench.of(metric)
    trainings = evidence.trainings(one.label, one.shown)
    tested = bench.of_test(metric).mean(one.label, one.shown)
    gap = bench.of_gap(metric).mean(one.label, one.shown)
    per_class = {} if base is None or one.label == base.label else _per_class(bench, one, base)
    is_known = difference is None or difference.knows_seeds
    values = [training.value for training in trainings]
    return ComparedVariant(
        label=one.label,
        estimate=estimate(evidence.mean(one.label, one.shown), 0.0, 100.0),
        status=one.status,
        seeds=one.shown.seeds,
        iterations=one.shown.iterations,
        by_seed=tuple(estimate(mean_over_seeds([training], None), 0.0, 100.0) for training in trainings),
        ap_deployed=mean_known(one.shown.deployed),
        seed_spread=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        difference=difference,
        equal_iterations=one.against[0].iterations if one.against else (),
        per_class=per_class,
        guards=tuple(check_guard(guard, per_class, is_known) for guard in guards) if per_class else (),
        test=estimate(tested, 0.0, 100.0) if tested else None,
        test_ap_deployed=mean_known(one.shown.test_deployed),
        gap=estimate(gap, -FARTHEST, FARTHEST) if gap else None,
        notes=one.notes,
        few=_few(one, base, metric) if difference else None,
    )


def _few(one: Candidate, base: Candidate | None, metric: str) -> FewImages | None:
    sides = _sides(one, base) if base else None
    if sides is None or not all(side.metric for side in sides):
        return None
    first = sides[0].metric[0]
    values = [np.mean([each.value for each in side.metric], axis=0) for side in sides]
    return few_images(values[0] - values[1], first.class_names, first.sources_by_class, first.rows(metric))


def _per_class(bench: Bench, one: Candidate, base: Candidate) -> dict[str, Estimate]:
    sides = _sides(one, base)
    if sides is None or not sides[0].by_class or not sides[1].by_class:
        return {}
    ours, theirs = (one.label, sides[0]), (base.label, sides[1])
    names = sides[0].by_class[0].class_names
    drawn = {name: bench.of_class(CLASS_PREFIX + name).minus(ours, theirs) for name in names}
    return {name: estimate(sampled, -FARTHEST, FARTHEST) for name, sampled in drawn.items() if sampled is not None}


def _with_correction(ranked: list[ComparedVariant], bench: Bench, metric: str) -> list[ComparedVariant]:
    """Adds to the first of several what is left of its value when that it was chosen for it is taken into account."""
    evidence = bench.of(metric)
    means = [evidence.mean(one.label, one.shown) for one in bench.candidates if one.status == TrialState.FINISHED]
    known = [mean for mean in means if mean is not None and mean.is_known]
    if not ranked or ranked[0].rank != 1 or len(known) < 2:
        return ranked
    return [replace(ranked[0], corrected=of_the_first(known, 0.0, 100.0)), *ranked[1:]]


def _with_test_difference(
    ranked: list[ComparedVariant], bench: Bench, base: Candidate | None, metric: str
) -> list[ComparedVariant]:
    """Adds the difference on test of the variant that validation ranks first: chosen without looking there."""
    first = ranked[0] if ranked else None
    if first is None or base is None or first.rank != 1 or first.label == base.label:
        return ranked
    chosen = next(one for one in bench.candidates if one.label == first.label)
    sampled = bench.of_test(metric).minus((chosen.label, chosen.shown), (base.label, base.shown))
    if sampled is None or not sampled.is_known:
        return ranked
    return [replace(first, test_difference=compare([sampled])[0]), *ranked[1:]]
