"""Seeds until decided: rounds that follow from what is stored alone."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agropest import files
from agropest.data.dataset import Dataset
from agropest.store.checksummed import checksummed
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.sections.seed_rule import SeedRule
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.spec import SweepSpec, Variant
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec
from agropest.tuning.launch import Launch
from agropest.tuning.search.seed_rounds import SeedRounds
from tests.analysis.test_comparison import TRUTH, put

# "near" is a little better than the baseline, "far" much; its own seeds differ.
QUALITIES = {"baseline": 0.30, "near": 0.6, "far": 1.0, "worst": 0.01}
LUCK = (-1.0, 1.0, 0.0, -0.5, 0.5, 0.2, -0.3, 0.1)  # of seeds 42, 43, ...


class Sweep:
    """A sweep whose trials are detectors of a quality that depends on the seed."""

    def __init__(self, folder: Path, most: int = 8, indifference: float = 0.0) -> None:
        self.store = Store(folder)
        path = folder / "valid.json"
        path.write_text(json.dumps(TRUTH["valid"].to_coco()))
        self.dataset = cast(Dataset, SimpleNamespace(splits={"valid": SimpleNamespace(annotations=path)}))
        content: dict[str, Any] = dict.fromkeys(SweepSpec.__dataclass_fields__)
        rule = SeedRule(2, most)
        content |= {"variants": tuple(Variant(name, {}) for name in QUALITIES), "baseline": "baseline", "metric": "AP"}
        content |= {"seeds": rule.seeds(2), "seed_rule": rule, "indifference": indifference}
        content |= {"name": "sweep", "stop": StopRule()}
        self.spec = SweepSpec(**content)
        self.trained: list[str] = []

    def expand(self, spec: SweepSpec) -> list[TrialSpec]:
        return [self.trial(variant.name, seed) for variant in spec.variants for seed in variant.seeds or spec.seeds]

    def trial(self, label: str, seed: int) -> TrialSpec:
        config = {"SOLVER.MAX_ITER": 100, "TEST.EVAL_PERIOD": 10, "LABEL": label, "SEED": seed}
        return TrialSpec(label=label, seed=seed, config=config, data="d")

    def rounds(self) -> SeedRounds:
        return SeedRounds(self.spec, self.expand, self.store, self.dataset)

    def train(self, trials: list[TrialSpec], state: TrialState = TrialState.FINISHED) -> None:
        for one in trials:
            if self.store.folder(one).status().status != TrialState.FINISHED:
                spread = {"baseline": 0.2, "near": -0.2, "far": 0.0, "worst": 0.0}[one.label]
                quality = QUALITIES[one.label] + spread * LUCK[one.seed - 42]
                put(self.store, one.label, one.seed, state, {100: min(quality, 1.0)})
                self.trained.append(one.name)

    def train_to_the_end(self) -> SeedRounds:
        rounds = self.rounds()
        while True:
            self.train(self.expand(rounds.sweep()))
            if not rounds.next_round():
                return rounds


def test_a_trial_that_only_another_sweep_has_stopped_has_not_ended(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    trials = sweep.expand(sweep.rounds().sweep())
    sweep.train(trials)
    folder = sweep.store.folder(trials[-1]).claim()
    for stoppers, is_next in ((("another",), False), (("another", sweep.spec.stopper), True)):
        status = replace(folder.status(), status=TrialState.STOPPED, stopped_for=stoppers)
        for copy in folder.path.glob("status*.json"):
            files.write_json(copy, checksummed(asdict(status)))
        assert (sweep.rounds().counts != dict.fromkeys(QUALITIES, 2)) == is_next


def test_seeds_are_added_where_a_question_is_open(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    rounds = sweep.rounds()
    assert (rounds.counts, rounds.is_complete) == (dict.fromkeys(QUALITIES, 2), False)
    assert rounds.next_round() is False  # nothing has been trained
    rounds = sweep.train_to_the_end()
    assert rounds.is_complete
    assert rounds.counts["baseline"] > 2
    assert max(rounds.counts.values()) == 6  # of eight: all is settled
    assert rounds.counts["far"] < 6  # called before
    assert rounds.in_words().startswith("seeds until decided, at most 8: ")
    assert sorted(sweep.trained) == sorted(trial.name for trial in sweep.expand(rounds.sweep()))


def test_the_next_round_of_a_launch_has_the_new_seeds(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    rounds = sweep.rounds()
    launch = Launch(rounds.sweep(), sweep.expand(rounds.sweep()), sweep.dataset, sweep.store, search=rounds)
    assert launch.next_round() is None
    sweep.train(list(launch.trials))
    following = launch.next_round()
    assert following is not None
    added = {trial.name for trial in following.trials} - {trial.name for trial in launch.trials}
    assert added == {f"{name}/s44" for name in QUALITIES}


def test_what_only_evaluates_has_the_seeds_of_its_training_and_asks_for_none(tmp_path: Path) -> None:
    plain, sweep = Sweep(tmp_path / "plain"), Sweep(tmp_path / "evaluated")
    expected = plain.train_to_the_end().counts
    evaluated = Variant("near+nms", {}, source="near", checkpoint="best")
    sweep.spec = replace(sweep.spec, variants=(*sweep.spec.variants, evaluated))
    expand = sweep.expand

    def with_evaluations(spec: SweepSpec) -> list[TrialSpec]:
        found = expand(spec)
        of = EvaluatedCheckpoint("near", "best AP")
        return [replace(trial, evaluates=of) if trial.label == evaluated.name else trial for trial in found]

    rounds = SeedRounds(sweep.spec, with_evaluations, sweep.store, sweep.dataset)
    while True:
        trials = with_evaluations(rounds.sweep())
        seeds = {label: [trial.seed for trial in trials if trial.label == label] for label in ("near", "near+nms")}
        assert seeds["near"] == seeds["near+nms"]
        sweep.train([trial for trial in trials if trial.trains])
        if not rounds.next_round():
            break
    assert rounds.counts == expected


def test_a_round_that_was_cut_short_shows_the_one_before(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    rounds = sweep.rounds()
    launch = Launch(rounds.sweep(), sweep.expand(rounds.sweep()), sweep.dataset, sweep.store, search=rounds)
    assert rounds.ended_sweep() is None  # the first round has not ended
    assert launch.last_ended_round() is None
    sweep.train(list(launch.trials))
    following = launch.next_round()
    assert following is not None
    sweep.train(list(following.trials)[:-1])
    shown = following.last_ended_round()
    assert shown is not None
    assert {trial.name for trial in shown.trials} == {trial.name for trial in launch.trials}
    sweep.train(list(following.trials))
    assert following.last_ended_round() is None  # all of it has ended


def test_a_launch_that_was_killed_decides_the_same(tmp_path: Path) -> None:
    whole, parts = Sweep(tmp_path / "whole"), Sweep(tmp_path / "parts")
    expected = whole.train_to_the_end().counts
    for _ in range(40):  # one trial at a time, the last one first, and everything forgotten in between
        rounds = parts.rounds()
        left = [t for t in parts.expand(rounds.sweep()) if t.name not in parts.trained]
        if not left:
            break
        parts.train(left[-1:])
    assert rounds.counts == expected
    assert rounds.is_complete


def test_failed_variants_get_no_more_seeds(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    trials = sweep.expand(sweep.rounds().sweep())
    sweep.train([trial for trial in trials if trial.label != "near"])
    sweep.train([trial for trial in trials if trial.label == "near"], TrialState.FAILED)
    assert sweep.rounds().counts["near"] == 2


def test_a_difference_that_does_not_matter_ends_the_question(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, indifference=99.0)
    assert sweep.train_to_the_end().counts == dict.fromkeys(QUALITIES, 2)


def test_beginning_again_begins_with_the_first_round(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, most=3)
    rounds = sweep.train_to_the_end()
    rounds.restart()
    assert set(rounds.counts.values()) == {2}
    assert rounds.next_round() is True
    assert rounds.sweep().variants[0].seeds == (42, 43)


@pytest.mark.parametrize("wanted", ["near", "far"])
def test_whose_seeds_tell_most_come_first(tmp_path: Path, wanted: str) -> None:
    rounds = Sweep(tmp_path).rounds()
    rounds._first = [wanted]
    assert rounds.sweep().variants[0].name == wanted
