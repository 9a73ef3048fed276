"""What a person should know of the trials, each thing said once."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.analysis.ranking import RankedTrial

MOST_NAMES = 6


def notes_by_text(trials: Sequence[RankedTrial]) -> list[tuple[str, str]]:
    """Returns ``(note, which trials)`` for every different note, e.g. which layers were initialised afresh."""
    found: dict[str, list[str]] = {}
    for trial in trials:
        for note in dict.fromkeys(trial.notes):
            found.setdefault(note, []).append(f"{trial.label}/s{trial.seed}")
    return [(note, _named(names, len(trials))) for note, names in found.items()]


def _named(names: Sequence[str], of: int) -> str:
    if len(names) == of > 1:
        return f"all {of} trials"
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
