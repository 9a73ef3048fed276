from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agropest.report.tables.stages import evaluations_in_words, extensions_in_words, stages_in_words
from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec

STUDY = {"SOLVER.MAX_ITER": 25000, "SOLVER.STEPS": [15000, 20000], "TEST.EVAL_PERIOD": 2500}
LONG = {"SOLVER.MAX_ITER": 50000, "SOLVER.STEPS": [30000, 40000], "TEST.EVAL_PERIOD": 5000}


def trial(label: str, seed: int, **changes: object) -> TrialSpec:
    return TrialSpec(label, seed, {**default_config(), **STUDY, "SEED": seed, **changes}, "data")


def test_what_is_shared_is_printed_once_for_all_seeds() -> None:
    trials = [
        one
        for seed in (42, 43)
        for one in (
            trial("baseline", seed),
            trial("averaged", seed, **{"SOLVER.EMA.ENABLED": True}),
            trial("long", seed, **LONG),
        )
    ]
    assert stages_in_words(stage_tree(trials), trials) == [
        "shared trainings: 120,000 iterations are trained for 200,000, because 80,000 are the same as another trial's",
        "  iterations 0 to 15,000: baseline, averaged, long (seeds 42, 43)",
        "  iterations 15,000 to 25,000: baseline, averaged (seeds 42, 43)",
    ]
    alone = [trials[0], replace(trials[0], data="other")]
    assert stages_in_words(stage_tree(alone), alone) == []


def test_forward_passes_of_evaluations_are_counted_once() -> None:
    baseline = trial("baseline", 42)

    def evaluation(key: str, value: float) -> TrialSpec:
        evaluates = EvaluatedCheckpoint("baseline", "last", {key: baseline.config[key]})
        return replace(baseline, config={**baseline.config, key: value}, evaluates=evaluates)

    some = [evaluation("MODEL.ROI_HEADS.NMS_THRESH_TEST", nms) for nms in (0.3, 0.4)]
    told = "evaluations of trained weights: 3 trials train nothing, with 2 forward passes over each split"
    assert evaluations_in_words([baseline, *some, evaluation("INPUT.MIN_SIZE_TEST", 600)]) == [told]
    one = "evaluations of trained weights: 1 trial trains nothing, with 1 forward pass over each split"
    assert evaluations_in_words(some[:1]) == [one]
    assert evaluations_in_words([baseline]) == []


def test_where_longer_trainings_go_on_from(tmp_path: Path) -> None:
    store, longer = Store(tmp_path), {"SOLVER.MAX_ITER": 40000}
    trials = [
        trial("a", 1),
        trial("a", 2),
        trial("a", 3),
        *(trial("a-to-40000", seed, **longer) for seed in (1, 2, 3, 4)),
    ]
    for one in trials[1:3]:
        store.folder(one).claim().write_status(Status(TrialState.FINISHED, 25000))
    assert extensions_in_words({"a-to-40000": "a"}, trials, {"a-to-40000/s3": 25000}, store) == [
        "a-to-40000/s1: continues from a/s1 once that has trained 25,000",
        "a-to-40000/s2: the checkpoint at the end of a/s2 is not there any more, so it trains from iteration 0",
        "a-to-40000/s3: continues from a/s3, whose 25,000 iterations are stored",
    ]
    store.folder(trials[3]).claim().write_status(Status(TrialState.RUNNING, 30000))
    assert len(extensions_in_words({"a-to-40000": "a"}, trials, {}, store)) == 2
