"""What the factors of a sweep do to the metric, from the variants that have finished."""

from __future__ import annotations

from collections.abc import Mapping

from agropest.analysis.candidates import mean_known
from agropest.analysis.compared import Effect
from agropest.analysis.evidence import FARTHEST, Bench
from agropest.statistics.effects import contrasts
from agropest.statistics.inference import compare
from agropest.store.records import TrialState
from agropest.sweep.factors import APPLIED


def factor_effects(bench: Bench, metric: str, design: str) -> tuple[Effect, ...]:
    """Returns what the factors do, from the variants that have finished."""
    evidence = bench.of(metric)
    there = {
        one.label: one
        for one in bench.candidates
        if one.status == TrialState.FINISHED and evidence.trainings(one.label, one.shown)
    }
    found = []
    for question in contrasts({label: one.levels for label, one in there.items()}, APPLIED, design):
        parts = [(label, there[label].shown, weight) for label, weight in question.weights.items()]
        sampled = evidence.weighted_sum(parts)
        if sampled is not None and sampled.is_known:
            found.append((question, sampled))
    judged = compare([sampled for _, sampled in found], 2 * FARTHEST)  # an interaction is a difference of differences
    deployed = {label: mean_known(one.shown.deployed) for label, one in there.items()}
    return tuple(
        Effect(question.kind, question.factors, difference, _weighted(deployed, question.weights))
        for (question, _), difference in zip(found, judged, strict=True)
    )


def _weighted(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    parts = [weight * value for label, weight in weights.items() if (value := values[label]) is not None]
    return sum(parts) if len(parts) == len(weights) else None
