"""The losses of a training: a line of ``losses.csv`` in the trial's folder every few iterations.

Nothing is decided by them. A training that continues from a checkpoint writes the lines after it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agropest import files

NAME = "losses.csv"
ITERATION, RATE, TOTAL = "iteration", "learning_rate", "total"


@dataclass(frozen=True)
class LossLine:
    """The means since the line before.

    Attributes:
        iteration: trained by then.
        total: of all losses.
        parts: by name, as Detectron2 names them.
    """

    iteration: int
    total: float
    parts: Mapping[str, float] = field(default_factory=dict)


def read_losses(folder: Path) -> list[LossLine]:
    """Returns what is stored, in order; a line that is cut off or damaged is left out."""
    try:
        head, *rows = (folder / NAME).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    names = head.split(",")
    return [line for row in rows if (line := _line(names, row)) is not None]


def _line(names: list[str], row: str) -> LossLine | None:
    cells = row.split(",")
    if len(cells) != len(names):
        return None
    try:
        values = dict(zip(names, map(float, cells), strict=True))
        return LossLine(int(values.pop(ITERATION)), values.pop(TOTAL), {k: v for k, v in values.items() if k != RATE})
    except (KeyError, ValueError):
        return None


class LossLog:
    """Writes the lines.

    Args:
        folder: of the trial.
        from_iteration: that the training continues from: later lines are of a part that is trained again.
    """

    def __init__(self, folder: Path, from_iteration: int) -> None:
        self.path = folder / NAME
        kept = [line for line in read_losses(folder) if line.iteration <= from_iteration]
        self._names: list[str] = []
        if not kept:
            self.path.unlink(missing_ok=True)
            return
        head, *rows = self.path.read_text(encoding="utf-8").splitlines()
        self._names = head.split(",")
        wanted = {line.iteration for line in kept}
        good = [row for row in rows if (line := _line(self._names, row)) and line.iteration in wanted]
        files.write_text(self.path, "\n".join([head, *good]) + "\n")

    def write(self, iteration: int, rate: float, losses: Mapping[str, float]) -> None:
        """Adds a line."""
        names = [ITERATION, RATE, TOTAL, *losses]
        numbers = (rate, sum(losses.values()), *losses.values())
        values = [str(iteration), *(f"{value:.6g}" for value in numbers)]
        with self.path.open("a", encoding="utf-8") as file:
            if names != self._names:  # the first one; the losses of a model do not change
                file.write(",".join(names) + "\n")
                self._names = names
            file.write(",".join(values) + "\n")
