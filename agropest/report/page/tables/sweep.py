"""What is known of variants, effects, trials and costs as tables of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.analysis.compared import Comparison
from agropest.analysis.models.inference_cost import CostedVariant
from agropest.analysis.ranking import RankedTrial
from agropest.report.columns.effects import EFFECT_COLUMNS
from agropest.report.columns.inference import inference_columns
from agropest.report.columns.training_cost import COST_COLUMNS, PLACE_COLUMNS, cost_rows
from agropest.report.columns.trials import page_order, trial_columns, trial_rows
from agropest.report.columns.variants import VARIANT_COLUMNS, variant_rows, variant_words
from agropest.report.page.tables.cells import Cell, TableOf, column_table, name_cell, plain_cell
from agropest.report.tables.cost import SweepCost
from agropest.report.tables.published import COLUMNS, WORDS
from agropest.report.tables.trials import Rows
from agropest.report.verdicts import EvaluationKey
from agropest.statistics.inference import Interval
from agropest.store.weights_report import WeightsReport, in_few_words, layers


def variant_table(comparison: Comparison, trials: Sequence[RankedTrial] = ()) -> TableOf:
    """Returns what is known of each variant."""
    return column_table(VARIANT_COLUMNS, variant_rows(comparison, trials), variant_words(comparison))


def effect_table(comparison: Comparison) -> TableOf | None:
    """Returns what each factor does; None where nothing is known of that."""
    if not comparison.effects:
        return None
    return column_table(EFFECT_COLUMNS, comparison.effects, {"metric": comparison.metric})


def trial_table(
    rows: Sequence[RankedTrial],
    metric: str,
    intervals: Mapping[EvaluationKey, Interval] | None = None,
    left_s: Mapping[str, float] | None = None,
) -> TableOf:
    """Returns every trial, each seed by itself; with the metric's intervals and the time left where they are known."""
    return column_table(page_order(trial_columns(metric)), trial_rows(rows, metric, intervals, left_s), {})


def cost_table(cost: SweepCost) -> TableOf:
    """Returns what each trial has cost; the time is shaded by its share of the longest."""
    return column_table(COST_COLUMNS, cost_rows(cost), {})


def places_table(rows: Sequence[RankedTrial]) -> TableOf:
    """Returns where each trial is, and its chosen checkpoint, relative to the results folder."""
    return column_table(PLACE_COLUMNS, rows, {})


def inference_table(costed: Sequence[CostedVariant], metric: str) -> TableOf:
    """Returns AP beside what it costs at inference, the fastest first."""
    return column_table(inference_columns(metric), costed, {"metric": metric})


def published_table(rows: Rows) -> TableOf | None:
    """Returns published figures beside measured ones; None where nothing was published."""
    if not rows:
        return None
    numeric = [key not in WORDS for key in COLUMNS.values()]
    body = [[plain_cell(row[key], key == "difference") for key in COLUMNS.values()] for row in rows]
    return TableOf(list(COLUMNS), numeric, body)


def weights_table(reports: Mapping[str, WeightsReport]) -> TableOf | None:
    """Returns which layers the initial weights filled, by variant; None where none has any.

    Args:
        reports: by label.
    """
    if not reports:
        return None
    headings = ["variant", "tensors loaded", "other shape: initialised afresh", "not in the file: initialised afresh"]
    headings += ["only in the file: skipped"]
    entries = [
        (
            label,
            len(one.loaded),
            [(len(names), layers(names)) for names in (one.reinitialised, one.missing, one.skipped)],
        )
        for label, one in reports.items()
    ]
    rows = [
        [
            name_cell(label),
            Cell(str(loaded), loaded),
            *(Cell(f"{count}: {in_few_words(names)}" if count else "0", count) for count, names in others),
        ]
        for label, loaded, others in entries
    ]
    return TableOf(headings, [heading == "tensors loaded" for heading in headings], rows)


def history_table(rows: Rows) -> TableOf | None:
    """Returns the segments of a population's members; None where there is no population."""
    if not rows:
        return None
    numeric = [all(isinstance(row[name], int | float | None) for row in rows) for name in rows[0]]
    body = [[plain_cell(value) for value in row.values()] for row in rows]
    return TableOf(list(rows[0]), numeric, body)
