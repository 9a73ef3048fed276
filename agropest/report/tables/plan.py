"""The plan of a sweep as people read it, before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agropest.durations import clock, duration
from agropest.planning.sweep_forecast import SweepForecast
from agropest.store.completeness import is_stopped
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.upkeep.restart import other_stoppers
from agropest.sweep.lint import Remark
from agropest.sweep.trial import TrialSpec

# How a stored status reads in a plan: what the launch will do about it.
WORDS = {"new": "new", "finished": "done", "stopped": "done (stopped early)", "failed": "failed"}


def plan_table(
    trials: Sequence[TrialSpec],
    store: Store,
    baseline: str,
    stopper: str,
    incomplete: Collection[str] = (),
    forecast: SweepForecast | None = None,
) -> Table:
    """Returns label, seed, what differs from the baseline, iterations, resources, time and state of every trial.

    Args:
        stopper: of the sweep (``SweepSpec.stopper``).
        incomplete: names of ended trials that lack an evaluation which the launch has to make.
    """
    words = {trial.name: plan_word(trial, store, stopper, trial.name in incomplete) for trial in trials}
    counts = Counter(words.values())
    title = f"{len(trials)} trials: " + ", ".join(f"{number} {word}" for word, number in counts.items())
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("trial", "seed", f"differs from {baseline} in", "iterations", "resources", "time", "state"):
        table.add_column(heading, overflow="fold")
    for trial in trials:
        different = "\n".join(f"{key}: {shown(value)}" for key, value in trial.overrides.items() if key != "SEED")
        table.add_row(
            trial.label,
            str(trial.seed),
            Text(different or "-"),
            str(trial.max_iter) if trial.trains else "evaluation",
            trial.resources.in_words(),
            _time(trial, forecast),
            words[trial.name],
        )
    return table


def _time(trial: TrialSpec, forecast: SweepForecast | None) -> str:
    """Returns what a trial is expected to take; nothing for one that has ended."""
    expected = forecast.of(trial.name) if forecast else None
    if expected is None:
        return ""
    if expected.seconds is None:
        return "unknown"
    done = f", done {clock(datetime.now().astimezone(), expected.end_s)}" if expected.end_s is not None else ""
    early = expected.stopped_early_s
    if early is None or early >= expected.seconds:
        return duration(expected.seconds) + done
    return f"{duration(early)} of {duration(expected.seconds)}{done}"  # stopped early as the forecast assumes


def plan_word(trial: TrialSpec, store: Store, stopper: str, is_incomplete: bool = False) -> str:
    """Returns new, unfinished, done or failed, and where the trial is reused from: another sweep, or another name."""
    folder = store.folder(trial)
    sweep, stored = stopper.split(":")[0], folder.status()
    status = TrialState.STOPPED if is_stopped(stored, stopper) else stored.status
    word = "unfinished (an evaluation is missing or damaged)" if is_incomplete else WORDS.get(status, "unfinished")
    if status == TrialState.STOPPED and not is_stopped(stored, stopper):
        word = f"unfinished (stopped by {', '.join(other_stoppers(stored))})"
    other_sweep, other_label = folder.origin()
    if status == TrialState.NEW or (other_sweep in ("", sweep) and other_label in ("", trial.label)):
        return word
    sources = [f"'{other_label}'"] if other_label != trial.label else []
    sources += [f"sweep '{other_sweep}'"] if other_sweep not in ("", sweep) else []
    return f"{word}, reused from {' of '.join(sources)}"


def shown(value: Any) -> str:
    """Returns a config value in few words."""
    text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."


def print_remarks(remarks: Sequence[Remark], console: Console) -> None:
    """Prints what the linter remarks, each with the rule's name, and how a rule is silenced."""
    for remark in remarks:
        console.print(f"lint: {remark.text} [{remark.rule}]", markup=False, highlight=False, soft_wrap=True)
    if remarks:
        how = f"lint: a rule that does not apply here is turned off in the sweep file (silence: [{remarks[-1].rule}])"
        console.print(how, markup=False, highlight=False, soft_wrap=True)
