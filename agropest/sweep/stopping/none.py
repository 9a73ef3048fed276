"""``stop: none``: every trial is trained to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule
    from agropest.sweep.trial import TrialSpec


def expected_share(rule: StopRule, trial: TrialSpec) -> float:
    """See :class:`agropest.sweep.stopping.Rule`."""
    return 1.0


def assumption(rule: StopRule) -> str:
    """See :class:`agropest.sweep.stopping.Rule`."""
    return ""
