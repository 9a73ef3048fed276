"""The columns of a sweep's variants, and of the files of ``compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.guards import BROKEN, DROPPED
from agropest.analysis.ranking import RankedTrial
from agropest.report.columns.column import (
    CHANGE,
    CONSOLE,
    COUNT,
    FILES,
    LATEX,
    LATEX_DIFFERENCES,
    P_VALUE,
    PAGE,
    PEOPLE,
    PERCENT,
    SECONDS,
    TENTHS,
    YES,
    Column,
)
from agropest.report.verdicts import number
from agropest.statistics.inference import Difference, Estimate
from agropest.store.records import TrialState

BASELINE = "baseline"
ONLY_FILES = frozenset({FILES})
EVERYWHERE = PEOPLE | {FILES, LATEX}
OF_DIFFERENCES = PEOPLE | {FILES, LATEX_DIFFERENCES}


@dataclass(frozen=True)
class VariantRow:
    """A variant, what it is compared in, and its trials (none: files are compared)."""

    variant: ComparedVariant
    comparison: Comparison
    trials: Sequence[RankedTrial] = ()


def variant_rows(comparison: Comparison, trials: Sequence[RankedTrial] = ()) -> list[VariantRow]:
    """Returns a row for each variant, in the comparison's order."""
    return [
        VariantRow(one, comparison, [trial for trial in trials if trial.label == one.label])
        for one in comparison.variants
    ]


def variant_words(comparison: Comparison, variant: str = "variant") -> Mapping[str, str]:
    """Returns what the headings are filled with; ``variant``: what a row is, where it is no variant of a sweep."""
    split = "val " if variant == "variant" else ""
    return {"metric": comparison.metric, "baseline": comparison.baseline, "variant": variant, "val": split}


def verdict(variant: ComparedVariant, comparison: Comparison) -> str:
    """Returns better, worse, inconclusive, "baseline", or nothing where nothing can be said; with guards."""
    if variant.label == comparison.baseline:
        return BASELINE
    word = variant.difference.verdict if variant.difference else ""
    if word and (variant.status != TrialState.FINISHED or variant.equal_iterations):
        word += " at equal iterations"
    for state, said in ((BROKEN, ", but loses {}"), (DROPPED, f"; {{}} {DROPPED}")):
        names = [guard.class_name for guard in variant.guards if guard.state == state]
        word += said.format(", ".join(names)) if names else ""
    return word


def _statuses(row: VariantRow) -> str:
    """Returns the states of its trials; nothing where every variant has finished."""
    if all(one.status == TrialState.FINISHED for one in row.comparison.variants):
        return ""
    told = [str(trial.status) for trial in row.trials] or [row.variant.status]
    return ", ".join(one if len(told) == 1 else f"{told.count(one)} {one}" for one in dict.fromkeys(told))


def _estimate(row: VariantRow) -> Estimate | None:
    known = row.variant.seeds or row.variant.estimate.value is not None
    return row.variant.estimate if known else None


def _trained(row: VariantRow) -> str | None:
    return ", ".join(dict.fromkeys(f"{trial.iteration}/{trial.max_iter}" for trial in row.trials)) or None


def _seeds(row: VariantRow) -> str:
    """Returns how many seeds, and their standard deviation; nothing where no variant has several."""
    if not any(len(one.seeds) > 1 for one in row.comparison.variants):
        return ""
    sd = row.variant.seed_spread
    return f"{len(row.variant.seeds)}" + ("" if sd is None else f": {number(sd)}")


def _time(row: VariantRow) -> float | None:
    return sum(trial.time_s for trial in row.trials) if row.trials else None


def _detectable(row: VariantRow) -> float | None:
    return row.variant.difference.detectable if row.variant.difference else None


def _error(row: VariantRow) -> float | None:
    return row.variant.difference.error if row.variant.difference else None


def _seeds_share(row: VariantRow) -> float | None:
    return row.variant.difference.seeds_share if row.variant.difference else None


def _guards(row: VariantRow) -> str:
    return "; ".join(f"{guard.class_name} {guard.state}" for guard in row.variant.guards)


def _guard_style(row: VariantRow) -> str:
    return "guards broken" if any(guard.state == BROKEN for guard in row.variant.guards) else "guards"


def _p(difference: Difference | None) -> float | None:
    return difference.p if difference else None


def _p_adjusted(difference: Difference | None) -> float | None:
    return difference.p_adjusted if difference else None


