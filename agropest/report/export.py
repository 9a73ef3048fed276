"""Everything that is written of a sweep when it has ended, and whenever somebody asks for it again.

results/<sweep>/
  ranking.csv, comparison.csv, per_class.csv, changes.csv, effects.csv, published.csv, history.csv       csv
  inference_cost.csv                                                                                     csv
  ranking.md, per_class.md, record.md, published.md, history.md                                          md
  ranking.tex, per_class.tex                                                                             latex
  report.json                                                                                            json
  index.html, pictures.html, pictures/                                                                   html
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agropest import files
from agropest.analysis.compared import Comparison
from agropest.analysis.models.inference_cost import costed_variants, read_costs
from agropest.analysis.models.model_choice import signatures_of
from agropest.analysis.ranking import RankedTrial, rank_trials
from agropest.analysis.sweep_comparison import compare_record
from agropest.csv_text import to_csv
from agropest.planning.sweep_forecast import against_actual, read_forecast
from agropest.report.observations import class_counts, observations
from agropest.report.page.document import with_evaluations, write_page
from agropest.report.page.gallery import NAME as PICTURES
from agropest.report.record import training_record
from agropest.report.tables.changes import config_changes
from agropest.report.tables.classes import class_changes, class_tables, per_class_markdown
from agropest.report.tables.cost import sweep_cost
from agropest.report.tables.history import history_rows, history_texts
from agropest.report.tables.inference_cost import cost_rows
from agropest.report.tables.latex import per_class_latex, ranking_latex
from agropest.report.tables.published import published_rows, published_texts
from agropest.report.tables.trials import Rows
from agropest.report.tables.variants import table_texts
from agropest.statistics.accuracy.average_precision import DEPLOYED_CLASS_PREFIX
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord, read_sweep_record
from agropest.store.upkeep.results_root import results_root

SUFFIXES = {"csv": ".csv", "md": ".md", "latex": ".tex", "json": ".json", "html": ".html"}
FORMATS = tuple(SUFFIXES)


def export_sweep(folder: Path, formats: Sequence[str] = FORMATS, results: Path | None = None) -> list[str]:
    """Writes what a sweep's folder is asked for, each file atomically; returns the names of the files.

    Args:
        folder: results/<sweep>, or wherever that was moved to; it is written to.
        formats: of ``FORMATS``.
        results: the results folder; None: see :func:`agropest.store.upkeep.results_root.results_root`.

    Raises:
        StoreError: the folder is not that of a sweep.
        DataError: the ground truth is not there any more.
    """
    root = results_root(folder, results)
    record, store = read_sweep_record(folder, root), Store(root)
    comparison = compare_record(record, store)
    trials = rank_trials(record.trials, store, record.metric, comparison.damaged)
    return write_exports(record, store, comparison, trials, formats, folder)


def write_exports(
    record: SweepRecord,
    store: Store,
    comparison: Comparison,
    trials: Sequence[RankedTrial],
    formats: Sequence[str] = FORMATS,
    folder: Path | None = None,
) -> list[str]:
    """Writes the files of :func:`export_sweep` from what is known already; returns their names."""
    folder = folder or store.sweep_folder(record.name)
    classes = class_tables(comparison, trials)
    evaluated, forecast = with_evaluations(record, store, trials), against_actual(read_forecast(folder))
    texts = {
        **table_texts(comparison, trials, record.title),
        **published_texts(published_rows(record.reference, trials), record.reference.note),
        **history_texts(history_rows(record.trials, store, record.metric), record.title),
        "changes.csv": to_csv(change_rows(comparison, trials)),
        "record.md": training_record(record, comparison, trials, sweep_cost(evaluated, forecast)),
        "per_class.md": per_class_markdown(classes, record.baseline, record.title),
        "ranking.tex": ranking_latex(comparison, record.title),
        "per_class.tex": per_class_latex(classes, record.baseline, record.title),
        **_inference_cost(record, comparison, folder),
        "report.json": json.dumps(report_content(record, comparison, trials), indent=1, ensure_ascii=False) + "\n",
    }
    suffixes = tuple(SUFFIXES[one] for one in formats)
    wanted = {name: text for name, text in texts.items() if name.endswith(suffixes)}
    for name, text in wanted.items():
        files.write_text(folder / name, text)
    if "html" not in formats:
        return list(wanted)
    pages = [
        write_page(record, store, comparison, folder=folder).name,
        *([PICTURES] if (folder / PICTURES).is_file() else []),
    ]
    return [*wanted, *pages]


def _inference_cost(record: SweepRecord, comparison: Comparison, folder: Path) -> dict[str, str]:
    """Returns AP beside cost, where that was measured."""
    costs = read_costs(folder)
    costed = costed_variants(comparison, costs, signatures_of(record)) if costs else []
    return {"inference_cost.csv": to_csv(cost_rows(costed, costs, record.metric))} if costs and costed else {}


def change_rows(comparison: Comparison, trials: Sequence[RankedTrial]) -> Rows:
    """Returns the change of every class's AP to the baseline's, with its interval, for every variant.

    And the change of AP at the deployed threshold, where both have finished.
    """
    deployed = class_changes(trials, comparison.baseline, DEPLOYED_CLASS_PREFIX)
    return [
        {
            "label": variant.label,
            "rank": variant.rank,
            "status": variant.status,
            "class": name,
            "change": _rounded(one.value),
            "change_low": _rounded(one.interval.low if one.interval else None),
            "change_high": _rounded(one.interval.high if one.interval else None),
            "change_deployed": _rounded(deployed.get(variant.label, {}).get(name)),
        }
        for variant in comparison.variants
        for name, one in variant.per_class.items()
    ]


def report_content(record: SweepRecord, comparison: Comparison, trials: Sequence[RankedTrial]) -> dict[str, Any]:
    """Returns everything that is known as JSON: AP in percent, null where there is no ground truth or no figure."""
    own = {one.label: [trial for trial in trials if trial.label == one.label] for one in comparison.variants}
    return {
        "sweep": record.name,
        "question": record.question,
        "launched": record.launched,
        "environment": dict(record.environment),
        "data": {"name": record.data_name, "class_names": list(record.class_names)},
        "comparison": _finite(asdict(comparison)),
        "trials": [_finite(asdict(trial)) for trial in trials],
        "changes": [asdict(change) for change in config_changes(record.trials, record.baseline)],
        "classes": {one.label: asdict(class_counts(one)) for one in comparison.variants if one.per_class},
        "observations": {one.label: observations(one, comparison, own[one.label]) for one in comparison.variants},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2) + 0.0  # + 0.0: no negative zero


def _finite(value: Any) -> Any:
    """Returns the value with null in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
