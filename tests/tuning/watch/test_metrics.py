"""What Ray's metrics are told, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from agropest.analysis.progress import TrialProgress
from agropest.store.records import TrialState
from agropest.sweep.trial import TrialSpec
from agropest.tuning.watch import metrics


def progress_of(label: str, status: str, iteration: int) -> TrialProgress:
    trial = TrialSpec(label, 1, {"SOLVER.MAX_ITER": 10, "TEST.EVAL_PERIOD": 5}, data="d")
    return TrialProgress(trial, status, "", iteration, 2.0, 5, None, 2.0, 0.0, 0.0, None)


def test_what_has_not_changed_is_published_again_before_ray_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []

    class Gauge:
        def __init__(self, name: str, **_: Any) -> None:
            self.name = name

        def set_default_tags(self, tags: dict[str, str]) -> None:
            assert tags == {"sweep": "anchors"}

        def set(self, value: float, tags: dict[str, str]) -> None:
            if self.name == "agropest_iteration":
                told.append((tags["trial"], str(value)))

    now = [1000.0]
    monkeypatch.setattr("ray.util.metrics.Gauge", Gauge)
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now[0])
    published = metrics.SweepMetrics("anchors", "AP")
    published.publish([progress_of("done", TrialState.FINISHED, 10), progress_of("runs", TrialState.RUNNING, 5)])
    assert told == [("done/s1", "10"), ("runs/s1", "5")]
    now[0] += 1
    published.publish([progress_of("done", TrialState.FINISHED, 10), progress_of("runs", TrialState.RUNNING, 6)])
    assert told[2:] == [("runs/s1", "6")]
    now[0] += 10  # Ray reports every 10 s, and forgets what two reports did not have
    published.publish([progress_of("done", TrialState.FINISHED, 10), progress_of("runs", TrialState.RUNNING, 6)])
    assert told[3:] == [("done/s1", "10"), ("runs/s1", "6")]
