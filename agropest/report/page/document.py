"""One self-contained HTML page for a sweep: results/<sweep>/index.html. Nothing on it is loaded from anywhere.

While a sweep runs, :func:`write_page` leaves out what is computed from boxes (intervals, curves, confusion, pictures),
so that writing it again costs little; what it shows then is read from the stored metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agropest import files
from agropest.analysis.compared import Comparison
from agropest.analysis.models.inference_cost import read_costs
from agropest.analysis.progress import SweepProgress
from agropest.analysis.ranking import RankedTrial, rank_trials
from agropest.errors import DataError
from agropest.planning.sweep_forecast import against_actual, read_forecast
from agropest.report.long_names import pieces
from agropest.report.page.context import PageContent, page_context
from agropest.report.page.details import DEPLOYED, Detail, chosen_boxes, read_detail, trials_in_detail
from agropest.report.page.examples import Example, choose_images, draw_examples
from agropest.report.page.gallery import write_gallery
from agropest.report.tables.history import history_rows
from agropest.statistics.detections.boxes import GroundTruth
from agropest.store.losses import read_losses
from agropest.store.records import EvaluationRecord
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord
from agropest.store.weights_report import WeightsReport, read_weights_report

TEMPLATES = Path(__file__).parent / "template"
NAME = "index.html"
MOST_CHOICES = 60  # trials whose boxes can be looked at on the pictures


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
    sweep_folder = folder or store.sweep_folder(record.name)
    path = sweep_folder / NAME
    gallery = write_gallery(record, details, truth, path.parent) if truth is not None else None
    reports: dict[str, WeightsReport] = {}
    for trial in record.trials:
        if trial.label not in reports and (found := read_weights_report(store.folder(trial))):
            reports[trial.label] = found
    content = PageContent(
        record,
        rows,
        comparison,
        details,
        examples,
        running,
        refresh_s,
        forecast="" if running else against_actual(read_forecast(sweep_folder)),
        history=history_rows(record.trials, store, record.metric),
        weights=reports,
        problem=problem,
        gallery=gallery,
        inference=read_costs(sweep_folder) if comparison and not running else None,
        progress=SweepProgress(record.trials, store, record.metric, record.baseline).read() if refresh_s else (),
        losses={trial.signature: read_losses(store.folder(trial).path) for trial in record.trials},
    )
    files.write_text(path, render(content))
    return path


def render(content: PageContent) -> str:
    """Returns the page's HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("page.html").render(
        **page_context(content),
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


def _breakable(name: str) -> Markup:
    """Returns a name that a browser may break between its words."""
    return Markup("<wbr>").join(pieces(name))
