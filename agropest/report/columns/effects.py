"""The columns of a factorial sweep's effects."""

from __future__ import annotations

from agropest.analysis.compared import Effect
from agropest.report.columns.column import CHANGE, P_VALUE, TENTHS, Column

EFFECT_COLUMNS: tuple[Column[Effect], ...] = (
    Column("effect", "effect", lambda one: one.kind, always=True),
    Column("factor", "factor", lambda one: " x ".join(one.factors), always=True, style=lambda _: "name"),
    Column("difference", "{metric}", lambda one: one.difference, CHANGE, spread="95 %", always=True),
    Column("difference_p", "p", lambda one: one.difference.p, P_VALUE, folds=1),
    Column("difference_p_adjusted", "p adj.", lambda one: one.difference.p_adjusted, P_VALUE, folds=4),
    Column(
        "verdict",
        "verdict",
        lambda one: one.difference.verdict,
        style=lambda one: f"verdict {one.difference.verdict.partition(' ')[0]}",
    ),
    Column("detectable", "detectable", lambda one: one.difference.detectable, TENTHS, folds=2),
    Column("AP_deployed", "AP deployed", lambda one: one.ap_deployed, CHANGE, folds=3),
)
