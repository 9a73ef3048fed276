"""What a person sees while a sweep runs: one live table, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from agropest.results.store import EvaluationRecord, Status, Store
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

REFRESH_S = 1.0


class Progress:
    """Reads the store and shows how the trials stand.

    Args:
        trials: of the sweep.
        store: where they write.
    """

    def __init__(self, spec: SweepSpec, trials: Sequence[TrialSpec], store: Store) -> None:
        self.spec, self.trials, self.store = spec, trials, store
        self.console = Console()
        self._live = (
            Live(console=self.console, auto_refresh=False, transient=True) if self.console.is_terminal else None
        )
        self._shown: dict[str, tuple[str, int]] = {}
        self._last, self._message = 0.0, ""
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Shows what the sweep waits for."""
        if text == self._message:
            return
        self._message = text
        if self._live is None:
            self._line(text)
        else:
            self._live.start()
            self._live.update(self.table(), refresh=True)

    def link(self, dashboard: str) -> None:
        """Shows where the Ray dashboard is; an empty address is none."""
        if dashboard:
            self.say(f"Ray dashboard: {dashboard} (its token: ray get-auth-token)")

    def refresh(self) -> None:
        """Shows what has changed, at most once a second."""
        if time.monotonic() - self._last < REFRESH_S:
            return
        self._last = time.monotonic()
        if self._live is not None:
            self._message = ""
            self._live.update(self.table(), refresh=True)
        else:
            self._lines()

    def close(self) -> None:
        """Ends the display; what follows is printed below it."""
        if self._live is not None:
            self._live.stop()
        else:
            self._lines()

    def table(self) -> Table:
        """Returns the table of all trials as they stand in the store."""
        table = Table(title=self._title(), title_justify="left", title_style="", caption=self._message or None)
        for heading in ("trial", "status", "iteration", f"val {self.spec.metric}", "vs baseline", "images/s"):
            table.add_column(heading, justify="left" if heading in ("trial", "status") else "right")
        baselines = self._baselines()
        for trial in self.trials:
            status, last = self._state(trial)
            value = last.metrics.get(self.spec.metric) if last else None
            base = baselines.get((trial.seed, last.iteration)) if last else None
            change = f"{value - base:+.1f}" if value is not None and base is not None else ""
            table.add_row(
                trial.name,
                status.status,
                f"{max(status.iteration, last.iteration if last else 0)}/{trial.max_iter}",
                "" if value is None else f"{value:.1f}",
                "" if trial.label == self.spec.baseline else change,
                f"{last.train_images_per_s:.1f}" if last and last.train_images_per_s else "",
            )
        return table

    def _title(self) -> str:
        counts = Counter(self._state(trial)[0].status for trial in self.trials)
        states = ", ".join(f"{number} {word}" for word, number in counts.items())
        return f"{self.spec.name}: {states} after {time.monotonic() - self._started:.0f} s"

    def _baselines(self) -> dict[tuple[int, int], float]:
        """Returns the baseline's metric by (seed, iteration): trials are compared at equal iterations."""
        values = {}
        for trial in self.trials:
            if trial.label == self.spec.baseline:
                for record in self.store.folder(trial).read_evaluations("valid"):
                    value = record.metrics.get(self.spec.metric)
                    if value is not None:
                        values[trial.seed, record.iteration] = value
        return values

    def _state(self, trial: TrialSpec) -> tuple[Status, EvaluationRecord | None]:
        folder = self.store.folder(trial)
        records = folder.read_evaluations("valid")
        return folder.status(), records[-1] if records else None

    def _lines(self) -> None:
        """Prints a line for every trial that has a new status or evaluation."""
        for trial in self.trials:
            status, last = self._state(trial)
            seen = (status.status, last.iteration if last else 0)
            if self._shown.setdefault(trial.name, ("new", 0)) == seen:
                continue
            self._shown[trial.name] = seen
            value = last.metrics.get(self.spec.metric) if last else None
            score = (
                f", val {self.spec.metric} {value:.1f} at iteration {last.iteration}"
                if last and value is not None
                else ""
            )
            reason = f" ({status.reason})" if status.reason else ""
            self._line(f"{trial.name}: {status.status}{score}{reason}")

    def _line(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", flush=True)
