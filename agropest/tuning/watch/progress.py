"""What a person sees while a sweep runs: one live table, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agropest.analysis.progress import SweepProgress, TrialProgress, best_progress, count_by_status, time_left_s
from agropest.durations import duration
from agropest.report.console import print_sentence
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

REFRESH_S = 1.0
# A log file hears at least this often that the sweep continues.
SUMMARY_S = 300.0
STYLES = {
    TrialState.RUNNING: "cyan",
    TrialState.FINISHED: "green",
    TrialState.STOPPED: "yellow",
    TrialState.INTERRUPTED: "yellow",
    TrialState.FAILED: "red",
    TrialState.NEW: "dim",
}
WORDS = {TrialState.NEW: "waiting"}
# Lines of the terminal that the table does not get: title, header, links, message.
LINES_AROUND = 9


class Progress:
    """Reads the store and shows how the trials stand.

    Args:
        spec: of the sweep.
        trials: of the sweep; a list that grows is shown as it is each time.
        store: where they write.
        console: where to; standard output by default.
        elapsed_s: how long the sweep has run already.
    """

    def __init__(
        self,
        spec: SweepSpec,
        trials: Sequence[TrialSpec],
        store: Store,
        console: Console | None = None,
        elapsed_s: float = 0.0,
    ) -> None:
        self.spec = spec
        self.console = console or Console()
        self.trial_progress: list[TrialProgress] = []
        self._reader = SweepProgress(trials, store, spec.metric, spec.baseline)
        live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = (
            Live(console=self.console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
            if live
            else None
        )
        self._printed: dict[str, tuple[str, int]] = {}
        # Trials that earlier launches and rounds have ended are counted in one line.
        self._ended_before = {
            one.trial.name: (one.status, one.value_iteration or 0)
            for one in (self._reader.read() if self._live is None else [])
            if one.status.has_ended
        }
        self._said, self._message = "", ""
        self._links: list[str] = []
        self._started = time.monotonic() - elapsed_s
        self._last, self._last_summary = -REFRESH_S, self._started

    def say(self, text: str, for_now: bool = False) -> None:
        """Shows what the sweep waits for, or what a person must know.

        Args:
            for_now: it goes without saying once a trial runs.
        """
        if text == self._said:
            return
        self._said = text
        self.trial_progress = self.trial_progress or self._reader.read()
        if self._live is None:
            self._line(text)
            return
        self._message = text if for_now else ""
        self._live.start()
        if not for_now:  # above the table, where it stays when the table is gone
            print_sentence(self.console, text)
        self._draw()

    def link(self, text: str) -> None:
        """Shows for the whole time where something can be looked at."""
        self._links.append(text)
        if self._live is None:
            self._line(text)

    def refresh(self) -> bool:
        """Shows what has changed, at most once a second; returns whether it did."""
        if time.monotonic() - self._last < REFRESH_S:
            return False
        self._last = time.monotonic()
        self.trial_progress = self._reader.read()
        if self._live is None:
            self._lines()
        else:
            if any(one.is_running for one in self.trial_progress):
                self._message = ""
            self._draw()
        return True

    def close(self) -> None:
        """Ends the display; what follows is printed below it."""
        self.trial_progress = self._reader.read()
        if self._live is not None:
            self._live.stop()
        else:
            self._lines()

    def view(self) -> Group:
        """Returns the live display: title, table, links and what is waited for."""
        parts: list[RenderableType] = [Text(self._title(), "bold"), *self._best(), self._table()]
        parts += [Text(link, "dim") for link in self._links]
        if self._message:
            parts.append(Text(self._message, "yellow"))
        return Group(*parts)

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self.view(), refresh=True)

    def _title(self) -> str:
        """Returns e.g. ``demo: 2 running, 1 waiting; 40 s so far, 3 min left``."""
        counts = count_by_status(self.trial_progress)
        states = ", ".join(f"{counts[status]} {WORDS.get(status, status)}" for status in STYLES if counts[status])
        left = time_left_s(self.trial_progress) if self.trial_progress else None
        ahead = f", {'at most ' if self.spec.stop.method != 'none' else ''}{duration(left)} left" if left else ""
        return f"{self.spec.name}: {states + '; ' if states else ''}{duration(self._elapsed_s())} so far{ahead}"

    def _best(self) -> list[Text]:
        best = best_progress(self.trial_progress)
        if best is None:
            return []
        return [Text(f"best so far: {best.trial.name}, val {self.spec.metric} {best.best:.1f}")]

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("trial", overflow="ellipsis", no_wrap=True, min_width=8, ratio=None)
        for heading in ("status", "iteration", f"val {self.spec.metric}", "vs baseline", "images/s", "left"):
            table.add_column(heading, justify="left" if heading == "status" else "right", no_wrap=True)
        room = max(3, self.console.height - LINES_AROUND - len(self._links))
        shown = most_telling(self.trial_progress, room)
        for one in shown:
            table.add_row(*self._cells(one), style="dim" if one.status == TrialState.NEW else "")
        if len(shown) < len(self.trial_progress):
            table.add_row(f"and {len(self.trial_progress) - len(shown)} more", style="dim")
        return table

    def _cells(self, one: TrialProgress) -> list[str | Text]:
        return [
            one.trial.name,
            Text(WORDS.get(one.status, one.status), STYLES.get(one.status, "")),
            f"{one.iteration}/{one.trial.max_iter}",
            "" if one.value is None else f"{one.value:.1f}",
            "" if one.change is None else f"{one.change:+.1f}",
            f"{one.images_per_s:.1f}" if one.images_per_s else "",
            duration(one.left_s) if one.left_s and one.is_running else "",
        ]

    def _lines(self) -> None:
        """Prints a line for every trial that has a new status or evaluation, and now and then one for all."""
        if self._ended_before:
            self._line(f"{len(self._ended_before)} of {len(self.trial_progress)} trials have ended before")
            self._printed |= self._ended_before
            self._ended_before = {}
        for one in self.trial_progress:
            seen = (one.status, one.value_iteration or 0)
            if self._printed.setdefault(one.trial.name, (TrialState.NEW, 0)) == seen:
                continue
            self._printed[one.trial.name] = seen
            self._last_summary = time.monotonic()
            self._line(f"{one.trial.name}: {', '.join(self._words(one))}{f' ({one.reason})' if one.reason else ''}")
        if time.monotonic() - self._last_summary >= SUMMARY_S:
            self._last_summary = time.monotonic()
            self._line(self._title())

    def _words(self, one: TrialProgress) -> list[str]:
        words = [WORDS.get(one.status, one.status)]
        if one.value is not None:
            change = f" ({one.change:+.1f} vs baseline)" if one.change is not None else ""
            words.append(f"val {self.spec.metric} {one.value:.1f}{change} at iteration {one.value_iteration}")
        if one.images_per_s:
            words.append(f"{one.images_per_s:.1f} images/s")
        if one.left_s and one.is_running and one.value_iteration:
            words.append(f"{duration(one.left_s)} left")
        return words

    def _line(self, text: str) -> None:
        print_sentence(self.console, f"[{self._elapsed_s():6.1f} s] {text}")
        self.console.file.flush()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started


def most_telling(trial_progress: Sequence[TrialProgress], room: int) -> list[TrialProgress]:
    """Returns at most ``room`` trials in the sweep's order: those that run, then the best that ended, then the next."""
    if len(trial_progress) <= room:
        return list(trial_progress)

    def place(one: TrialProgress) -> tuple[int, float]:
        if one.is_running:
            return 0, 0.0
        return (1, -(one.best if one.best is not None else -1.0)) if one.status.has_ended else (2, 0.0)

    chosen = {id(one) for one in sorted(trial_progress, key=place)[: room - 1]}
    return [one for one in trial_progress if id(one) in chosen]
