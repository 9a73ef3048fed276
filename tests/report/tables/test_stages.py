from __future__ import annotations

from dataclasses import replace

from agropest.report.tables.stages import stages_in_words
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec

STUDY = {"SOLVER.MAX_ITER": 25000, "SOLVER.STEPS": [15000, 20000], "TEST.EVAL_PERIOD": 2500}
LONG = {"SOLVER.MAX_ITER": 50000, "SOLVER.STEPS": [30000, 40000], "TEST.EVAL_PERIOD": 5000}


def trial(label: str, seed: int, **changes: object) -> TrialSpec:
    return TrialSpec(label, seed, {**default_config(), **STUDY, "SEED": seed, **changes}, "data")


def test_what_is_shared_is_told_once_for_all_seeds() -> None:
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
