"""The tables of a sweep's page: what is known of the sweep in, rows of cells out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from agropest.analysis.compared import Comparison
from agropest.analysis.guards import BROKEN
from agropest.analysis.models.inference_cost import CostedVariant
from agropest.analysis.ranking import RankedTrial
from agropest.report.page.details import Detail
from agropest.report.tables.classes import class_changes
from agropest.report.tables.cost import SweepCost
from agropest.report.tables.predictions import most_confused
from agropest.report.tables.published import COLUMNS, WORDS
from agropest.report.tables.trials import METRICS, Rows
from agropest.report.verdicts import EvaluationKey, interval_text, number, probability, signed
from agropest.statistics.accuracy.average_precision import APL, APM, APS, CLASS_PREFIX, DEPLOYED_CLASS_PREFIX
from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.diagnosis.confusion import ConfusionMatrix
from agropest.statistics.inference import Interval
from agropest.store.records import TrialState
from agropest.store.weights_report import WeightsReport, in_few_words, layers

MOST_CLASSES = 40  # in a table: more make a page of many megabytes that nobody reads
LONG = 26  # letters of a name that still go into one line
DEEPEST = 10.0  # percentage points at which the heat map's colour is full


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, what it is sorted by (None: after everything), and its style class and shade."""

    text: str
    sort: float | str | None = None
    class_: str = ""
    shade: float = 0.0


@dataclass(frozen=True)
class TableOf:
    """A table: headings, whether each is a number, rows of cells."""

    headings: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[Cell]]


def variant_table(comparison: Comparison) -> TableOf:
    """Returns what is known of each variant."""
    metric = comparison.metric
    headings = ["#", "variant", "status", "seeds", metric, "95 %", "AP deployed", "seed sd"]
    headings += [f"vs {comparison.baseline}", "95 % of it", "p", "p adj.", "verdict", "detectable", "tied"]
    headings += [f"test {metric}", "test AP deployed", "val − test", "guards"]
    rows = []
    for one in comparison.variants:
        difference = one.difference
        verdict = "baseline" if one.label == comparison.baseline else difference.verdict if difference else ""
        at_equal = " ‡" if difference and one.equal_iterations else ""
        test = one.test.value if one.test else None
        gap = one.gap.value if one.gap else None
        guards = "; ".join(f"{guard.class_name}: {guard.state}" for guard in one.guards)
        is_broken = any(guard.state == BROKEN for guard in one.guards)
        rows.append(
            [
                Cell(str(one.rank) if one.rank else "–", one.rank),
                _name(one.label),
                Cell(one.status, one.status),
                Cell(str(len(one.seeds)), len(one.seeds)),
                _number(one.estimate.value),
                Cell(
                    interval_text(one.estimate.interval), one.estimate.interval.low if one.estimate.interval else None
                ),
                _number(one.ap_deployed, missing="–"),
                _number(one.seed_spread, missing="–"),
                Cell(signed(difference.value), difference.value) if difference else _nothing(),
                Cell(interval_text(difference.interval, True), difference.interval.low) if difference else _nothing(),
                Cell(probability(difference.p), difference.p) if difference else _nothing(),
                Cell(probability(difference.p_adjusted), difference.p_adjusted) if difference else _nothing(),
                Cell(verdict + at_equal, verdict, f"verdict {verdict.partition(' ')[0]}"),
                Cell(f"{difference.detectable:.1f}", difference.detectable)
                if difference and difference.detectable is not None
                else _nothing(),
                Cell("yes" if one.ties_with_best else "–", "0" if one.ties_with_best else "1"),
                _number(test, missing="–"),
                _number(one.test_ap_deployed, missing="–"),
                Cell(signed(gap), gap) if gap is not None else _nothing(),
                Cell(guards or "–", guards, "guards broken" if is_broken else "guards"),
            ]
        )
    numeric = [heading not in ("variant", "status", "verdict", "tied", "guards") for heading in headings]
    always = ("#", "variant", "status", metric)
    keep = [
        i
        for i, heading in enumerate(headings)
        if heading in always or any(row[i].text not in ("–", "", "0", "1") for row in rows)
    ]
    body = [[row[i] for i in keep] for row in rows]
    return TableOf([headings[i] for i in keep], [numeric[i] for i in keep], body)


