"""The plan of a sweep as people read it, before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from agropest.durations import clock, duration
from agropest.planning.sweep_forecast import SweepForecast
from agropest.report.columns.column import CONSOLE, COUNT, Column
from agropest.report.columns.writing import console_table, text_table
from agropest.report.console import print_sentence
from agropest.store.completeness import is_stopped
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.upkeep.restart import other_stoppers
from agropest.sweep.factors import APPLIED
from agropest.sweep.lint import Remark
from agropest.sweep.trial import TrialSpec

UNKNOWN = "unknown"  # the line of the forecast says what to do about it
LONGEST_PATH = 30  # letters: of a longer one the file's name is shown
# How a stored status reads in a plan: what the launch will do about it.
WORDS = {"new": "new", "finished": "done", "stopped": "done (stopped early)", "failed": "failed"}


@dataclass(frozen=True)
class PlanRow:
    """A trial in a plan.

    Attributes:
        changes: what differs from the baseline, a line for each key.
        time: that it is expected to take.
        word: what the launch will do about it.
    """

    trial: TrialSpec
    changes: str
    time: str
    word: str


def _iterations(row: PlanRow) -> str:
    return f"{row.trial.max_iter} iterations" if row.trial.trains else "evaluation"


PLAN_COLUMNS: tuple[Column[PlanRow], ...] = (
    Column("trial", "trial", lambda row: row.trial.label, always=True),
    Column("seed", "seed", lambda row: row.trial.seed, COUNT, always=True),
    Column("changes", "differs from {baseline} in", lambda row: row.changes),
    Column("iterations", "trains", _iterations),
    Column("resources", "resources", lambda row: row.trial.resources.in_words()),
    Column("time", "time", lambda row: row.time),
    Column("state", "state", lambda row: row.word, always=True),
)
# What all trials have alike stands above the table.
SAID_ABOVE = ("iterations", "resources", "time")


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
    names = short_keys({key for trial in trials for key in trial.overrides})
    rows = [
        PlanRow(
            trial,
            _changes(trial, names),
            _time(trial, forecast),
            plan_word(trial, store, stopper, trial.name in incomplete),
        )
        for trial in trials
    ]
    counts = Counter(row.word for row in rows)
    title = f"{len(trials)} trials: " + ", ".join(f"{number} {word}" for word, number in counts.items())
    alike = {
        column.key: texts.pop()
        for column in PLAN_COLUMNS
        if column.key in SAID_ABOVE and len(texts := {column.in_words(row, "") for row in rows}) == 1
    }
    each = ", ".join(text for text in alike.values() if text not in ("", UNKNOWN))
    columns = [column for column in PLAN_COLUMNS if column.key not in alike]
    content = text_table(columns, rows, CONSOLE, {"baseline": baseline})
    return console_table(content, title + (f"; each: {each}" if each else ""))


def short_keys(keys: Collection[str]) -> dict[str, str]:
    """Returns each key's shortest end that no other key has: a console breaks whole keys within words."""
    found = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        others = [f".{other}" for other in keys if other != key]
        found[key] = next((end for end in ends if not any(one.endswith(f".{end}") for one in others)), key)
    return found


def _changes(trial: TrialSpec, names: Mapping[str, str]) -> str:
    """Returns what a trial changes; a combination of factors names them, for each stands there alone, too."""
    applied = [name for name, level in trial.levels.items() if level == APPLIED]
    if len(applied) > 1:
        return f"{', '.join(applied[:-1])} and {applied[-1]}, as above"
    return "\n".join(f"{names[key]}: {shown(value)}" for key, value in trial.overrides.items() if key != "SEED")


def _time(trial: TrialSpec, forecast: SweepForecast | None) -> str:
    """Returns what a trial is expected to take; nothing for one that has ended."""
    expected = forecast.of(trial.name) if forecast else None
    if expected is None:
        return ""
    if expected.seconds is None:
        return UNKNOWN
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
    if "/" in text and len(text) > LONGEST_PATH:
        return f".../{text.rpartition('/')[2]}"
    return text if len(text) <= 100 else text[:97] + "..."


def print_remarks(remarks: Sequence[Remark], console: Console, known: Collection[str] = ()) -> None:
    """Prints what the linter remarks, each with the rule's name, and how a rule is silenced.

    Args:
        known: texts of remarks that an earlier launch printed: those are only counted.
    """
    old = [remark for remark in remarks if remark.text in known]
    remarks = [remark for remark in remarks if remark.text not in known]
    if old:
        line = f"lint: {len(old)} remark{'s' if len(old) > 1 else ''} as at the last launch (--plan shows all)"
        print_sentence(console, line)
    for remark in remarks:
        print_sentence(console, f"lint: {remark.text} [{remark.rule}]")
    if remarks:
        how = f"lint: a rule that does not apply here is turned off in the sweep file (silence: [{remarks[-1].rule}])"
        print_sentence(console, how)
