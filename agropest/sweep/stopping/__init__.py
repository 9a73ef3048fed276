"""The rules of early stopping, one file each: its options, what it is expected to save, where it first decides.

A module is found here by the name that a sweep file gives to ``stop:``. It has ``expected_share`` (the share of its
iterations that an average trial trains), ``assumption`` (the same in words) and, where its options differ from what all
rules have, a dataclass of options. What the rule decides is in the module of the same name in
``agropest.tuning.stopping.rules``, because a decision needs Ray or the statistics of the stored evaluations.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule
    from agropest.sweep.trial import TrialSpec

NOT_RULES = ("halving_options", "simulated")


class Rule(Protocol):
    """What a rule's module has."""

    def expected_share(self, rule: StopRule, trial: TrialSpec) -> float:
        """Returns the share of its iterations that an average trial trains, (0, 1]; 1 where nothing is assumed."""

    def assumption(self, rule: StopRule) -> str:
        """Returns what the forecast assumes, in words; empty where it assumes nothing."""


def rule_names() -> tuple[str, ...]:
    """Returns what ``stop:`` may name: ``none``, then the others in alphabetical order."""
    names = {info.name for info in pkgutil.iter_modules(__path__)} - {"none", *NOT_RULES}
    return ("none", *sorted(names))


def rule_named(name: str) -> Rule:
    """Returns the module of a rule.

    Raises:
        ModuleNotFoundError: there is none of that name.
    """
    module: Rule = importlib.import_module(f"{__name__}.{name}")
    return module
