"""What each variant's configuration changes, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agropest.sweep.trial import TrialSpec

LONGEST = 160


@dataclass(frozen=True)
class ConfigChange:
    """A key that differs from the baseline's, both values in words; ``before`` is empty where there is none."""

    label: str
    key: str
    before: str
    after: str


def config_changes(trials: Sequence[TrialSpec], baseline: str) -> list[ConfigChange]:
    """Returns every key of every variant that differs from the baseline's; seeds are no difference."""
    base = next((trial.config for trial in trials if trial.label == baseline), {})
    first: dict[str, TrialSpec] = {}
    for trial in trials:
        first.setdefault(trial.label, trial)
    return [
        ConfigChange(label, key, in_words(base[key]) if key in base else "", in_words(value))
        for label, trial in first.items()
        for key, value in trial.overrides.items()
        if key != "SEED"
    ]


def in_words(value: Any) -> str:
    """Returns a config value in few words; never empty."""
    text = '""' if value == "" else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
