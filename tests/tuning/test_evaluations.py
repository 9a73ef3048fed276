"""Which evaluations of trained weights are made once the trainings have ended, and how the others end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agropest.store.completeness import is_done
from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec
from agropest.tuning.evaluations import evaluable


def pair(seed: int) -> tuple[TrialSpec, TrialSpec]:
    config = {**default_config(), "SEED": seed}
    return (
        TrialSpec("baseline", seed, config, "data"),
        TrialSpec("baseline+last", seed, config, "data", evaluates=EvaluatedCheckpoint("baseline", "last")),
    )


def test_only_finished_trainings_are_evaluated_and_the_others_end_as_their_training_did(tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    states = [TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED, TrialState.INTERRUPTED]
    pairs = [pair(seed) for seed in range(4)]
    for (trained, _), state in zip(pairs, states, strict=True):
        store.folder(trained).claim().write_status(Status(state, 7, reason="for a reason"))
    everyone = [trial for both in pairs for trial in both]
    assert evaluable(everyone, store, "sweep: method race") == [pairs[0][1]]
    ended = [store.folder(evaluation).status() for _, evaluation in pairs]
    assert [status.status for status in ended] == [
        TrialState.NEW,
        TrialState.STOPPED,
        TrialState.FAILED,
        TrialState.NEW,
    ]
    assert (ended[1].reason, ended[1].iteration) == ("baseline/s1 was stopped early", 7)
    assert ended[1].stopped_for == ("sweep: method race",)
    assert ended[2].reason == "baseline/s2, whose weights it evaluates, failed: for a reason"
    done = [is_done(evaluation, store, "AP", ["valid"], "sweep: method race") for _, evaluation in pairs]
    assert done == [False, True, True, False]
    assert not is_done(pairs[1][1], store, "AP", ["valid"], "another: method race")  # which may finish it
    tried = store.folder(pairs[2][0])
    tried.claim().write_status(replace(tried.status(), status=TrialState.FINISHED))
    assert evaluable(everyone, store, "sweep: method race") == [pairs[0][1], pairs[2][1]]
