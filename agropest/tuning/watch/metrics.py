"""How a sweep stands as Ray custom metrics: they are on Ray's Prometheus endpoint under ``ray_<name>``.

``clusters/monitoring`` holds what draws them: a Prometheus configuration and a Grafana dashboard.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from agropest.analysis.progress import TrialProgress, best_progress, count_by_status, time_left_s
from agropest.store.records import TrialState

# Ray's agent forgets what was not set for two of its reports, 10 s apart.
FORGOTTEN_AFTER_S = 20.0

# Name: (what it says, the tags beside ``sweep``). AP and its kin are in percent.
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "agropest_validation": ("the sweep's metric at the last validation, percent", ("trial", "metric")),
    "agropest_best": ("the highest value of the sweep's metric on validation so far, percent", ("metric",)),
    "agropest_trials": ("number of trials", ("status",)),
    "agropest_iteration": ("iterations trained", ("trial",)),
    "agropest_images_per_s": ("images trained per second, 0 when the trial does not run", ("trial",)),
    "agropest_gpu_memory_gib": ("GPU memory that the trial's process has reserved, GiB", ("trial",)),
    "agropest_time_left_s": ("seconds until the sweep ends if nothing is stopped early", ()),
}


class SweepMetrics:
    """Publishes trial_progress; needs a connection to Ray.

    Args:
        sweep: its name, a tag of every metric.
        metric: the sweep's.
    """

    def __init__(self, sweep: str, metric: str) -> None:
        from ray.util.metrics import Gauge

        self._metric = metric
        self._gauges = {
            name: Gauge(name, description=text, tag_keys=("sweep", *tags)) for name, (text, tags) in GAUGES.items()
        }
        self._shown: dict[str, tuple[float | None, ...]] = {}
        self._all_set_at = 0.0
        for gauge in self._gauges.values():
            gauge.set_default_tags({"sweep": sweep})

    def publish(self, trial_progress: Sequence[TrialProgress]) -> None:
        """Sets every gauge to what is known now; what is not known keeps no value."""
        counts = count_by_status(trial_progress)
        for status in TrialState:
            self._set("agropest_trials", counts[status], status=status)
        best = best_progress(trial_progress)
        self._set("agropest_best", best.best if best else None, metric=self._metric)
        self._set("agropest_time_left_s", time_left_s(trial_progress))
        if time.monotonic() - self._all_set_at > FORGOTTEN_AFTER_S / 4:
            self._shown.clear()
            self._all_set_at = time.monotonic()
        for one in trial_progress:
            name = one.trial.name
            shown = (one.value, one.iteration, one.images_per_s, one.gpu_memory_gib)
            if self._shown.get(name) == shown:
                continue
            self._shown[name] = shown
            self._set("agropest_validation", one.value, trial=name, metric=self._metric)
            self._set("agropest_iteration", one.iteration, trial=name)
            self._set("agropest_images_per_s", one.images_per_s, trial=name)
            self._set("agropest_gpu_memory_gib", one.gpu_memory_gib, trial=name)

    def _set(self, name: str, value: float | None, **tags: str) -> None:
        if value is not None:
            self._gauges[name].set(value, tags=tags)
