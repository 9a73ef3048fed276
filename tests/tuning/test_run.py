"""What a launch does around its trials, without Ray."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agropest.store.records import OUT_OF_MEMORY, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning import run
from agropest.tuning.session import Session


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

    monkeypatch.setattr(run, "fit", fit)
    monkeypatch.setattr(run, "_scheduler", lambda *_: None)
    end: Any = End(interrupted=ended.get("interrupted", False), problem=ended.get("problem", ""))

    class Spent:
        @property
        def ended_launch(self) -> str:
            return ended.get("spent", "") if calls else ""

    spending: Any = Spent()
    nobody: Any = SimpleNamespace(say=lambda text: None)
    launch: Any = SimpleNamespace(spec=spec, trials=trials, store=store)
    run._run_pending(Session(launch, nobody, nobody, end, spending, nobody), trials)
    assert calls == [1]
    status = store.folder(trials[0]).status()
    # Where nothing can be stored, nothing is tried.
    assert (status.gpu_share, status.reason) == ((0.0, OUT_OF_MEMORY) if "problem" in ended else (0.5, ""))
