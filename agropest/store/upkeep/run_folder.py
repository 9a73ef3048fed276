"""Whose page is in ``results/<run>``: no launch writes over what another asked, or asked of other data.

``sweep.json`` says what the page there was made of. A launch on other data gets a folder of its own; one that was given
the name of another run is refused. A sweep file, or pictures and labels in their place, may change: that is the same
sweep, and its page is brought up to date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agropest.data.dataset import Dataset
from agropest.errors import StoreError, fault
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord, read_sweep_record
from agropest.sweep.command_line.run import Run
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec


def in_own_folder(spec: SweepSpec, run: Run, dataset: Dataset, store: Store) -> tuple[SweepSpec, Run]:
    """Returns the sweep under the name of a folder that has no page of other data, and its run; a given name stays."""
    if run.is_named:
        return spec, run
    free = (one for one in _candidates(run, dataset) if not _is_of_other_data(_stored(store, one.name), dataset))
    run = next(free, run)
    return replace(spec, name=run.name), run


def require_own_page(spec: SweepSpec, trials: Sequence[TrialSpec], run: Run, dataset: Dataset, store: Store) -> None:
    """Raises StoreError where the sweep's folder has the page of another launch.

    To be called again once this launch holds the results folder: until then another one may have made a page there.
    A launch whose page shows all that is on the stored one, and more, is no other.
    """
    folder = store.sweep_folder(spec.name)
    record = _stored(store, spec.name)
    if record is None or _continues(record, run, dataset) or _extends(record, spec, trials):
        return
    with_changes = f" with {', '.join(record.changes)}" if record.changes else " as its file is"
    value = f"{record.sweep or record.name}{with_changes}, on {_data_in_words(record)}"
    fix = f"give {'another --name' if run.is_named else '--name NAME'}, and that page stays"
    raise StoreError(fault(str(folder), "expected no page of another launch there", value, fix))


def _continues(record: SweepRecord, run: Run, dataset: Dataset) -> bool:
    is_same_sweep = not record.sweep or record.sweep == run.sweep
    return is_same_sweep and record.changes == run.changes and not _is_of_other_data(record, dataset)


def _extends(record: SweepRecord, spec: SweepSpec, trials: Sequence[TrialSpec]) -> bool:
    """Returns whether every trial of the stored page would be on the new one, compared with the same, by the same."""
    stored, own = ({trial.signature for trial in some} for some in (record.trials, trials))
    return stored <= own and (record.metric, record.baseline) == (spec.metric, spec.baseline)


def _candidates(run: Run, dataset: Dataset) -> Iterator[Run]:
    """Yields the run, then with the data's name in its own, then with what tells data sets of one name apart."""
    yield run
    yield run.on_data(dataset.root.name)
    yield run.on_data(f"{dataset.root.name}-{dataset.fingerprint[:8]}")


def _stored(store: Store, name: str) -> SweepRecord | None:
    """Returns what a folder's page was made of; None where nothing readable is stored, so that nothing can be said."""
    try:
        return read_sweep_record(store.sweep_folder(name), store.root)
    except StoreError:
        return None


def _is_of_other_data(record: SweepRecord | None, dataset: Dataset) -> bool:
    """Returns whether the pictures or boxes differ, and are not those of the same folder, changed since."""
    if record is None:
        return False
    known = {record.fingerprint} if record.fingerprint else {trial.data for trial in record.trials}
    folders = {split.image_root.resolve() for split in record.splits.values()}
    own = {split.image_root.resolve() for split in dataset.splits.values()}
    return dataset.fingerprint not in known and not folders & own


def _data_in_words(record: SweepRecord) -> str:
    split = record.splits.get("valid") or next(iter(record.splits.values()))
    return str(split.image_root)
