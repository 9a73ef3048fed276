from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agropest.errors import EnvironmentFault, StoreError
from agropest.statistics.detections.boxes import Boxes
from agropest.store.checksummed import write_twice
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.distributions import Distribution
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.search import suggestions
from agropest.tuning.search.suggestions import Observation, Suggestions, open_search, suggest

ROOT = Path(__file__).resolve().parents[3]
SPACE = {
    "SOLVER.BASE_LR": Distribution("loguniform", (1e-4, 1.0)),
    "MODEL.ANCHOR_GENERATOR.SIZES": Distribution("choice", ([[8]], [[16]], [[32]])),
    "SOLVER.WARMUP_ITERS": Distribution("randint", (0, 5)),
}
NO_BOXES = Boxes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
SEARCH = """
seeds: [1, 2]
search:
  method: optuna
  num_variants: 5
  at_once: 2
  space:
    SOLVER.BASE_LR: {loguniform: [1e-4, 1.0]}
    MODEL.ROI_BOX_HEAD.CLS_LOSS: {choice: [cross_entropy, softmax_focal]}
"""


def expand(spec: SweepSpec) -> list[TrialSpec]:
    return expand_trials(spec, "data-1", ["Ants", "Bees"])


def load(tmp_path: Path, *settings: str, name: str = "a") -> SweepSpec:
    path = tmp_path / f"{name}.yaml"
    path.write_text(SEARCH)
    return load_sweep(path, settings)


def end(store: Store, trial: TrialSpec, value: float, status: str = TrialState.FINISHED) -> None:
    folder = store.folder(trial).claim()
    folder.write_spec(trial)
    record = EvaluationRecord("valid", 100, {"AP": value}, 0, 1, 0.1)
    folder.write_evaluation(record, NO_BOXES.save)
    folder.write_status(Status(status, 100))


def value_of(trial: TrialSpec) -> float:
    return 50 - 10 * abs(math.log10(trial.config["SOLVER.BASE_LR"]) + 2) + trial.seed / 10


def run_round(one: Suggestions, store: Store) -> list[TrialSpec]:
    trials = expand(one.sweep())
    for trial in trials:
        end(store, trial, value_of(trial))
    return trials


def test_rounds_follow_each_other_and_a_new_launch_reads_them(tmp_path: Path) -> None:
    spec, store = load(tmp_path), Store(tmp_path / "results")
    search = open_search(spec, expand, store)
    assert search is not None
    assert [v.name for v in search.sweep().variants] == ["baseline"]
    assert search.next_round()
    assert [v.name for v in search.sweep().variants] == ["baseline", "optuna-000", "optuna-001"]
    assert not search.next_round()  # nothing has ended
    first = run_round(search, store)
    assert [t.name for t in first][2:4] == ["optuna-000/s1", "optuna-000/s2"]

    again = open_search(spec, expand, store)
    assert again is not None
    assert [t.signature for t in expand(again.sweep())] == [t.signature for t in first]
    assert again.next_round()
    run_round(again, store)
    assert again.next_round()
    assert again.num_suggested == 5
    last = run_round(again, store)
    assert not again.next_round()
    assert len({t.signature for t in last}) == 2 * 6


def test_suggested_choices_of_several_keys_become_those_keys_and_conditions_hold(tmp_path: Path) -> None:
    space = (
        "{optimizer: {choice: {sgd: {SOLVER.OPTIMIZER: SGD}, adamw: {SOLVER.OPTIMIZER: AdamW}}}, "
        "SOLVER.MOMENTUM: {uniform: [0.5, 0.9], when: {optimizer: sgd}}, SOLVER.BASE_LR: {loguniform: [1e-4, 1.0]}}"
    )
    path = tmp_path / "a.yaml"
    path.write_text(f"search: {{method: optuna, num_variants: 12, at_once: 6, space: {space}}}\n")
    store = Store(tmp_path / "results")
    search = open_search(load_sweep(path), expand, store)
    assert isinstance(search, Suggestions)
    while search.next_round():
        run_round(search, store)
    drawn = [variant.overrides for variant in search.sweep().variants[1:]]
    assert len(drawn) == 12
    assert {its["SOLVER.OPTIMIZER"] for its in drawn} == {"SGD", "AdamW"}
    assert all(("SOLVER.MOMENTUM" in its) == (its["SOLVER.OPTIMIZER"] == "SGD") for its in drawn)
    again = open_search(load_sweep(path), expand, store)
    assert isinstance(again, Suggestions)
    assert again.num_suggested == 12
    path.write_text(path.read_text().replace("AdamW}", "AdamW, SOLVER.WEIGHT_DECAY: 0.05}"))
    anew = open_search(load_sweep(path), expand, store)
    assert isinstance(anew, Suggestions)
    assert anew.num_suggested == 0


