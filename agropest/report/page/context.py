"""What the page's template is filled with, section by section."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from agropest.analysis.compared import Comparison
from agropest.analysis.models.inference_cost import CostedVariant, CostRecord, costed_variants
from agropest.analysis.models.model_choice import signatures_of
from agropest.analysis.progress import TrialProgress, time_left_s
from agropest.analysis.ranking import RankedTrial
from agropest.durations import duration
from agropest.report.page import figures
from agropest.report.page.cost_chart import cost_chart
from agropest.report.page.data_notes import data_notes
from agropest.report.page.details import Detail
from agropest.report.page.examples import Example
from agropest.report.page.svg import for_both_widths
from agropest.report.page.tables import boxes, classes, sweep
from agropest.report.tables.changes import ConfigChange, config_changes
from agropest.report.tables.cost import sweep_cost
from agropest.report.tables.inference_cost import cheapest_sentence, doubts, how_measured
from agropest.report.tables.published import published_rows
from agropest.report.tables.trials import Rows
from agropest.report.untrained import untrained_remarks
from agropest.report.verdicts import headline, remarks, seed_intervals, tie_sentence
from agropest.statistics.accuracy.metric import metric_value
from agropest.store.chosen import best_evaluation
from agropest.store.losses import LossLine
from agropest.store.records import EvaluationRecord
from agropest.store.sweep_record import SweepRecord
from agropest.store.weights_report import WeightsReport

EvaluatedTrials = Sequence[tuple[RankedTrial, Sequence[EvaluationRecord]]]
Context = dict[str, Any]


@dataclass(frozen=True)
class PageContent:
    """Everything that a page is made from.

    Attributes:
        rows: each trial with its evaluations on validation.
        comparison: of the variants; None leaves out intervals and verdicts.
        details, examples: read from boxes; empty while the sweep runs.
        refresh_s: above 0: the page loads itself again after so many seconds.
        forecast: what the last launch was expected to take and took, in words.
        history: the segments of a population's members, as rows.
        weights: what the initial weights filled, by variant.
        problem: what ended the launch before its time.
        gallery: the page of all pictures, beside this one.
        inference: what the variants cost at inference, where that was measured.
        losses: of the trainings, by the signature of the trial.
        progress: of the trials while the sweep runs.
    """

    record: SweepRecord
    rows: EvaluatedTrials
    comparison: Comparison | None = None
    details: Sequence[Detail] = ()
    examples: Sequence[Example] = ()
    running: bool = False
    refresh_s: int = 0
    forecast: str = ""
    history: Rows = field(default_factory=list)
    weights: Mapping[str, WeightsReport] = field(default_factory=dict)
    problem: str = ""
    gallery: Path | None = None
    inference: CostRecord | None = None
    losses: Mapping[str, Sequence[LossLine]] = field(default_factory=dict)
    progress: Sequence[TrialProgress] = ()

    @cached_property
    def trials(self) -> list[RankedTrial]:
        """The trials; without ranks while others still train, or the first to finish would stand there as the best."""
        return [replace(row, rank=None) if self.running else row for row, _ in self.rows]


def page_context(content: PageContent) -> Context:
    """Returns what the template is filled with, by name."""
    return {
        "record": content.record,
        "comparison": content.comparison,
        "running": content.running,
        "duration": duration,
        **_head(content),
        **_ranking(content),
        **_curves(content),
        **_classes(content),
        **_boxes(content.details),
        **_cost(content),
        **_pictures(content),
        **_configuration(content),
    }


def _head(content: PageContent) -> Context:
    statuses = Counter(row.status for row in content.trials)
    compared = content.comparison
    left = time_left_s(content.progress) if content.progress else None
    return {
        "time_left": duration(left) if left else "",
        "may_stop_early": content.record.stop not in ("", "none"),
        "problem": content.problem,
        "data_notes": data_notes(content.record),
        "refresh_s": content.refresh_s,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "statuses": ", ".join(f"{count} {word}" for word, count in statuses.items()),
        "ended": sum(row.status.has_ended for row in content.trials),
        "num_trials": len(content.trials),
        "headline": headline(compared) if compared else "",
        "ties": tie_sentence(compared) if compared else "",
    }


def _ranking(content: PageContent) -> Context:
    compared, trials = content.comparison, content.trials
    intervals = seed_intervals(compared) if compared else None
    return {
        "remarks": [*untrained_remarks(trials, content.losses), *(remarks(compared) if compared else [])],
        "ranking": _chart(figures.ranking_chart, compared) if compared else "",
        "differences": _chart(figures.difference_chart, compared) if compared else "",
        "effects": _chart(figures.effects_chart, compared) if compared else "",
        "variants": sweep.variant_table(compared, trials) if compared else None,
        "effect_table": sweep.effect_table(compared) if compared else None,
        "trials": sweep.trial_table(trials, content.record.metric, intervals, _seconds_left(content)),
        "published": sweep.published_table(published_rows(content.record.reference, trials)),
    }


def _seconds_left(content: PageContent) -> dict[str, float]:
    """Returns the seconds that running trials still train, by signature."""
    return {one.trial.signature: one.left_s for one in content.progress if one.is_running and one.left_s is not None}


def _curves(content: PageContent) -> Context:
    shown = [detail.label for detail in content.details] or _leading(content)
    return {
        "curves": _chart(figures.learning_curves, content.rows, content.record.metric, shown),
        "loss_curves": _chart(figures.loss_curves, content.trials, content.losses, shown),
    }


def _classes(content: PageContent) -> Context:
    baseline = content.record.baseline
    return {
        "heat_map": classes.heat_map(content.comparison, content.trials, baseline),
        "class_table": classes.class_table(content.trials),
        "deployed_heat_map": classes.deployed_heat_map(content.trials, baseline),
    }


def _boxes(details: Sequence[Detail]) -> Context:
    return {
        "precision": _chart(figures.precision_chart, details) if details else "",
        "thresholds": _chart(figures.threshold_chart, details) if details else "",
        "confusions": [(detail.name, detail.threshold, boxes.confusion_table(detail)) for detail in details[:2]],
        "behaviour": boxes.behaviour_table(details) if details else None,
        "mistakes": boxes.mistakes_table(details) if details else None,
    }


def _cost(content: PageContent) -> Context:
    metric, cost = content.record.metric, sweep_cost(content.rows, content.forecast)
    costed = _costed(content)
    return {
        "cost": cost,
        "cost_table": sweep.cost_table(cost),
        "costed": costed,
        "cost_chart": _chart(cost_chart, costed, metric) if costed else "",
        "inference_table": sweep.inference_table(costed, metric) if costed else None,
        "how_measured": how_measured(content.inference) if content.inference else "",
        "doubts": doubts(costed),
        "cheapest": cheapest_sentence(costed, metric),
    }


def _costed(content: PageContent) -> list[CostedVariant]:
    if content.comparison is None or content.inference is None:
        return []
    return costed_variants(content.comparison, content.inference, signatures_of(content.record))


def _pictures(content: PageContent) -> Context:
    return {
        "examples": content.examples,
        "gallery": content.gallery.name if content.gallery else "",
        "pictures": _boxes_as_json(content.examples),
        "names": list(content.examples[0].found) if content.examples else [],
        "pair": _pair(content.details),
    }


def _configuration(content: PageContent) -> Context:
    changes: dict[str, list[ConfigChange]] = {}
    for change in config_changes(content.record.trials, content.record.baseline):
        changes.setdefault(change.label, []).append(change)
    return {
        "history": sweep.history_table(content.history),
        "weights": sweep.weights_table(content.weights),
        "places": sweep.places_table(content.trials),
        "changes": list(changes.items()),
    }


def _pair(details: Sequence[Detail]) -> list[str]:
    """Returns the two trials whose boxes are shown first: the baseline and the best other one."""
    return [detail.name for detail in (details[:2] if len(details) > 1 else [*details, *details])]


def _leading(content: PageContent) -> list[str]:
    """Returns the variants that stand out while nothing has finished: the baseline, then the highest so far."""
    best: dict[str, float] = {}
    metric, baseline = content.record.metric, content.record.baseline
    for row, records in content.rows:
        top = best_evaluation(records, metric)
        value = metric_value(top.metrics, metric) if top else None
        if value is not None:
            best[row.label] = max(value, best.get(row.label, value))
    others = sorted((label for label in best if label != baseline), key=lambda label: -best[label])
    return [baseline, *others[:5]]


def _boxes_as_json(examples: Sequence[Example]) -> Markup:
    """Returns boxes as JSON for the script; no text in it can end the element it stands in."""
    content: list[Mapping[str, Any]] = [{"truth": example.truth, "found": example.found} for example in examples]
    content_json = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for letter, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        content_json = content_json.replace(letter, code)
    return Markup(content_json)


def _chart(draw: Callable[..., str], *arguments: object) -> Markup:
    """Returns a chart for both widths, marked as safe: ``report.page.svg`` has escaped every text in it."""
    return Markup(for_both_widths(lambda width: draw(*arguments, width=width)))
