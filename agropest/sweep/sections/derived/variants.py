"""The variants that ``extend:`` and ``evaluate:`` add to those that a file writes down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agropest.sweep.sections.derived.evaluations import EvaluationVariant, read_evaluations
from agropest.sweep.sections.derived.extensions import read_extensions
from agropest.sweep.sections.search import OPTUNA, PBT, SearchRule, is_drawn
from agropest.sweep.sections.section import Section

if TYPE_CHECKING:
    from agropest.sweep.spec import SweepSpec, Variant


def with_derived(top: Section, variants: Sequence[Variant], search: SearchRule) -> tuple[Variant, ...]:
    """Returns the variants, and after them what is derived from some of them; faults go to ``top``.

    Nothing is derived from what a search draws, nor from a command, which keeps no checkpoint that is known here.
    """
    own = [variant for variant in variants if variant.command is None and not is_drawn(search, variant.name)]
    written = {variant.name: variant for variant in own}
    extensions = read_extensions(top, list(written))
    longer = {one.name: _extended(one.name, one.settings, written[one.source]) for one in extensions}
    sources = {**written, **longer}
    evaluated = [_evaluated(one, sources[one.source]) for one in read_evaluations(top, list(sources))]
    return (*variants, *longer.values(), *evaluated)


def _extended(name: str, settings: Mapping[str, Any], source: Variant) -> Variant:
    return replace(source, name=name, overrides={**source.overrides, **settings}, levels={}, extends=source.name)


def _evaluated(one: EvaluationVariant, source: Variant) -> Variant:
    return replace(
        source,
        name=one.name,
        overrides={**source.overrides, **one.settings},
        levels={},
        extends="",
        source=one.source,
        checkpoint=one.checkpoint,
    )


def check_derived(spec: SweepSpec, top: Section, keeps: tuple[str, str]) -> None:
    """Adds what evaluating trained weights does not go with.

    Args:
        keeps: the words of ``keep_checkpoints`` for no checkpoint, and for every evaluated one.
    """
    if not top.content.get("evaluate"):
        return
    none, evaluated = keeps
    if spec.keep_checkpoints == none:
        fix = "take it out, or write keep_checkpoints: best_and_last"
        top.fault("evaluate", "expected checkpoints to be kept", spec.keep_checkpoints, fix)
    elif spec.keep_checkpoints != evaluated and any(one.checkpoint.isdecimal() for one in spec.variants):
        rule = "expected keep_checkpoints: evaluated where an iteration is named"
        top.fault("evaluate", rule, spec.keep_checkpoints, "write it, or checkpoint: last")
    if spec.search.method in (OPTUNA, PBT):
        fix = "evaluate in a sweep of its own, which trains nothing again"
        top.fault("evaluate", "expected variants that the file writes down", f"search: {spec.search.method}", fix)