def effect_table(comparison: Comparison) -> TableOf | None:
    """Returns what each factor does; None where nothing is known of that."""
    if not comparison.effects:
        return None
    headings = ["effect", "factor", comparison.metric, "95 %", "p", "p adj.", "verdict", "detectable", "AP deployed"]
    rows = [
        [
            Cell(effect.kind, effect.kind),
            _name(" × ".join(effect.factors)),
            Cell(signed(difference.value), difference.value),
            Cell(interval_text(difference.interval, True), difference.interval.low),
            Cell(probability(difference.p), difference.p),
            Cell(probability(difference.p_adjusted), difference.p_adjusted),
            Cell(difference.verdict, difference.verdict, f"verdict {difference.verdict.partition(' ')[0]}"),
            Cell(f"{difference.detectable:.1f}", difference.detectable)
            if difference.detectable is not None
            else _nothing(),
            Cell(signed(effect.ap_deployed), effect.ap_deployed) if effect.ap_deployed is not None else _nothing(),
        ]
        for effect in comparison.effects
        for difference in [effect.difference]
    ]
    return TableOf(headings, [heading not in ("effect", "factor", "verdict") for heading in headings], rows)


def trial_table(
    rows: Sequence[RankedTrial], metric: str, intervals: Mapping[EvaluationKey, Interval] | None = None
) -> TableOf:
    """Returns every trial, each seed by itself; with the metric's intervals where there are some."""
    names = list(dict.fromkeys([metric, *METRICS]))
    tested = list(dict.fromkeys([metric, *(name for name in METRICS if name not in (APS, APM, APL))]))
    others = [f"val {name}" for name in names[1:]]
    headings = ["#", "trial", "seed", "status", "iterations", "of", f"val {metric}"]
    headings += [*(["95 %"] if intervals else []), *others, "at"]
    headings += [f"test {name}" for name in tested] + ["time", "remark"]
    body = []
    for row in rows:
        remark = "; ".join(text for text in (row.reason, *row.notes) if text)
        cells = [
            Cell(str(row.rank) if row.rank else "–", row.rank),
            _name(row.label),
            Cell(str(row.seed), row.seed),
            Cell(row.status, row.status, row.status),
            Cell(str(row.iteration), row.iteration),
            Cell(str(row.max_iter), row.max_iter),
        ]
        cells.append(_metric(row.valid, metric))
        if intervals:
            known = intervals.get((row.label, row.seed, row.val_iteration))
            cells.append(Cell(interval_text(known), known.low) if known else _nothing())
        cells += [_metric(row.valid, name) for name in names[1:]]
        cells.append(Cell(str(row.val_iteration or "–"), row.val_iteration))
        cells += [_metric(row.test, name) for name in tested]
        cells += [_seconds(row.time_s), Cell(remark, remark.lower() or None, "remark")]
        body.append(cells)
    numeric = [heading not in ("trial", "status", "remark") for heading in headings]
    return TableOf(headings, numeric, body)


def heat_map(comparison: Comparison | None, rows: Sequence[RankedTrial], baseline: str) -> TableOf | None:
    """Returns the difference of every class's AP to the baseline's; None where there is none.

    From the comparison where there is one, a cell whose interval leaves out 0 then is marked; else from the trials. Of
    many classes those that change most.
    """
    return _heat_table(_compared_classes(comparison) if comparison else _trial_classes(rows, baseline))


def deployed_heat_map(rows: Sequence[RankedTrial], baseline: str) -> TableOf | None:
    """Returns the same at the deployed score threshold, of the finished variants; None where that was not stored."""
    changes = class_changes(rows, baseline, DEPLOYED_CLASS_PREFIX)
    return _heat_table(
        {
            label: {name: (value, False) for name, value in its.items() if value is not None}
            for label, its in changes.items()
        }
    )


def _heat_table(changes: Mapping[str, Mapping[str, tuple[float, bool]]]) -> TableOf | None:
    """Returns the differences and whether each is clear as a table, by row and class."""
    classes = list(dict.fromkeys(name for one in changes.values() for name in one))
    if not classes:
        return None
    if len(classes) > MOST_CLASSES:
        largest = {name: max(abs(one[name][0]) for one in changes.values() if name in one) for name in classes}
        kept = set(sorted(classes, key=lambda name: -largest[name])[:MOST_CLASSES])
        classes = [name for name in classes if name in kept]
    body = [
        [_name(label), *(_shaded(*one[name]) if name in one else _nothing() for name in classes)]
        for label, one in changes.items()
        if one
    ]
    return TableOf(["variant", *classes], [False, *(True for _ in classes)], body)


def _compared_classes(comparison: Comparison) -> dict[str, dict[str, tuple[float, bool]]]:
    changes = {}
    for one in comparison.variants:
        changes[one.label] = {
            name: (
                estimate.value,
                estimate.interval is not None and (estimate.interval.low > 0 or estimate.interval.high < 0),
            )
            for name, estimate in one.per_class.items()
            if estimate.value is not None
        }
    return changes


