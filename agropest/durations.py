"""How a span of time is written, everywhere the same."""

from __future__ import annotations

from datetime import datetime, timedelta


def duration(seconds: float) -> str:
    """Returns a span of time as people say it: ``45 s``, ``12 min``, ``2 h 05 min``, ``3 d 04 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24:02d} h"


def clock(now: datetime, seconds: float) -> str:
    """Returns when a span of time from now has passed: the time of day, with the date unless that is today."""
    then = now + timedelta(seconds=seconds)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
