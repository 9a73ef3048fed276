from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agropest import files
from agropest.errors import StoreError
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import LostClaim, TrialFolder
from agropest.sweep.trial import TrialSpec

TRIAL = TrialSpec(label="baseline", seed=1, config={"SOLVER.MAX_ITER": 10, "TEST.EVAL_PERIOD": 5}, data="d")
RECORD = EvaluationRecord("valid", 5, {"AP": 12.5, "APs": None}, num_boxes=3, num_images=2, time_s=0.1)


def save_boxes(path: Path) -> None:
    path.write_bytes(b"boxes")


def claimed(tmp_path: Path) -> TrialFolder:
    return Store(tmp_path).folder(TRIAL).claim()


def test_a_trial_nobody_ran_is_new(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder(TRIAL)
    assert folder.status() == Status()
    assert folder.status().status == TrialState.NEW
    assert folder.read_evaluations() == []


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    folder.write_spec(TRIAL)
    folder.write_status(Status(TrialState.FINISHED, 10, 1.5, "", ("a note",)))
    for_test = EvaluationRecord("test", 10, {"AP": 1.0}, num_boxes=1, num_images=1, time_s=0.1)
    for record in (RECORD, for_test):
        folder.write_evaluation(record, lambda path: (path.parent.mkdir(exist_ok=True), save_boxes(path)))
    again = Store(tmp_path).folder(TRIAL)
    assert again.status() == Status(TrialState.FINISHED, 10, 1.5, "", ("a note",))
    assert again.read_evaluations() == [RECORD]
    assert [record.split for record in again.read_evaluations("test")] == ["test"]
    assert "MAX_ITER: 10" in (again.path / "config.yaml").read_text()


def test_the_trial_of_another_sweep_is_found_by_its_signature(tmp_path: Path) -> None:
    claimed(tmp_path)
    renamed = TrialSpec(label="plain", seed=1, config=dict(TRIAL.config), data="d")
    assert Store(tmp_path).folder(renamed).path.name == TRIAL.folder_name


def test_only_the_last_to_claim_may_write(tmp_path: Path) -> None:
    first = claimed(tmp_path)
    second = first.claim()
    second.write_status(Status(TrialState.RUNNING, 5))
    with pytest.raises(LostClaim, match="another one took over"):
        first.write_status(Status(TrialState.FINISHED, 10))
    with pytest.raises(LostClaim):
        first.write_evaluation(RECORD, save_boxes)
    with pytest.raises(LostClaim):
        Store(tmp_path).folder(TRIAL).write_status(Status(TrialState.FINISHED, 10))
    assert second.status().status == TrialState.RUNNING


@pytest.mark.parametrize("damage", ["", "{", '["a"]', '{"status": "flying"}', '{"unknown": 1}', "\ufffd\x00"])
def test_a_damaged_status_reads_as_new(tmp_path: Path, damage: str) -> None:
    folder = claimed(tmp_path)
    (folder.path / "status.json").write_text(damage)
    assert folder.status() == Status()


def test_a_damaged_evaluation_is_left_out(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    folder.evaluations.mkdir(parents=True)
    folder.write_evaluation(RECORD, save_boxes)
    (folder.evaluations / "valid-00000010.json").write_text('{"split": "valid"')
    (folder.evaluations / "valid-00000015.json").write_text((folder.evaluations / "valid-00000005.json").read_text())
    assert folder.read_evaluations() == [RECORD]  # the last one has no boxes


def test_a_folder_that_cannot_be_made_is_one_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a folder to write to"):
        Store(tmp_path / "file" / "results")


def test_a_claim_waits_until_the_status_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that is about to write that it runs does not overwrite the stop that is decided at that moment."""
    first, write = claimed(tmp_path), files.write_json

    def stop() -> None:
        Store(tmp_path).folder(TRIAL).claim().write_status(Status(TrialState.STOPPED, 5))

    stopping = threading.Thread(target=stop)

    def write_late(path: Path, content: object) -> None:
        if path.name == "status.json" and not stopping.ident:
            stopping.start()
            stopping.join(0.5)  # it has the time to come before
        write(path, content)

    monkeypatch.setattr(files, "write_json", write_late)
    first.write_status(Status(TrialState.RUNNING, 5))
    stopping.join()
    assert first.status().status == TrialState.STOPPED
    with pytest.raises(LostClaim):
        first.write_status(Status(TrialState.RUNNING, 10))


def test_an_evaluation_whose_boxes_came_too_late_is_none(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    folder.evaluations.mkdir(parents=True)

    def save_while_another_takes_over(path: Path) -> None:
        save_boxes(path)
        folder.claim()

    with pytest.raises(LostClaim):
        folder.write_evaluation(RECORD, save_while_another_takes_over)
    assert folder.read_evaluations() == []


def test_a_results_folder_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    store.require_there()
    assert store.problem() == ""
    (tmp_path / "r").rename(tmp_path / "elsewhere")
    assert not store.is_there()
    (tmp_path / "r" / "trials").mkdir(parents=True)
    assert not store.is_there()
    with pytest.raises(StoreError, match=r"r: expected the results folder to stay.*launch again"):
        store.require_there()
    (tmp_path / "r" / "trials").rmdir()
    (tmp_path / "r").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "r")
    assert store.problem() == ""