# In the order that every table has them.
VARIANT_COLUMNS: tuple[Column[VariantRow], ...] = (
    Column("rank", "#", lambda row: row.variant.rank, COUNT, EVERYWHERE, always=True),
    Column(
        "label",
        "{variant}",
        lambda row: row.variant.label,
        shown=EVERYWHERE | {LATEX_DIFFERENCES},
        always=True,
        style=lambda _: "name",
    ),
    Column("status", "status", lambda row: row.variant.status, shown=EVERYWHERE, text=_statuses, folds=11),
    Column("seeds", "", lambda row: " ".join(map(str, row.variant.seeds)), shown=ONLY_FILES),
    Column("iterations", "", lambda row: " ".join(map(str, row.variant.iterations)), shown=ONLY_FILES),
    Column("trained", "iterations", _trained, shown=frozenset({CONSOLE}), folds=6),
    Column("metric", "", lambda row: row.comparison.metric, shown=ONLY_FILES),
    Column("images", "", lambda row: row.comparison.num_images, COUNT, ONLY_FILES),
    Column("sources", "", lambda row: row.comparison.num_sources, COUNT, ONLY_FILES),
    Column("boxes", "", lambda row: row.comparison.num_boxes, COUNT, ONLY_FILES),
    Column(
        "val",
        "{val}{metric}",
        _estimate,
        PERCENT,
        EVERYWHERE,
        spread="95 %",
        always=True,
        spread_folds=14,
        latex="{short_metric}",
    ),
    Column(
        "val_AP_deployed",
        "AP deployed",
        lambda row: row.variant.ap_deployed,
        PERCENT,
        EVERYWHERE,
        folds=7,
        meaning="AP of the boxes that would be shown, at or above the deployed score threshold",
    ),
    Column(
        "seed_sd",
        "seeds: sd",
        lambda row: row.variant.seed_spread,
        PERCENT,
        EVERYWHERE,
        text=_seeds,
        folds=9,
        meaning="trainings, and the standard deviation across them",
    ),
    Column(
        "difference",
        "vs {baseline}",
        lambda row: row.variant.difference,
        CHANGE,
        OF_DIFFERENCES,
        spread="95 %",
        spread_folds=3,
        latex=r"$\Delta$",
    ),
    Column(
        "difference_p",
        "p",
        lambda row: _p(row.variant.difference),
        P_VALUE,
        OF_DIFFERENCES,
        folds=4,
        latex="$p$",
        meaning="how often chance alone makes a difference so large",
    ),
    Column(
        "difference_p_adjusted",
        "p adj.",
        lambda row: _p_adjusted(row.variant.difference),
        P_VALUE,
        OF_DIFFERENCES,
        folds=13,
        latex="$p$ adj.",
        meaning="p for all comparisons of the table at once (max-T), by which verdicts go",
    ),
    Column(
        "verdict",
        "verdict",
        lambda row: verdict(row.variant, row.comparison),
        shown=OF_DIFFERENCES,
        style=lambda row: f"verdict {verdict(row.variant, row.comparison).partition(' ')[0]}",
    ),
    Column(
        "detectable",
        "detectable",
        _detectable,
        TENTHS,
        OF_DIFFERENCES,
        folds=2,
        latex="Det.",
        meaning="the smallest true difference that would have been called with 80 % probability",
    ),
    Column(
        "ties_with_best",
        "ties with best",
        lambda row: row.variant.ties_with_best,
        YES,
        PEOPLE | {FILES},
        folds=10,
        meaning="not distinguishable from the one on top, so choose the cheapest of them",
    ),
    Column("at_equal_iterations", "", lambda row: " ".join(map(str, row.variant.equal_iterations)), shown=ONLY_FILES),
    Column("guards", "guards", _guards, shown=frozenset({FILES, PAGE}), folds=6, style=_guard_style),
    Column(
        "test",
        "test",
        lambda row: row.variant.test,
        PERCENT,
        EVERYWHERE,
        spread="95 %",
        bare=frozenset({LATEX}),
        folds=12,
    ),
    Column(
        "test_AP_deployed",
        "test AP deployed",
        lambda row: row.variant.test_ap_deployed,
        PERCENT,
        PEOPLE | {FILES},
        folds=5,
    ),
    Column(
        "gap",
        "val − test",
        lambda row: row.variant.gap,
        CHANGE,
        frozenset({FILES, PAGE}),
        spread="95 %",
        bare=frozenset({PAGE}),
        folds=8,
    ),
    Column("val_corrected", "", lambda row: row.variant.corrected, PERCENT, ONLY_FILES, spread="95 %"),
    Column("error", "", _error, PERCENT, ONLY_FILES),
    Column("seeds_share", "", _seeds_share, PERCENT, ONLY_FILES),
    Column("test_difference", "", lambda row: row.variant.test_difference, CHANGE, ONLY_FILES, spread="95 %"),
    Column("test_difference_p", "", lambda row: _p(row.variant.test_difference), P_VALUE, ONLY_FILES),
    Column("test_difference_p_adjusted", "", lambda row: _p_adjusted(row.variant.test_difference), P_VALUE, ONLY_FILES),
    Column("time", "time", _time, SECONDS, frozenset({CONSOLE}), folds=1),
)
