"""A sweep's comparison as a console table and as rows for CSV and Markdown: one row for each variant.

"n/a" is a metric without ground truth; an empty cell is what was not computed or cannot be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.guards import BROKEN, DROPPED
from agropest.analysis.ranking import RankedTrial
from agropest.csv_text import to_csv
from agropest.report.markdown import plain
from agropest.report.tables.trials import Cell, Rows, per_class_rows, ranking_rows, to_markdown, trial_remarks
from agropest.report.verdicts import NOTHING, number, probability, remarks, seed_intervals, signed
from agropest.statistics.inference import Difference, Estimate, Interval
from agropest.store.records import TrialState

BASELINE = "baseline"


def table_texts(comparison: Comparison, trials: Sequence[RankedTrial], heading: str) -> dict[str, str]:
    """Returns ranking.csv, comparison.csv, per_class.csv, effects.csv (of factors) and ranking.md, by file name.

    Args:
        heading: first line of the Markdown.
    """
    compared, effects = comparison_rows(comparison), effect_rows(comparison)
    ranking = ranking_rows(trials, comparison.metric, seed_intervals(comparison))
    notes = [f"- {plain(f'{trial.label}/s{trial.seed}: {text}')}" for trial in trials for text in trial_remarks(trial)]
    parts = [
        f"# {plain(heading)}",
        plain(comparison.sentence),
        to_markdown(compared).rstrip(),
        *((f"## What each factor does\n\n{to_markdown(effects).rstrip()}",) if effects else ()),
        "\n".join(f"- {plain(line)}" for line in remarks(comparison)),
        f"## Trials\n\n{to_markdown(ranking).rstrip()}",
        "\n".join(notes),
    ]
    return {
        "ranking.csv": to_csv(ranking),
        "comparison.csv": to_csv(compared),
        "per_class.csv": to_csv(per_class_rows(trials)),
        **({"effects.csv": to_csv(effects)} if effects else {}),
        "ranking.md": "\n\n".join(part for part in parts if part) + "\n",
    }


def comparison_rows(comparison: Comparison) -> Rows:
    """Returns everything that is known of each variant as numbers, percent and percentage points to two decimals."""
    return [
        {
            "rank": one.rank,
            "label": one.label,
            "status": one.status,
            "seeds": " ".join(map(str, one.seeds)),
            "iterations": " ".join(map(str, one.iterations)),
            "metric": comparison.metric,
            "images": comparison.num_images,
            "sources": comparison.num_sources,
            "boxes": comparison.num_boxes,
            **_estimate("val", one.estimate, missing="n/a" if one.seeds else None),
            "val_AP_deployed": _rounded(one.ap_deployed),
            "seed_sd": _rounded(one.seed_spread),
            **_difference("difference", one.difference),
            "verdict": verdict(one, comparison),
            "detectable": _rounded(one.difference.detectable if one.difference else None),
            "ties_with_best": int(one.ties_with_best),
            "at_equal_iterations": " ".join(map(str, one.equal_iterations)),
            "guards": "; ".join(f"{guard.class_name} {guard.state}" for guard in one.guards),
            **_estimate("test", one.test),
            "test_AP_deployed": _rounded(one.test_ap_deployed),
            **_estimate("gap", one.gap),
            **_estimate("val_corrected", one.corrected),
            "error": _rounded(one.difference.error if one.difference else None),
            "seeds_share": _rounded(one.difference.seeds_share if one.difference else None),
            **_difference("test_difference", one.test_difference),
        }
        for one in comparison.variants
    ]


def effect_rows(comparison: Comparison) -> Rows:
    """Returns one row for each factor effect and interaction."""
    return [
        {
            "effect": effect.kind,
            "factor": " x ".join(effect.factors),
            **_difference("difference", effect.difference),
            "verdict": effect.difference.verdict,
            "detectable": _rounded(effect.difference.detectable),
            "AP_deployed": _rounded(effect.ap_deployed),
        }
        for effect in comparison.effects
    ]


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


def comparison_table(
    comparison: Comparison, trials: Sequence[RankedTrial], title: str, width: int | None = None
) -> Table:
    """Returns what people read at the end of a launch.

    Args:
        trials: of the same sweep, for iterations and time.
        width: characters there are; columns that matter less are left out until the rest fits. None: any number.
    """
    columns = _columns(comparison, trials)
    while width is not None and _width(columns) > width:
        left_out = next((heading for heading in LESS_NEEDED if heading in columns), None)
        if left_out is None:
            break
        del columns[left_out]
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for heading in columns:
        side: JustifyMethod = "left" if heading in ("variant", "status", "verdict") else "right"
        table.add_column(Text(heading), justify=side, no_wrap="[95 %]" in heading or heading == "variant")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table


# In this order they are left out of a narrow console; the page and the files have them all.
LESS_NEEDED = (
    "time",
    "test AP deployed",
    "p",
    "iterations",
    "AP deployed",
    "ties with best",
    "seeds: sd",
    "status",
    "test [95 %]",
    "p adj.",
)


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    """Returns the characters that columns take side by side, with the lines between them."""
    return 1 + sum(3 + max(map(len, (heading, *cells))) for heading, cells in columns.items())


def _columns(comparison: Comparison, trials: Sequence[RankedTrial]) -> dict[str, list[str]]:
    """Returns the cells of the console's table, by heading, a row for each variant."""
    several = any(len(one.seeds) > 1 for one in comparison.variants)
    tested = any(one.test for one in comparison.variants)
    rows = []
    for one in comparison.variants:
        its = [trial for trial in trials if trial.label == one.label]
        difference = one.difference
        row = {
            "#": NOTHING if one.rank is None else str(one.rank),
            "variant": one.label,
            "status": _statuses(its),
            "iterations": ", ".join(dict.fromkeys(f"{trial.iteration}/{trial.max_iter}" for trial in its)),
            f"val {comparison.metric} [95 %]": (
                _with_interval(one.estimate.value, one.estimate.interval) if one.seeds else NOTHING
            ),
        }
        if several:
            row["seeds: sd"] = NOTHING if one.seed_spread is None else f"{len(one.seeds)}: {one.seed_spread:.2f}"
        row |= {
            "AP deployed": NOTHING if one.ap_deployed is None else number(one.ap_deployed),
            f"vs {comparison.baseline} [95 %]": (
                _with_interval(difference.value, difference.interval, signed) if difference else NOTHING
            ),
            "p": probability(difference.p) if difference else NOTHING,
            "p adj.": probability(difference.p_adjusted) if difference else NOTHING,
            "verdict": verdict(one, comparison) or NOTHING,
            "ties with best": "yes" if one.ties_with_best else NOTHING,
        }
        if tested:
            row["test [95 %]"] = _with_interval(one.test.value, one.test.interval) if one.test else NOTHING
            row["test AP deployed"] = NOTHING if one.test_ap_deployed is None else number(one.test_ap_deployed)
        rows.append(row | {"time": f"{sum(trial.time_s for trial in its):.0f} s"})
    headings = list(rows[0]) if rows else []
    return {heading: [row[heading] for row in rows] for heading in headings}


