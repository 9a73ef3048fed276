"""The columns of AP beside what it costs at inference."""

from __future__ import annotations

from agropest.analysis.models.inference_cost import CostedVariant
from agropest.report.columns.column import CONSOLE, COUNT, FILES, PAGE, PERCENT, TENTHS, YES, Column, Format, rounded
from agropest.statistics.inference import Estimate, Interval

SHOWN = frozenset({FILES, CONSOLE, PAGE})
ONLY_FILES = frozenset({FILES})
MILLIONS = Format(int, lambda value: f"{value / 1e6:.2f}")
MEBIBYTES = Format(rounded(1), lambda value: f"{value:.0f}")


def _latency(one: CostedVariant) -> Estimate:
    return Estimate(one.cost.latency_ms, Interval(one.cost.fast_ms, one.cost.slow_ms))


def inference_columns(metric: str, hardware: str = "") -> tuple[Column[CostedVariant], ...]:
    """Returns the columns.

    Args:
        metric: that the variants are ranked by.
        hardware: that the latencies were measured on.
    """
    return (
        Column("label", "variant", lambda one: one.variant.label, shown=SHOWN, always=True, style=lambda _: "name"),
        Column("seed", "", lambda one: one.cost.seed, COUNT, ONLY_FILES),
        Column("metric", "", lambda _: metric, shown=ONLY_FILES),
        Column("val", "val {metric}", lambda one: one.variant.estimate, PERCENT, SHOWN, spread="95 %", always=True),
        Column(
            "latency_ms",
            "ms",
            _latency,
            TENTHS,
            SHOWN,
            spread="quartiles",
            edges=("latency_quartile_1_ms", "latency_quartile_3_ms"),
            spread_folds=1,
            always=True,
        ),
        Column("gflops", "GFLOPs", lambda one: one.cost.gflops, TENTHS, SHOWN, always=True),
        Column("parameters", "M parameters", lambda one: one.cost.parameters, MILLIONS, SHOWN, always=True),
        Column("memory_mib", "MiB", lambda one: one.cost.memory_mib, MEBIBYTES, SHOWN, always=True),
        Column("on_front", "on the front", lambda one: one.on_front, YES, SHOWN, always=True),
        Column("ties_with_best", "ties with best", lambda one: one.variant.ties_with_best, YES, SHOWN, always=True),
        Column("hardware", "", lambda _: hardware, shown=ONLY_FILES),
    )
