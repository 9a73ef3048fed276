"""What a launch does around its trials, without Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.tuning import run


def plan(tmp_path: Path, *lines: str) -> tuple[SweepSpec, list[TrialSpec], Store]:
    path = tmp_path / "a.yaml"
    text = "config: {SOLVER.MAX_ITER: 50, TEST.EVAL_PERIOD: 10}\nvariants: {baseline: {}}\nresources: {gpus: 0.25}\n"
    path.write_text(text + "\n".join(lines))
    spec = load_sweep(path)
    return spec, expand_trials(spec, "data", ["Ants"]), Store(tmp_path / "results")


@pytest.mark.parametrize("ended", [{"interrupted": True}, {"problem": "the disk is full"}, {"spent": "1 hour"}])
def test_a_share_that_was_too_small_is_raised_for_the_next_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: dict[str, Any]
) -> None:
    spec, trials, store = plan(tmp_path)
    calls: list[int] = []

    def fit(*_: Any) -> None:
        store.folder(trials[0]).claim().write_status(Status(TrialState.INTERRUPTED, 7, 1.0, OUT_OF_MEMORY))
        calls.append(1)

    class End(SimpleNamespace):
        def __bool__(self) -> bool:
            return bool(calls) and (self.interrupted or bool(self.problem))

    monkeypatch.setattr(run, "_fit", fit)
    monkeypatch.setattr(run, "_scheduler", lambda *_: None)
    end: Any = End(interrupted=ended.get("interrupted", False), problem=ended.get("problem", ""))
    spending: Any = SimpleNamespace(ended_launch=ended.get("spent", ""))
    nobody: Any = SimpleNamespace(say=lambda text: None)
    run._run(run._Work(spec, trials, trials, None, []), nobody, store, nobody, nobody, end, spending, nobody)
    assert calls == [1]
    status = store.folder(trials[0]).status()
    # Where nothing can be stored, nothing is tried.
    assert (status.gpu_share, status.reason) == ((0.0, OUT_OF_MEMORY) if "problem" in ended else (0.5, ""))


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
    run._remove_checkpoints_of_stopped(spec, trials, store)
    assert sorted(folders[0].checkpointed()) == left
    assert sorted(path.name for path in folders[0].checkpoints.glob("*.pth")) == [f"{i:08d}.pth" for i in left]
    assert sorted(folders[1].checkpointed()) == [10, 20, 30, 40, 50]
    for path in folders[0].evaluations.glob("*00000040.json"):
        path.unlink()
    checkpoints.save(folders[0].checkpoints, 30, {})
    run._remove_checkpoints_of_stopped(replace(spec, keep_checkpoints="best_and_last"), trials, store)
    assert 30 in folders[0].checkpointed()  # from which the missing evaluation can be made again
