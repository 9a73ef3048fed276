"""AP beside what it costs at inference, as rows and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agropest.analysis.models.inference_cost import CostedVariant, CostRecord, cheapest_of_tie, unsteady
from agropest.report.tables.trials import Rows
from agropest.report.verdicts import estimate_text


def cost_rows(costed: Sequence[CostedVariant], record: CostRecord, metric: str) -> Rows:
    """Returns one row for each measured variant, the fastest first."""
    return [
        {
            "label": one.variant.label,
            "seed": one.cost.seed,
            "metric": metric,
            "val": round(one.variant.estimate.value or 0.0, 2),
            "val_low": round(one.variant.estimate.interval.low, 2) if one.variant.estimate.interval else None,
            "val_high": round(one.variant.estimate.interval.high, 2) if one.variant.estimate.interval else None,
            "latency_ms": round(one.cost.latency_ms, 2),
            "latency_quartile_1_ms": round(one.cost.fast_ms, 2),
            "latency_quartile_3_ms": round(one.cost.slow_ms, 2),
            "gflops": round(one.cost.gflops, 2),
            "parameters": one.cost.parameters,
            "memory_mib": round(one.cost.memory_mib, 1),
            "on_front": int(one.on_front),
            "ties_with_best": int(one.variant.ties_with_best),
            "hardware": record.hardware,
        }
        for one in costed
    ]


def cost_table(costed: Sequence[CostedVariant], metric: str) -> Table:
    """Returns the same for a console."""
    table = Table()
    for heading in ("variant", f"val {metric} (95 %)", "ms", "GFLOPs", "M parameters", "MiB", "on the front", "tied"):
        table.add_column(Text(heading), justify="left" if heading == "variant" else "right")
    for one in costed:
        cells = (
            one.variant.label,
            estimate_text(one.variant.estimate),
            f"{one.cost.latency_ms:.1f} ({one.cost.fast_ms:.1f} to {one.cost.slow_ms:.1f})",
            f"{one.cost.gflops:.1f}",
            f"{one.cost.parameters / 1e6:.2f}",
            f"{one.cost.memory_mib:.0f}",
            "yes" if one.on_front else "-",
            "yes" if one.variant.ties_with_best else "-",
        )
        table.add_row(*map(Text, cells))
    return table


def how_measured(record: CostRecord) -> str:
    """Returns how the figures came about, in a sentence."""
    height, width = record.input_px
    threads = f", {record.threads} threads" if record.device == "cpu" else ""
    return (
        f"Measured on {record.hardware}{threads}: one picture at a time ({width} x {height} px at the model's input), "
        f"median of {record.num_runs} warmed runs (quartiles in brackets), without reading and resizing; "
        "GFLOPs of convolutions and matrix products; memory is what the process needs more at its peak than "
        "before the model was built."
    )


def doubts(costed: Sequence[CostedVariant]) -> str:
    """Returns what speaks against the latencies; empty where nothing does."""
    names = unsteady(costed)
    if not names:
        return ""
    return (
        f"The runs of {', '.join(names)} are far apart: something else was using this machine. Do not compare these "
        "milliseconds; measure again when it is quiet (python -m agropest cost)."
    )


def cheapest_sentence(costed: Sequence[CostedVariant], metric: str) -> str:
    """Returns which member of the tie with the best is the fastest; empty where the best stands alone."""
    cheapest = cheapest_of_tie(costed)
    if cheapest is None:
        return ""
    tied = [one for one in costed if one.variant.ties_with_best]
    slowest = max(one.cost.latency_ms for one in tied)
    names = ", ".join(one.variant.label for one in tied if one is not cheapest)
    return (
        f"Fastest of those that are not distinguishable from the best by {metric}: {cheapest.variant.label} "
        f"({cheapest.cost.latency_ms:.1f} ms; the slowest of them takes {slowest:.1f} ms). Tied with it: {names}."
    )
