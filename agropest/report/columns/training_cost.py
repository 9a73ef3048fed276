"""The columns of what each trial has cost, and of where it is."""

from __future__ import annotations

from dataclasses import dataclass

from agropest.analysis.ranking import RankedTrial
from agropest.report.columns.column import COUNT, PAGE, SECONDS, TENTHS, Column
from agropest.report.tables.cost import SweepCost, TrialCost

ON_PAGE = frozenset({PAGE})


@dataclass(frozen=True)
class CostRow:
    """A trial's cost, and how much of the longest trial's time it took."""

    cost: TrialCost
    share: float


def cost_rows(cost: SweepCost) -> list[CostRow]:
    """Returns a row for each trial."""
    longest = max((one.time_s for one in cost.trials), default=0.0) or 1.0
    return [CostRow(one, round(one.time_s / longest, 3)) for one in cost.trials]


COST_COLUMNS: tuple[Column[CostRow], ...] = (
    Column("label", "trial", lambda row: row.cost.label, shown=ON_PAGE, always=True, style=lambda _: "name"),
    Column("seed", "seed", lambda row: row.cost.seed, COUNT, ON_PAGE, always=True, folds=6),
    Column(
        "status", "status", lambda row: row.cost.status, shown=ON_PAGE, always=True, style=lambda row: row.cost.status
    ),
    Column(
        "time",
        "time",
        lambda row: row.cost.time_s,
        SECONDS,
        ON_PAGE,
        always=True,
        style=lambda _: "bar",
        shade=lambda row: row.share,
    ),
    Column("iteration", "iterations", lambda row: row.cost.iteration, COUNT, ON_PAGE, always=True, folds=5),
    Column("images_per_s", "images/s", lambda row: row.cost.images_per_s, TENTHS, ON_PAGE, folds=3),
    Column("evaluation_s", "evaluation", lambda row: row.cost.evaluation_s, SECONDS, ON_PAGE, folds=2),
    Column("saved_iters", "iterations saved", lambda row: row.cost.saved_iters or None, COUNT, ON_PAGE, folds=4),
    Column("saved_s", "time saved", lambda row: row.cost.saved_s or None, SECONDS, ON_PAGE, folds=1),
)

PLACE_COLUMNS: tuple[Column[RankedTrial], ...] = (
    Column("label", "trial", lambda row: row.label, shown=ON_PAGE, always=True, style=lambda _: "name"),
    Column("seed", "seed", lambda row: row.seed, COUNT, ON_PAGE, always=True),
    Column("folder", "folder", lambda row: row.folder, shown=ON_PAGE, always=True, style=lambda _: "key"),
    Column(
        "checkpoint",
        "chosen checkpoint",
        lambda row: row.checkpoint.rpartition("/")[2] or "not kept",
        shown=ON_PAGE,
        always=True,
        style=lambda _: "key",
    ),
)
