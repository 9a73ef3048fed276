"""AP beside what it costs at inference, as rows and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from agropest.analysis.models.inference_cost import CostedVariant, CostRecord, cheapest_of_tie, unsteady
from agropest.report.columns.column import CONSOLE
from agropest.report.columns.inference import inference_columns
from agropest.report.columns.writing import console_table, file_rows, text_table
from agropest.report.tables.trials import Rows


def cost_rows(costed: Sequence[CostedVariant], record: CostRecord, metric: str) -> Rows:
    """Returns one row for each measured variant, the fastest first."""
    return file_rows(inference_columns(metric, record.hardware), costed)


def cost_table(costed: Sequence[CostedVariant], metric: str) -> Table:
    """Returns the same for a console."""
    return console_table(text_table(inference_columns(metric), costed, CONSOLE, {"metric": metric}))


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
