"""Which layers a trial's initial weights filled: ``weights.json`` in its folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from agropest import files
from agropest.store.checksummed import checksummed, verified
from agropest.store.trial_folder import TrialFolder

FILE = "weights.json"


@dataclass(frozen=True)
class WeightsReport:
    """Which layers the initial weights filled.

    Attributes:
        loaded: tensors of the model that were taken over.
        reinitialised: tensors of the model whose shape in the file is another, ``name file-shape -> model-shape``.
        missing: tensors of the model that the file does not have; they keep their random initialisation.
        skipped: tensors of the file that the model does not have.
    """

    loaded: tuple[str, ...]
    reinitialised: tuple[str, ...]
    missing: tuple[str, ...]
    skipped: tuple[str, ...]

    def summary(self) -> str:
        """Returns one line for people, e.g. that the RPN head was initialised afresh."""
        fresh = len(self.reinitialised) + len(self.missing)
        if not fresh:
            return f"initial weights: all {len(self.loaded)} tensors loaded"
        shown = in_few_words(layers([*self.reinitialised, *self.missing]))
        return f"initial weights: {len(self.loaded)} tensors loaded, {fresh} initialised afresh ({shown})"


def layers(tensors: Iterable[str]) -> list[str]:
    """Returns the layers that tensors belong to, sorted."""
    return sorted({name.split(" ")[0].rsplit(".", 1)[0] for name in tensors})


def in_few_words(names: list[str], most: int = 6) -> str:
    """Returns the first names, and how many there are more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def write_weights_report(folder: TrialFolder, report: WeightsReport) -> None:
    """Stores the report, atomically; needs the claim."""
    folder.require_claim()
    files.write_json(folder.path / FILE, checksummed(asdict(report)))


def read_weights_report(folder: TrialFolder) -> WeightsReport | None:
    """Returns the report; None where the trial has none, or it is damaged."""
    try:
        content = verified(files.read_json(folder.path / FILE))
        return WeightsReport(**{name: tuple(map(str, tensors)) for name, tensors in content.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
