"""One self-contained HTML page for a sweep: results/<sweep>/index.html. Nothing on it is loaded from anywhere.

While a sweep runs, :func:`write_page` leaves out what is computed from boxes (intervals, curves, confusion, pictures),
so that writing it again costs little; what it shows then is read from the stored metrics.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agropest import files
from agropest.analysis.compared import Comparison
from agropest.analysis.models.inference_cost import CostRecord, costed_variants, read_costs
from agropest.analysis.models.model_choice import signatures_of
from agropest.analysis.ranking import RankedTrial, rank_trials
from agropest.durations import duration
from agropest.errors import DataError
from agropest.planning.sweep_forecast import against_actual, read_forecast
from agropest.report.long_names import pieces
from agropest.report.page import figures, sections
from agropest.report.page.cost_chart import cost_chart
from agropest.report.page.data_notes import data_notes
from agropest.report.page.details import DEPLOYED, Detail, chosen_boxes, read_detail, trials_in_detail
from agropest.report.page.examples import Example, choose_images, draw_examples
from agropest.report.page.gallery import write_gallery
from agropest.report.tables.changes import config_changes
from agropest.report.tables.cost import sweep_cost
from agropest.report.tables.history import history_rows
from agropest.report.tables.inference_cost import cheapest_sentence, doubts, how_measured
from agropest.report.tables.published import published_rows
from agropest.report.verdicts import headline, remarks, seed_intervals, tie_sentence
from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.detections.boxes import GroundTruth
from agropest.store.chosen import best_evaluation
from agropest.store.records import EvaluationRecord
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord
from agropest.store.weights_report import WeightsReport, read_weights_report

TEMPLATES = Path(__file__).parent / "template"
NAME = "index.html"
MOST_CHOICES = 60  # trials whose boxes can be looked at on the pictures
Rows = Sequence[tuple[RankedTrial, Sequence[EvaluationRecord]]]


def write_page(
    record: SweepRecord,
    store: Store,
    comparison: Comparison | None = None,
    running: bool = False,
    refresh_s: int = 0,
    folder: Path | None = None,
    problem: str = "",
) -> Path:
    """Writes the page, atomically, and returns where.

    Args:
        record: of the sweep.
        store: where its trials are.
        comparison: of its variants; None leaves out intervals and verdicts.
        running: leaves out whatever is computed from boxes: half a second instead of many for 50 trials.
        refresh_s: above 0: the page loads itself again after so many seconds.
        folder: to write to; None: the sweep's.
        problem: what ended the launch before its time.

    Raises:
        DataError: the ground truth is not there any more (never while running).
        OSError: the folder cannot be written to.
    """
    damaged = comparison.damaged if comparison else ()
    rows = with_evaluations(record, store, rank_trials(record.trials, store, record.metric, damaged))
    details: list[Detail] = []
    examples: list[Example] = []
    truth = None
    if not running:
        truth = record.ground_truths()["valid"]
        details = _details(record, store, [row for row, _ in rows], truth)
        examples = _examples(record, store, [row for row, _ in rows], details, truth)
    path = (folder or store.sweep_folder(record.name)) / NAME
    gallery = write_gallery(record, details, truth, path.parent) if truth is not None else None
    forecast_text = "" if running else against_actual(read_forecast(store.sweep_folder(record.name)))
    history = sections.history_table(history_rows(record.trials, store, record.metric))
    reports: dict[str, WeightsReport] = {}
    for trial in record.trials:
        if trial.label not in reports and (found := read_weights_report(store.folder(trial))):
            reports[trial.label] = found
    weights = sections.weights_table(reports)
    costs = read_costs(store.sweep_folder(record.name)) if comparison and not running else None
    known = (record, rows, comparison, details, examples)
    page = render(*known, running, refresh_s, forecast_text, history, weights, problem, gallery, costs)
    files.write_text(path, page)
    return path


def render(
    record: SweepRecord,
    rows: Rows,
    comparison: Comparison | None,
    details: Sequence[Detail],
    examples: Sequence[Example],
    running: bool = False,
    refresh_s: int = 0,
    forecast: str = "",
    history: sections.TableOf | None = None,
    weights: sections.TableOf | None = None,
    problem: str = "",
    gallery: Path | None = None,
    inference: CostRecord | None = None,
) -> str:
    """Returns the page's HTML.

    Args:
        gallery: the page of all pictures, beside this one.
        inference: what the variants cost at inference, where that was measured.
    """
    # While others still train, the first to finish would stand there as the best.
    trials = [replace(row, rank=None) if running else row for row, _ in rows]
    costed = costed_variants(comparison, inference, signatures_of(record)) if comparison and inference else []
    cost = sweep_cost(rows, forecast)
    shown = [detail.label for detail in details] or _leading(rows, record)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    statuses = Counter(row.status for row in trials)
    return environment.get_template("page.html").render(
        record=record,
        comparison=comparison,
        running=running,
        problem=problem,
        data_notes=data_notes(record),
        refresh_s=refresh_s,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        statuses=", ".join(f"{count} {word}" for word, count in statuses.items()),
        ended=sum(row.status.has_ended for row in trials),
        num_trials=len(trials),
        remarks=remarks(comparison) if comparison else [],
        headline=headline(comparison) if comparison else "",
        ties=tie_sentence(comparison) if comparison else "",
        ranking=_svg(figures.ranking_chart(comparison)) if comparison else "",
        differences=_svg(figures.difference_chart(comparison)) if comparison else "",
        effects=_svg(figures.effects_chart(comparison)) if comparison else "",
        variants=sections.variant_table(comparison) if comparison else None,
        effect_table=sections.effect_table(comparison) if comparison else None,
        trials=sections.trial_table(trials, record.metric, seed_intervals(comparison) if comparison else None),
        curves=_svg(figures.learning_curves(rows, record.metric, shown)),
        heat_map=sections.heat_map(comparison, trials, record.baseline),
        class_table=sections.class_table(trials),
        deployed_heat_map=sections.deployed_heat_map(trials, record.baseline),
        precision=_svg(figures.precision_chart(details)) if details else "",
        thresholds=_svg(figures.threshold_chart(details)) if details else "",
        confusions=[(detail.name, detail.threshold, sections.confusion_table(detail)) for detail in details[:2]],
        behaviour=sections.behaviour_table(details) if details else None,
        mistakes=sections.mistakes_table(details) if details else None,
        history=history,
        weights=weights,
        published=sections.published_table(published_rows(record.reference, trials)),
        places=sections.places_table(trials),
        cost=cost,
        cost_table=sections.cost_table(cost),
        duration=duration,
        examples=examples,
        costed=costed,
        cost_chart=_svg(cost_chart(costed, record.metric)) if costed else "",
        inference_table=sections.inference_table(costed, record.metric) if costed else None,
        how_measured=how_measured(inference) if inference else "",
        doubts=doubts(costed),
        cheapest=cheapest_sentence(costed, record.metric),
        gallery=gallery.name if gallery else "",
        pictures=_pictures(examples),
        names=list(examples[0].found) if examples else [],
        pair=_pair(details),
        changes=sections.grouped(config_changes(record.trials, record.baseline), "label"),
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
    )


def with_evaluations(
    record: SweepRecord, store: Store, trials: Sequence[RankedTrial]
) -> list[tuple[RankedTrial, list[EvaluationRecord]]]:
    """Returns each trial with its evaluations on validation."""
    by_name = {trial.name: trial for trial in record.trials}
    return [(row, store.folder(by_name[f"{row.label}/s{row.seed}"]).read_evaluations("valid")) for row in trials]


def _details(record: SweepRecord, store: Store, rows: Sequence[RankedTrial], truth: GroundTruth) -> list[Detail]:
    by_name = {trial.name: trial for trial in record.trials}
    chosen = [by_name[f"{row.label}/s{row.seed}"] for row in trials_in_detail(rows, record.baseline)]
    details = [read_detail(trial, store, record.metric, truth) for trial in chosen]
    return [detail for detail in details if detail is not None]


def _examples(
    record: SweepRecord, store: Store, rows: Sequence[RankedTrial], details: Sequence[Detail], truth: GroundTruth
) -> list[Example]:
    """Returns example pictures with the boxes of the best trials; none where there is nothing to choose them by."""
    if not details:
        return []
    pair = (details[0], details[min(1, len(details) - 1)])
    chosen = choose_images(truth, pair[0].boxes, pair[1].boxes, (pair[0].threshold, pair[1].threshold))
    by_name = {trial.name: trial for trial in record.trials}
    boxes = {}
    names = {detail.name for detail in details}
    ranked = [row for row in rows if f"{row.label} (seed {row.seed})" in names]
    ranked += [row for row in rows if row not in ranked]
    for row in ranked[:MOST_CHOICES]:
        trial = by_name[f"{row.label}/s{row.seed}"]
        found = chosen_boxes(trial, store, record.metric) if row.rank is not None else None
        if found is not None:
            boxes[f"{row.label} (seed {row.seed})"] = (found[0], float(trial.config.get(DEPLOYED, 0.5)))
    try:
        return draw_examples(truth, record.splits["valid"].image_root, chosen, boxes)
    except DataError:
        return []


def _pair(details: Sequence[Detail]) -> list[str]:
    """Returns the two trials whose boxes are shown first: the baseline and the best other one."""
    return [detail.name for detail in (details[:2] if len(details) > 1 else [*details, *details])]


def _leading(rows: Rows, record: SweepRecord) -> list[str]:
    """Returns the variants that stand out while nothing has finished: the baseline, then the highest so far."""
    best: dict[str, float] = {}
    for row, records in rows:
        top = best_evaluation(records, record.metric)
        value = metric_value(top.metrics, record.metric) if top else None
        if value is not None:
            best[row.label] = max(value, best.get(row.label, value))
    others = sorted((label for label in best if label != record.baseline), key=lambda label: -best[label])
    return [record.baseline, *others[:5]]


def _pictures(examples: Sequence[Example]) -> Markup:
    """Returns boxes as JSON for the script; no text in it can end the element it stands in."""
    content: list[Mapping[str, Any]] = [{"truth": example.truth, "found": example.found} for example in examples]
    content_json = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for letter, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        content_json = content_json.replace(letter, code)
    return Markup(content_json)


def _breakable(name: str) -> Markup:
    """Returns a name that a browser may break between its words."""
    return Markup("<wbr>").join(pieces(name))


def _svg(drawing: str) -> Markup:
    """Marks a drawing as safe: ``report.page.svg`` has escaped every text in it."""
    return Markup(drawing)
