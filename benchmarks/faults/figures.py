"""What is printed at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Faults in a run that says something: fewer are enough only where fewer were asked for.
ENOUGH = 60


@dataclass
class Figures:
    """Counts over all sweeps; see the package."""

    injected: Counter[str] = field(default_factory=Counter)
    not_survived: list[str] = field(default_factory=list)
    trials_lost: int = 0
    finished_run_again: int = 0
    metrics_differing: int = 0
    evaluations_missing: int = 0
    not_stopped: int = 0
    repaired_by_training: int = 0
    sweeps: int = 0
    launches: int = 0
    seconds: float = 0.0

    def content(self) -> dict[str, Any]:
        injected = sum(self.injected.values())
        return {
            "injected": injected,
            "survived": injected - len(self.not_survived),
            "trials lost": self.trials_lost,
            "finished trials run again": self.finished_run_again,
            "metrics differing": self.metrics_differing,
            "evaluations missing": self.evaluations_missing,
            "repaired by training": self.repaired_by_training,
            "not stopped early": self.not_stopped,
            "sweeps": self.sweeps,
            "launches": self.launches,
            "seconds": round(self.seconds),
            "by kind": dict(sorted(self.injected.items())),
            "not survived": self.not_survived,
        }

    def all_well(self, asked: int) -> bool:
        """Returns whether enough was injected, of as many faults as were asked for, and nothing was lost."""
        lost = self.trials_lost + self.finished_run_again + self.metrics_differing
        return sum(self.injected.values()) >= min(ENOUGH, asked) and not self.not_survived and not lost