def effects_table(comparison: Comparison) -> Table:
    """Returns the factor effects for a console."""
    table = Table(title="What each factor does", title_justify="left", title_style="bold")
    for heading in ("effect", "factor", f"{comparison.metric} [95 %]", "p", "p adj.", "verdict", "AP deployed"):
        table.add_column(Text(heading))
    for effect in comparison.effects:
        difference = effect.difference
        value = _with_interval(difference.value, difference.interval, signed)
        ps = (probability(difference.p), probability(difference.p_adjusted))
        deployed = NOTHING if effect.ap_deployed is None else signed(effect.ap_deployed)
        table.add_row(*map(Text, (effect.kind, " x ".join(effect.factors), value, *ps, difference.verdict, deployed)))
    return table


def _with_interval(
    value: float | None, interval: Interval | None, shown: Callable[[float | None], str] = number
) -> str:
    """Returns a value with its interval: in as few digits as show on which side of 0 an edge lies."""
    return shown(value) + (f" [{_edge(interval.low)}, {_edge(interval.high)}]" if interval else "")


def _edge(value: float) -> str:
    digits = 1 if abs(value) >= 1 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no negative zero


def _statuses(trials: Sequence[RankedTrial]) -> str:
    words = [trial.status for trial in trials]
    return ", ".join(word if len(words) == 1 else f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _estimate(name: str, estimate: Estimate | None, missing: Cell = None) -> dict[str, Cell]:
    interval = estimate.interval if estimate else None
    value = estimate.value if estimate else None
    return {
        name: missing if value is None else _rounded(value),
        f"{name}_low": _rounded(interval.low if interval else None),
        f"{name}_high": _rounded(interval.high if interval else None),
    }


def _difference(name: str, difference: Difference | None) -> dict[str, Cell]:
    return {
        name: _rounded(difference.value if difference else None),
        f"{name}_low": _rounded(difference.interval.low if difference else None),
        f"{name}_high": _rounded(difference.interval.high if difference else None),
        f"{name}_p": _probability(difference.p if difference else None),
        f"{name}_p_adjusted": _probability(difference.p_adjusted if difference else None),
    }


def _rounded(value: float | None) -> Cell:
    return None if value is None else round(value, 2) + 0.0  # + 0.0: no negative zero


def _probability(value: float | None) -> Cell:
    """Returns three significant digits: rounded to so many decimals a small p value would be 0."""
    return None if value is None else float(f"{value:.3g}")
