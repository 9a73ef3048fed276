from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from agropest import files
from agropest.store.records import Status, TrialState
from agropest.store.sharing.shared_work import with_checkpoints
from agropest.store.store import Store
from agropest.store.stored_versions import at_stored_versions
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.history import Segment
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


# trial.json of a population's member, as the version wrote it that called a history's segments legs.
MEMBER_FILE = """{
 "label": "pbt-001", "seed": 42, "config": {"SOLVER.BASE_LR": 0.2, "SOLVER.MAX_ITER": 300, "TEST.EVAL_PERIOD": 100},
 "data": "data-1", "weights": "", "training_version": 3, "overrides": {}, "levels": {},
 "resources": {
  "cpus": 1.0, "gpus": 0.0, "loader_workers": 0, "processes": 1, "threads": 0, "lean": null, "auto": []
 },
 "legs": [{"end": 100, "settings": {"SOLVER.BASE_LR": 0.1}}], "leg_end": 200, "code": "",
 "signature": "4d889af06b71664f", "sweep": "old", "seal": "4017ef9fa23d9a45"
}"""


HISTORY = (Segment(100, {"SOLVER.BASE_LR": 0.1}),)


def test_a_member_is_written_as_earlier_versions_wrote_it(tmp_path: Path) -> None:
    written = json.loads(MEMBER_FILE)
    member = TrialSpec("pbt-001", 42, written["config"], "data-1", history=HISTORY, segment_end=200)
    folder = Store(tmp_path).folder(member).claim()
    folder.write_spec(member, "old")
    found = files.read_json(folder.path / "trial.json")
    for content in (found, written):  # what a trial occupies is not what it is, and gets new settings
        del content["resources"], content["seal"]
    assert found == written


def test_a_member_that_an_earlier_version_trained_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    member = TrialSpec("pbt-001", 42, {**default_config(), "SEED": 42}, "data-1", history=HISTORY, segment_end=200)
    content = {"legs": [{"end": 100, "settings": {"SOLVER.BASE_LR": 0.1}}], "leg_end": 200, "training_version": 3}
    content |= {"label": "pbt-001", "seed": 42, "data": "data-1", "weights": "", "config": dict(member.config)}
    folder = store.trials / f"pbt-001-{member.signature}"
    files.write_json(folder / "trial.json", content)
    assert list(with_checkpoints(store)) == []
    for suffix in (".json", ".pth"):
        files.write_text(folder / "checkpoints" / f"00000200{suffix}", "{}")
    assert list(with_checkpoints(store)) == [member]