def _trial_classes(rows: Sequence[RankedTrial], baseline: str) -> dict[str, dict[str, tuple[float, bool]]]:
    base = {row.seed: row.valid for row in rows if row.label == baseline and row.status == TrialState.FINISHED}
    changes = {}
    for row in rows:
        if row.status == TrialState.FINISHED and row.label != baseline and row.seed in base:
            other = base[row.seed]
            pairs = {
                name: (value, other.get(name)) for name, value in row.valid.items() if name.startswith(CLASS_PREFIX)
            }
            changes[f"{row.label} (seed {row.seed})"] = {
                name.removeprefix(CLASS_PREFIX): (value - before, False)
                for name, (value, before) in pairs.items()
                if value is not None and before is not None
            }
    return changes


def _shaded(value: float, is_clear: bool) -> Cell:
    class_ = "up" if value > 0 else "down"
    return Cell(
        signed(value) + ("*" if is_clear else ""), value, class_, round(min(abs(value) / DEEPEST, 1.0) * 0.7, 2)
    )


def confusion_table(detail: Detail) -> TableOf:
    """Returns counts; a row's cells are shaded by their share of it. Of many classes the most frequent confusions."""
    if len(detail.confusion.class_names) > MOST_CLASSES:
        return _confusion_pairs(detail.confusion)
    names = [*detail.confusion.class_names, "background"]
    body = []
    for i, (name, row) in enumerate(zip(names, detail.confusion.counts.tolist(), strict=True)):
        total = sum(row) or 1
        cells = [
            Cell(str(count) if count else "·", count, "right" if i == j else "wrong", round(0.7 * count / total, 2))
            for j, count in enumerate(row)
        ]
        body.append([Cell(name, None, _name(name).class_), *cells])
    return TableOf(["truth ↓ predicted →", *names], [False, *(True for _ in names)], body)


def _confusion_pairs(confusion: ConfusionMatrix) -> TableOf:
    names = confusion.class_names
    rows = [
        [
            _name(names[row]),
            Cell(names[column], names[column].lower()),
            Cell(str(count), count),
        ]
        for count, row, column in most_confused(confusion, MOST_CLASSES)
    ]
    return TableOf(["truth", "predicted", "most frequent confusions"], [False, False, True], rows)


def behaviour_table(details: Sequence[Detail]) -> TableOf:
    """Returns what the trials in detail show at the score threshold that each would be deployed with."""
    headings = ["trial", "threshold", "boxes", "images with boxes", "above 0.8"]
    rows = []
    for detail in details:
        share = detail.summary.share_confident
        cells = [
            _name(detail.name),
            Cell(f"{detail.threshold:g}", detail.threshold),
            Cell(str(detail.summary.num_boxes), detail.summary.num_boxes),
            Cell(str(detail.summary.num_images), detail.summary.num_images),
            Cell("n/a" if share is None else f"{share:.0%}", share),
        ]
        rows.append(cells)
    return TableOf(headings, [False, *(True for _ in headings[1:])], rows)


def mistakes_table(details: Sequence[Detail]) -> TableOf:
    """Returns calibration and error types of all boxes of the trials in detail, whatever their score."""
    types = list(details[0].errors.counts) if details else []
    headings = ["trial", "calibration error", "AP50", *(f"{name} ({_plain_type(name)})" for name in types)]
    rows = []
    for detail in details:
        ece = detail.calibration.ece
        cells = [_name(detail.name), Cell("n/a" if ece is None else f"{ece:.3f}", ece), _number(detail.errors.ap50)]
        cells += [
            Cell(f"{detail.errors.counts[name]} ({detail.errors.delta_ap[name]:+.1f})", detail.errors.delta_ap[name])
            for name in types
        ]
        rows.append(cells)
    return TableOf(headings, [False, *(True for _ in headings[1:])], rows)


def class_table(rows: Sequence[RankedTrial]) -> TableOf | None:
    """Returns AP of every class on validation, of the best trial of each variant; None before the first evaluation."""
    best: dict[str, RankedTrial] = {}
    for row in rows:
        if row.valid:
            best.setdefault(row.label, row)
    names = list(dict.fromkeys(name for row in best.values() for name in row.valid if name.startswith(CLASS_PREFIX)))
    if not names or len(names) > MOST_CLASSES:
        return None
    headings = ["variant", "seed", "at", *(name.removeprefix(CLASS_PREFIX) for name in names)]
    body = [
        [
            _name(row.label),
            Cell(str(row.seed), row.seed),
            Cell(str(row.val_iteration), row.val_iteration),
            *(_metric(row.valid, name) for name in names),
        ]
        for row in best.values()
    ]
    return TableOf(headings, [False, *(True for _ in headings[1:])], body)


def _plain_type(name: str) -> str:
    words = {"Cls": "class", "Loc": "place", "Both": "both", "Dupe": "twice", "Bkg": "nothing there", "Miss": "missed"}
    return words.get(name, name)


