"""A population's generations: decided once, written, read again; and a real launch of them."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agropest import files
from agropest.errors import SweepFileError
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.search.generations import Population
from agropest.tuning.search.suggestions import open_search
from launch import main
from tests.sweep.sections.test_population import PBT, RATE
from tests.tuning.search.test_suggestions import NO_BOXES, ROOT


def expand(spec: SweepSpec) -> list[TrialSpec]:
    return expand_trials(spec, "data-1", ["Ants", "Bees"])


def load(tmp_path: Path, *settings: str) -> SweepSpec:
    path = tmp_path / "a.yaml"
    path.write_text(f"{PBT}\nseeds: [1, 2]\n")
    return load_sweep(path, settings)


def good_near_a_hundredth(trial: TrialSpec) -> float:
    return 50 - 10 * abs(math.log10(trial.config[RATE]) + 2) + trial.seed / 10


def train(search: Population, store: Store, value_of: Callable[[TrialSpec], float | None]) -> list[TrialSpec]:
    """Ends every trial of the newest generation that has not ended, as a launch would."""
    trials = expand(search.sweep())
    for trial in trials:
        if store.folder(trial).status().status != "new":
            continue
        folder, value = store.folder(trial).claim(), value_of(trial)
        folder.write_spec(trial)
        if value is None:
            folder.write_status(Status(TrialState.FAILED, trial.start_iter, reason="diverged"))
            continue
        folder.write_evaluation(EvaluationRecord("valid", trial.max_iter, {"AP": value}, 0, 1, 0.1), NO_BOXES.save)
        files.write_text(folder.checkpoints / f"{trial.max_iter:08d}.json", "{}")
        folder.write_status(Status(TrialState.FINISHED if trial.ends_schedule else TrialState.STOPPED, trial.max_iter))
    return trials


def checkpointed(trials: list[TrialSpec], store: Store) -> list[bool]:
    return [any(store.folder(t).checkpoints.glob("*")) for t in trials if t.label.startswith("pbt")]


def test_generations_follow_each_other_and_a_new_launch_reads_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    search = open_search(load(tmp_path), expand, store)
    assert isinstance(search, Population)
    assert [v.name for v in search.sweep().variants] == ["baseline", "pbt-000", "pbt-001", "pbt-002", "pbt-003"]
    assert search.next_round()  # the first one is written
    assert not search.next_round()  # nothing has ended
    first = train(search, store, good_near_a_hundredth)
    assert {t.max_iter for t in first if t.label != "baseline"} == {100}
    assert search.next_round()

    again = Population(load(tmp_path), expand, store)
    assert again.sweep().variants == search.sweep().variants
    assert "generation 2 of 3, 4 members, to iteration 200 of 300; pbt-00" in again.in_words()
    assert " continues from pbt-00" in again.in_words()
    second = train(again, store, good_near_a_hundredth)
    assert again.next_round()
    assert checkpointed(first, store) == [False] * 8  # whoever came from them has ended
    assert checkpointed(second, store) == [True] * 8
    third = train(again, store, good_near_a_hundredth)
    assert not again.next_round()
    assert {t.max_iter for t in third} == {300}
    assert len(again.earlier_trials()) == 16
    assert not Population(load(tmp_path), expand, store).next_round()
    (store.sweep_folder("a") / "search.json").write_text("{")  # there is a copy
    assert Population(load(tmp_path), expand, store).generations == again.generations
    again._write()

    content = files.read_json(store.sweep_folder("a") / "search.json")
    member = content["generations"][1]["members"][0]  # with the keys of the versions that called segments legs
    assert set(member) == {"label", "settings", "legs", "parent"}
    assert [sorted(segment) for segment in member["legs"]] == [["end", "settings"]]
    values = [generation["values"] for generation in content["generations"]]
    means = {label: sum(good_near_a_hundredth(t) for t in first if t.label == label) / 2 for label in values[0]}
    assert values[0] == pytest.approx(means)
    worst, best = min(values[0], key=values[0].__getitem__), max(values[0], key=values[0].__getitem__)
    assert {m["label"]: m["parent"] for m in content["generations"][1]["members"]}[worst] == best


def test_without_the_file_the_same_is_decided_again(tmp_path: Path) -> None:
    store, drawn = Store(tmp_path / "results"), []
    for _ in range(2):
        search = Population(load(tmp_path), expand, store)
        while search.next_round():
            trained = train(search, store, good_near_a_hundredth)
        drawn.append([trial.signature for trial in trained])
        for path in store.sweep_folder("a").glob("search*.json"):
            path.write_text("{")
    assert drawn[0] == drawn[1]
    search = Population(load(tmp_path), expand, store)
    search.next_round()
    search.restart()
    assert list(store.sweep_folder("a").glob("search*.json")) == []
    assert len(search.generations) == 1


def test_a_member_of_which_one_seed_fails_is_replaced_and_the_search_ends_where_all_fail(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    search = Population(load(tmp_path), expand, store)
    search.next_round()
    train(search, store, lambda t: None if t.name == "pbt-002/s2" else good_near_a_hundredth(t))
    assert search.next_round()
    assert search.generations[0].values["pbt-002"] is None
    assert search.generations[1].members[2].parent not in ("", "pbt-002")
    train(search, store, lambda t: None)
    assert not search.next_round()


def test_one_generation_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match=r"search\.interval_iters: expected less than SOLVER\.MAX_ITER \(300\)"):
        Population(load(tmp_path, "search.interval_iters=300"), expand, Store(tmp_path / "results"))


def test_two_generations_through_a_launch_and_a_second_one_trains_nothing(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_sweep.write_text(
        tiny_sweep.read_text().split("variants:")[0] + "keep_checkpoints: none\nsearch:\n"
        "  {method: pbt, population: 2, interval_iters: 2, space: {SOLVER.BASE_LR: {loguniform: [1e-4, 1e-2]}}}\n"
    )
    words = [str(tiny_sweep), "--results", str(tmp_path / "r"), "--no-dashboard", "--set=silence=[no-effect]"]
    assert main([*words, "--plan"]) == 0
    assert "pbt: generation 1 of 2, 2 members, to iteration 2 of 4; 1 more is" in capsys.readouterr().out
    command = [sys.executable, str(ROOT / "launch.py"), *words]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pbt: generation 2 of 2, 2 members, to iteration 4 of 4" in result.stdout
    folder = tmp_path / "r" / "tiny"
    rows = pd.read_csv(folder / "ranking.csv")
    assert sorted(rows["label"]) == ["baseline", "pbt-000", "pbt-001"]
    assert set(rows["status"]) == {"finished"}
    assert set(rows["iteration"]) == {4}
    history = pd.read_csv(folder / "history.csv")
    assert list(history["to_iteration"]) == [2, 4, 2, 4]
    parents = history[history["to_iteration"] == 2]["as"]
    assert parents.nunique() == 1  # both continue from the better one
    assert history[RATE].nunique() == 2
    told = (folder / "history.md").read_text()
    for rate in history[RATE]:
        assert f"| {rate} |" in told
        assert f">{rate}</td>" in (folder / "index.html").read_text()
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "trials").glob("*/evaluations/*.json")}
    assert len(trained) == 2 + 1 + 2 * 1 + 2 * 2  # the baseline's; each generation's validation; the last one's test
    assert not list((tmp_path / "r" / "trials").glob("*/checkpoints/*"))
    assert {trial.segment_end for trial in read_sweep_record(folder).trials} == {0, 4}
    assert main(words) == 0
    assert trained == {p: p.stat().st_mtime_ns for p in (tmp_path / "r" / "trials").glob("*/evaluations/*.json")}
