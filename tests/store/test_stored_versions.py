from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.store.stored_versions import at_stored_versions
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.trial import TrialSpec


def test_what_an_earlier_version_trained_stays_and_what_is_new_is_trained_by_this_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    new, old, both = (TrialSpec(label, 1, {**default_config(), "SEED": n}, "d") for n, label in enumerate("abc"))
    earlier = [replace(trial, training_version=2) for trial in (old, both)]
    for trial in (*earlier, both):
        store.folder(trial).claim().write_status(Status(TrialState.FINISHED, 10))
    assert at_stored_versions([new, old, both], store) == [new, earlier[0], both]
    assert [trial.training_version for trial in (new, old, both)] == [3, 3, 3]
    assert at_stored_versions(earlier, store) == [earlier[0], both]
    store.move_aside(earlier[0], tmp_path / "aside")  # as --fresh does
    assert at_stored_versions(earlier, store) == [old, both]
    assert sorted(path.name for path in store.trials.iterdir() if path.is_dir()) == sorted(
        trial.folder_name for trial in (earlier[1], both)
    )
