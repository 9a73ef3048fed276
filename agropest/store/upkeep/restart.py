"""Starting again on purpose: a sweep's trials from nothing, its failed ones and those that others have stopped."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agropest.errors import StoreError, fault
from agropest.store.completeness import is_stopped
from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec

ASIDE = "aside"
# Longer than a trial may take over its last checkpoint when it is asked to end (tuning.workers.child).
WRITER_WAIT_S = 90.0


def describe_fresh(trials: Sequence[TrialSpec], store: Store, sweep: str) -> str:
    """Returns what :func:`start_fresh` would set aside, and which other sweeps it is taken from."""
    stored = _stored(trials, store)
    if not stored:
        return "--fresh: nothing is stored of these trials"
    counts = Counter(status.status for _, status in stored)
    states = ", ".join(f"{number} {word}" for word, number in counts.items())
    iterations = sum(status.iteration for _, status in stored)
    seconds = sum(status.time_s for _, status in stored)
    text = f"--fresh: {len(stored)} trials start again ({states}: {iterations} iterations, {seconds:.0f} s of training)"
    signatures = {trial.signature for trial, _ in stored}
    for other, its in sorted(_other_sweeps(store, sweep)):
        if shared := len(signatures & its):
            text += f"; {shared} of them are in the sweep '{other}', too, which lacks them until they are trained again"
    return text


def start_fresh(trials: Sequence[TrialSpec], store: Store, sweep: str, say: Callable[[str], object] = print) -> str:
    """Moves what is stored of the trials to ``results/aside/``, and returns what was done in words.

    Nothing is deleted: a folder that is moved back into ``results/trials`` is found there again. A process that a
    killed launch has left behind, and that is still saving, is waited for.

    Args:
        say: called with the trials that are waited for.

    Raises:
        StoreError: a folder cannot be moved; what was moved before it stays moved.
    """
    text = describe_fresh(trials, store, sweep)
    stored = _stored(trials, store)
    if not stored:
        return text
    _wait_for_writers([trial for trial, _ in stored], store, say)
    aside = store.root / ASIDE / f"{sweep}-{time.strftime('%Y%m%d-%H%M%S')}"
    for trial, _ in stored:
        try:
            store.move_aside(trial, aside)
        except OSError as error:
            fix = "mend that, and give --fresh again"
            raise StoreError(fault(str(aside), "expected to move a trial there", error.strerror, fix)) from None
    return f"{text}; what they were is kept in {aside}"


def _wait_for_writers(trials: Sequence[TrialSpec], store: Store, say: Callable[[str], object]) -> None:
    """Waits until no process of this machine writes the trials, or is to have ended long ago.

    Whoever writes all the same, here or elsewhere, finds its claim gone, and its checkpoint gets no checksum.
    """
    limit, has_said = time.monotonic() + WRITER_WAIT_S, False
    while writing := [trial.name for trial in trials if store.folder(trial).is_being_written(known_only=True)]:
        if time.monotonic() > limit:
            say("--fresh: not waiting any longer for " + ", ".join(writing))
            return
        if not has_said:
            say("--fresh: waiting for the last checkpoint of " + ", ".join(writing))
            has_said = True
        time.sleep(0.2)


def retry_failed(trials: Sequence[TrialSpec], store: Store) -> str:
    """Makes every failed trial an interrupted one, which continues from its last checkpoint; returns that in words."""
    failed = [trial for trial in trials if store.folder(trial).status().status == TrialState.FAILED]
    for trial in failed:
        folder = store.folder(trial)
        status = folder.status()
        note = f"failed, and tried again on request: {status.reason}"
        folder.claim().write_status(
            replace(status, status=TrialState.INTERRUPTED, reason="", notes=(*status.notes, note))
        )
    return _retried(failed, "are")


def describe_retry(trials: Sequence[TrialSpec], store: Store) -> str:
    """Returns which trials :func:`retry_failed` would try again."""
    return _retried([trial for trial in trials if store.folder(trial).status().status == TrialState.FAILED], "would be")


def _retried(failed: Sequence[TrialSpec], verb: str) -> str:
    names = ", ".join(trial.name for trial in failed)
    return (
        f"--retry-failed: {len(failed)} trials {verb} tried again: {names}" if failed else "--retry-failed: none failed"
    )


def continue_stopped(trials: Sequence[TrialSpec], store: Store, stopper: str) -> list[str]:
    """Makes trials that other sweeps have stopped early interrupted ones, which continue; returns their names, and how.

    Args:
        trials: that are not done for the sweep.
        stopper: of the sweep (``SweepSpec.stopper``).
    """
    names = []
    for trial in trials:
        folder = store.folder(trial)
        status = folder.status()
        if status.status == TrialState.STOPPED and not is_stopped(status, stopper):
            note = f"{status.reason} ({', '.join(other_stoppers(status))}); continued for {stopper.split(':')[0]}"
            folder.claim().write_status(
                replace(status, status=TrialState.INTERRUPTED, reason="", notes=(*status.notes, note))
            )
            kept = any(path.with_suffix(".pth").is_file() for path in folder.checkpoints.glob("*.json"))
            names.append(trial.name if kept else f"{trial.name} (from the start: no checkpoint was kept)")
    return names


def stop_again(trials: Sequence[TrialSpec], store: Store, stopper: str) -> None:
    """Makes trials that a sweep has stopped early, and another has begun to train further, stopped ones again.

    Otherwise they would read as interrupted in the first sweep, which is not going to train them.

    Args:
        stopper: of the sweep (``SweepSpec.stopper``).
    """
    for trial in trials:
        folder = store.folder(trial)
        status = folder.status()
        if status.status in (TrialState.INTERRUPTED, TrialState.RUNNING) and is_stopped(status, stopper):
            own = replace(status, stopped_for=(stopper,))
            reason = f"stopped early by {other_stoppers(own)[0]}; another sweep has trained it further since"
            folder.claim().write_status(replace(status, status=TrialState.STOPPED, reason=reason))


def other_stoppers(status: Status) -> list[str]:
    """Returns by what a trial was stopped early, and in which sweep: e.g. ``race in heads``."""
    parted = [stopper.partition(": method ") for stopper in status.stopped_for]
    return [f"{rule.partition(',')[0]} in {sweep}" for sweep, _, rule in parted]


def _stored(trials: Sequence[TrialSpec], store: Store) -> list[tuple[TrialSpec, Status]]:
    return [
        (trial, store.folder(trial).status())
        for trial in trials
        if store.folder(trial).path.is_dir()
        and (store.folder(trial).status().status != TrialState.NEW or any(store.folder(trial).path.iterdir()))
    ]


def _other_sweeps(store: Store, sweep: str) -> Iterator[tuple[str, set[str]]]:
    """Yields the name and the signatures of every other sweep whose table is here."""
    for path in store.root.glob("*/ranking.csv"):
        if path.parent.name != sweep:
            yield path.parent.name, _signatures(path)


def _signatures(table: Path) -> set[str]:
    try:
        with open(table, encoding="utf-8", newline="") as file:
            return {row.get("signature") or "" for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error):
        return set()
