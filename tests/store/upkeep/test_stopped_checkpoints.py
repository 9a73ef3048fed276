"""Which checkpoints a trial that was stopped early keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.upkeep.stopped_checkpoints import remove_checkpoints_of_stopped
from agropest.training import checkpoints
from tests.tuning.test_run import plan


@pytest.mark.parametrize(("keep", "left"), [("best_and_last", [20, 50]), ("none", [])])
def test_a_stopped_trial_keeps_its_best_and_its_last_checkpoint(tmp_path: Path, keep: str, left: list[int]) -> None:
    spec, trials, store = plan(tmp_path, f"keep_checkpoints: {keep}", "seeds: [1, 2]")
    folders = [store.folder(trial).claim() for trial in trials]
    for folder in folders:
        folder.evaluations.mkdir()
        for iteration in (10, 20, 30, 40):
            record = EvaluationRecord("valid", iteration, {"AP": 9.0 - abs(iteration - 20)}, 0, 1, 0.1)
            folder.write_evaluation(record, lambda path: path.write_bytes(b"boxes"))
            checkpoints.save(folder.checkpoints, iteration, {})
        checkpoints.save(folder.checkpoints, 50, {})
    (folders[0].checkpoints / "00000045.pth").write_bytes(b"its writer lost the claim before the seal")
    folders[0].write_status(Status(TrialState.STOPPED, 40))
    folders[1].write_status(Status(TrialState.INTERRUPTED, 40))
    remove_checkpoints_of_stopped(spec, trials, store)
    assert sorted(folders[0].checkpointed()) == left
    assert sorted(path.name for path in folders[0].checkpoints.glob("*.pth")) == [f"{i:08d}.pth" for i in left]
    assert sorted(folders[1].checkpointed()) == [10, 20, 30, 40, 50]
    for path in folders[0].evaluations.glob("*00000040.json"):
        path.unlink()
    checkpoints.save(folders[0].checkpoints, 30, {})
    remove_checkpoints_of_stopped(replace(spec, keep_checkpoints="best_and_last"), trials, store)
    assert 30 in folders[0].checkpointed()  # from which the missing evaluation can be made again