def cost_table(cost: SweepCost) -> TableOf:
    """Returns what each trial has cost; the time is shaded by its share of the longest."""
    headings = [
        "trial",
        "seed",
        "status",
        "time",
        "iterations",
        "images/s",
        "evaluation",
        "iterations saved",
        "time saved",
    ]
    longest = max((one.time_s for one in cost.trials), default=0.0) or 1.0
    rows = [
        [
            _name(one.label),
            Cell(str(one.seed), one.seed),
            Cell(one.status, one.status, one.status),
            _seconds(one.time_s, "bar", round(one.time_s / longest, 3)),
            Cell(str(one.iteration), one.iteration),
            Cell("–" if one.images_per_s is None else f"{one.images_per_s:.1f}", one.images_per_s),
            _seconds(one.evaluation_s),
            Cell(str(one.saved_iters or "–"), one.saved_iters),
            _seconds(one.saved_s) if one.saved_s else Cell("–", one.saved_s),
        ]
        for one in cost.trials
    ]
    return TableOf(headings, [heading not in ("trial", "status") for heading in headings], rows)


def places_table(rows: Sequence[RankedTrial]) -> TableOf:
    """Returns where each trial is, and its chosen checkpoint, relative to the results folder."""
    headings = ["trial", "seed", "folder", "chosen checkpoint"]
    body = [
        [
            _name(row.label),
            Cell(str(row.seed), row.seed),
            Cell(row.folder, row.folder, "key"),
            Cell(row.checkpoint.rpartition("/")[2] or "not kept", row.checkpoint or None, "key"),
        ]
        for row in rows
    ]
    return TableOf(headings, [False, True, False, False], body)


def inference_table(costed: Sequence[CostedVariant], metric: str) -> TableOf:
    """Returns AP beside what it costs at inference, the fastest first."""
    headings = ["variant", f"val {metric}", "95 %", "ms", "quartiles", "GFLOPs", "M parameters", "MiB", "front", "tied"]
    body = [
        [
            _name(one.variant.label),
            _number(one.variant.estimate.value),
            Cell(interval_text(one.variant.estimate.interval)),
            Cell(f"{one.cost.latency_ms:.1f}", one.cost.latency_ms),
            Cell(f"{one.cost.fast_ms:.1f} to {one.cost.slow_ms:.1f}", one.cost.fast_ms),
            Cell(f"{one.cost.gflops:.1f}", one.cost.gflops),
            Cell(f"{one.cost.parameters / 1e6:.2f}", one.cost.parameters),
            Cell(f"{one.cost.memory_mib:.0f}", one.cost.memory_mib),
            Cell("yes" if one.on_front else "–", int(one.on_front)),
            Cell("yes" if one.variant.ties_with_best else "–", int(one.variant.ties_with_best)),
        ]
        for one in costed
    ]
    return TableOf(headings, [False, *(True for _ in headings[1:])], body)


def published_table(rows: Rows) -> TableOf | None:
    """Returns published figures beside measured ones; None where nothing was published."""
    if not rows:
        return None
    numeric = [key not in WORDS for key in COLUMNS.values()]
    body = [[_plain_cell(row[key], key == "difference") for key in COLUMNS.values()] for row in rows]
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
            _name(label),
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
    body = [[_plain_cell(value) for value in row.values()] for row in rows]
    return TableOf(list(rows[0]), numeric, body)


def _plain_cell(value: str | int | float | None, is_difference: bool = False) -> Cell:
    if value is None:
        return _nothing()
    if isinstance(value, float):
        return Cell(signed(value) if is_difference else number(value), value)
    return Cell(str(value), None if value == "n/a" else value)


def grouped(rows: Sequence[Any], key: str) -> list[tuple[str, list[Any]]]:
    """Returns consecutive rows with the same ``key`` together."""
    return [(str(name), list(group)) for name, group in groupby(rows, key=lambda row: getattr(row, key))]


def _name(name: str) -> Cell:
    """Returns a name that is broken into lines where it is long."""
    return Cell(name, name.lower(), f"name{' long' if len(name) > LONG else ''}")


def _seconds(value: float, class_: str = "", shade: float = 0.0) -> Cell:
    return Cell(f"{value:.0f}\N{NO-BREAK SPACE}s", value, class_, shade)


def _number(value: float | None, missing: str = "n/a") -> Cell:
    return Cell(missing if value is None else number(value), value)


def _metric(metrics: Mapping[str, float | None], name: str) -> Cell:
    value = metric_value(metrics, name)
    return Cell("–" if not metrics or (value is None and name not in metrics) else number(value), value)


def _nothing() -> Cell:
    return Cell("–")
