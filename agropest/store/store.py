"""The results folder: one folder for every trial (``trial_folder``), the truth about what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agropest import files
from agropest.errors import StoreError, fault
from agropest.store.records import Status
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec


class Store:
    """The results folder.

    Args:
        root: the folder; is made when missing.

    Raises:
        StoreError: it cannot be made or written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = files.without_tilde(root).resolve()
        self.trials = self.root / "trials"
        self.decoded = self.root / "data" / "decoded"  # pictures, for all trials of a machine
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            files.write_text(self.trials / ".writable", "")
        except OSError as error:
            fix = "give another folder with --results, or make room there"
            raise StoreError(fault(str(self.root), "expected a folder to write to", error.strerror, fix)) from None
        self._identity = _identity(self.trials)
        self._by_signature = {path.name[-16:]: path for path in self.trials.iterdir() if path.is_dir()}

    def folder(self, trial: TrialSpec) -> TrialFolder:
        """Returns the trial's folder; a trial that another sweep trained under another label keeps that folder."""
        path = self._by_signature.setdefault(trial.signature, self.trials / trial.folder_name)
        return TrialFolder(path)

    def read_also(self, other: Store) -> None:
        """Finds trials that this folder lacks in another results folder."""
        self._by_signature = {**other._by_signature, **self._by_signature}

    def stands_at(self, trial: TrialSpec) -> Status:
        """Returns the trial's status, with at least its ancestor's iterations and seconds, which its own begin from."""
        status = self.folder(trial).status()
        if trial.ancestor is None:
            return status
        time_s = max(status.time_s, self.folder(trial.ancestor).status().time_s)
        return replace(status, iteration=max(status.iteration, trial.start_iter), time_s=time_s)

    def move_aside(self, trial: TrialSpec, target: Path) -> None:
        """Moves the trial's folder into ``target``; a process that still writes there loses its claim.

        Raises:
            OSError: it cannot be moved.
        """
        target.mkdir(parents=True, exist_ok=True)
        path = self._by_signature.pop(trial.signature, self.trials / trial.folder_name)
        path.rename(target / path.name)

    def is_there(self) -> bool:
        """Returns whether the folder is still the one that was opened: not removed, unmounted or replaced."""
        return _identity(self.trials) == self._identity

    def problem(self) -> str:
        """Returns the fault of a folder that is no longer the one that was opened; empty where it is."""
        if self.is_there():
            return ""
        fix = "it was removed, unmounted or replaced while the launch ran; bring it back and launch again"
        return fault(str(self.root), "expected the results folder to stay", "another or none", fix)

    def require_there(self) -> None:
        """Raises StoreError when the folder is no longer the one that was opened."""
        if problem := self.problem():
            raise StoreError(problem)

    def sweep_folder(self, name: str) -> Path:
        """Returns ``results/<sweep>``, where a sweep's tables are."""
        return self.root / name


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