def test_the_same_seed_and_results_give_the_same_search_in_another_store(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        store = Store(tmp_path / name)
        search = Suggestions(load(tmp_path), expand, store)
        while search.next_round():
            run_round(search, store)
        drawn.append([v.overrides for v in search.sweep().variants])
    assert drawn[0] == drawn[1]
    other = Suggestions(load(tmp_path, "search.seed=1"), expand, Store(tmp_path / "three"))
    other.next_round()
    assert [v.overrides for v in other.sweep().variants][1] != drawn[0][1]


def test_a_search_gets_finished_trials_of_the_store_but_not_those_of_another_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "results")
    spec = load(tmp_path)
    (origin,) = expand(replace(spec, seeds=(1,)))
    fitting = replace(origin, config={**origin.config, "SOLVER.BASE_LR": 0.25, "SEED": 9})
    end(store, fitting, 33.0)
    end(store, replace(fitting, config={**fitting.config, "SOLVER.BASE_LR": 0.5}), 20.0, TrialState.STOPPED)
    end(store, replace(fitting, config={**fitting.config, "SOLVER.BASE_LR": 0.6}), 20.0, TrialState.FAILED)
    end(store, replace(fitting, config={**fitting.config, "SOLVER.BASE_LR": 2.5}), 99.0)  # outside the space
    end(store, replace(fitting, config={**fitting.config, "SOLVER.MAX_ITER": 7}), 99.0)
    end(store, replace(fitting, data="data-2"), 99.0)
    told: list[Observation] = []

    def remembered(space: object, known: list[Observation], *rest: object, **more: object) -> list[dict[str, object]]:
        told[:] = known
        return suggest(space, known, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(suggestions, "suggest", remembered)
    search = Suggestions(spec, expand, store)
    assert search.next_round()
    point = {"SOLVER.BASE_LR": 0.25, "MODEL.ROI_BOX_HEAD.CLS_LOSS": "cross_entropy"}
    assert sorted((one.status, one.value) for one in told) == [(TrialState.FINISHED, 33.0), (TrialState.STOPPED, 20.0)]
    assert point in [one.point for one in told]
    before = list(told)
    run_round(search, store)
    assert search.next_round()
    assert told[:2] == before  # what was known at the beginning stays that, and the sweep's own follow once
    assert len(told) == 4


def test_suggestions_go_where_it_was_good() -> None:
    told = [
        Observation({"SOLVER.BASE_LR": 10**-e, "MODEL.ANCHOR_GENERATOR.SIZES": [[16]], "SOLVER.WARMUP_ITERS": n % 5},
                    TrialState.FINISHED, 50 - 10 * abs(e - 2))
        for n, e in enumerate([0.2 * i for i in range(1, 20)])
    ]  # fmt: skip
    points = suggest(SPACE, told, 8, [0, 1])
    assert points == suggest(SPACE, told, 8, [0, 1])
    assert points != suggest(SPACE, told, 8, [0, 2])
    near = [10**-2.7 < p["SOLVER.BASE_LR"] < 10**-1.3 for p in points]
    assert sum(near) >= 5  # by chance 0.35 of them
    for point in points:
        assert all(SPACE[key].holds(value) for key, value in point.items())


def test_no_point_is_suggested_twice() -> None:
    few = {"SEED": Distribution("choice", (1, 2, 3))}
    told = [Observation({"SEED": 1}, TrialState.FINISHED, 1.0), Observation({"SEED": 2}, TrialState.FAILED)]
    assert suggest(few, told, 4, [0, 0]) == [{"SEED": 3}]


@pytest.mark.parametrize("damage", [lambda text: text[:-30], lambda text: text.replace('"rounds"', '"sounds"'), None])
def test_damage_to_the_list_of_rounds_costs_nothing(tmp_path: Path, damage: Callable[[str], str] | None) -> None:
    store = Store(tmp_path / "results")
    search = Suggestions(load(tmp_path), expand, store)
    search.next_round()
    run_round(search, store)
    search.next_round()
    paths = [store.sweep_folder("a") / name for name in ("search.json", "search.copy.json")]
    for number, path in enumerate(paths):
        text = path.read_text()
        if damage:
            path.write_text(damage(text))
        else:
            path.unlink()
        if number == 0:
            assert Suggestions(load(tmp_path), expand, store).rounds == search.rounds
            path.write_text(text)
    paths[0].write_text("{")
    with pytest.raises(StoreError, match=r"search\.json: expected what was suggested so far.*bring it or search\.copy"):
        Suggestions(load(tmp_path), expand, store)
    for path in paths:
        path.unlink(missing_ok=True)
    assert Suggestions(load(tmp_path), expand, store).rounds == []


def test_what_another_method_has_left_is_no_damage(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    write_twice(store.sweep_folder("a") / "search.json", {"header": {"rule": "pbt"}, "generations": [[]]})
    assert Suggestions(load(tmp_path), expand, store).rounds == []


def test_a_flipped_digit_in_the_list_of_rounds_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    search = Suggestions(load(tmp_path), expand, store)
    search.next_round()
    path = store.sweep_folder("a") / "search.json"
    value = str(search.rounds[0][0]["SOLVER.BASE_LR"])
    path.write_text(path.read_text().replace(value, f"{value}1"))
    assert Suggestions(load(tmp_path), expand, store).rounds == search.rounds


def test_without_optuna_there_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EnvironmentFault, match=r"search\.method: expected the package optuna.*pip install"):
        Suggestions(load(tmp_path), expand, Store(tmp_path / "results")).next_round()


def test_two_rounds_through_a_launch(tiny_sweep: Path, tmp_path: Path) -> None:
    tiny_sweep.write_text(
        tiny_sweep.read_text().split("variants:")[0] + "stop: none\nsearch:\n"
        "  {method: optuna, num_variants: 2, at_once: 1, space: {SOLVER.BASE_LR: {loguniform: [1e-4, 1e-2]}}}\n"
    )
    words = [tiny_sweep, "--results", "r", "--no-dashboard", "--name", "tiny"]
    words += ["--set", "TEST.EVAL_PERIOD=4", "--set=silence=[no-effect]"]
    command = [sys.executable, str(ROOT / "launch.py"), *map(str, words)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv")
    assert sorted(rows["label"]) == ["baseline", "optuna-000", "optuna-001"]
    assert set(rows["status"]) == {"finished"}
