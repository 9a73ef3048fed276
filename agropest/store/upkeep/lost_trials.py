"""Trials whose process is gone without having said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec


def note_lost_trials(trials: Sequence[TrialSpec], store: Store) -> None:
    """Notes the loss of each trial whose process is known to be gone: a launch or a machine was killed."""
    for trial in trials:
        folder = store.folder(trial)
        if folder.status().status == TrialState.RUNNING and not folder.is_being_written():
            note_lost_trial(folder)


def note_lost_trial(folder: TrialFolder) -> None:
    """Makes a trial that has not ended an interrupted one, with a note; its process may write no more."""
    status = folder.status()
    if not status.status.has_ended:
        note = f"its process or machine was lost after iteration {status.iteration}; continued from its last checkpoint"
        folder.claim().write_status(
            replace(status, status=TrialState.INTERRUPTED, reason="", notes=(*status.notes, note))
        )


def settle(trials: Sequence[TrialSpec], store: Store) -> None:
    """Marks as interrupted what says that it is running, now that no process is left that could."""
    for trial in trials:
        folder = store.folder(trial)
        status = folder.status()
        if status.status == TrialState.RUNNING:
            reason = f"its process ended without a message; see {folder.log}"
            folder.claim().write_status(replace(status, status=TrialState.INTERRUPTED, reason=reason))
