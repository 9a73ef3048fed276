"""AP with its interval over latency, and the front: the variants than which none is both faster and better."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.analysis.models.inference_cost import CostedVariant
from agropest.report.long_names import shortened
from agropest.report.page.svg import WIDE, axis_around, drawing, element, marker, path, text, tick_text

HEIGHT = 380
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 16, 334


def cost_chart(costed: Sequence[CostedVariant], metric: str, width: int = WIDE) -> str:
    """Returns the chart; circles that are filled are not distinguishable from the best."""
    latency = axis_around([one.cost.latency_ms for one in costed], LEFT, width - RIGHT, 0.0)
    edges = [edge for one in costed for edge in _edges(one)]
    value = axis_around(edges, BOTTOM, TOP)
    parts = []
    ticks = latency.ticks(6 if width == WIDE else 4)
    for tick in ticks:
        parts.append(text(tick_text(tick, ticks), latency(tick), BOTTOM + 16, text_anchor="middle"))
    for tick in value.ticks():
        parts.append(element("line", x1=LEFT, x2=width - RIGHT, y1=value(tick), y2=value(tick), class_="grid"))
        parts.append(text(tick_text(tick, value.ticks()), LEFT - 6, value(tick) + 4, text_anchor="end"))
    front = [one for one in costed if one.on_front]
    corners = [(latency(one.cost.latency_ms), value(one.variant.estimate.value or 0.0)) for one in front]
    parts.append(path(corners, class_="line s1"))
    for one in costed:
        x, y = latency(one.cost.latency_ms), value(one.variant.estimate.value or 0.0)
        if interval := one.variant.estimate.interval:
            parts.append(element("line", x1=x, x2=x, y1=value(interval.low), y2=value(interval.high), class_="whisker"))
        parts.append(marker("circle", x, y, "tied" if one.variant.ties_with_best else "mark", 4.5))
        label = shortened(one.variant.label, 22)
        is_near_the_edge = x + 8 + 6.6 * len(label) > width
        at, anchor = (x - 8, "end") if is_near_the_edge else (x + 8, "start")
        parts.append(text(label, at, y - 6, class_="small", text_anchor=anchor))
    parts.append(text(f"{metric} on validation over milliseconds a picture", LEFT, HEIGHT - 8, class_="small"))
    return drawing(width, HEIGHT, f"{metric} over latency of {len(costed)} variants", *parts)


def _edges(one: CostedVariant) -> list[float]:
    interval = one.variant.estimate.interval
    return [one.variant.estimate.value or 0.0, *([interval.low, interval.high] if interval else [])]
