"""Two sweeps in one ranking, and a sweep's folder that was moved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.__main__ import main
from agropest.analysis.several_sweeps import compare_sweeps
from agropest.analysis.sweep_comparison import compare_trials
from agropest.errors import StoreError
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record, write_sweep_record


@pytest.fixture
def results(sweep: Path, factorial_sweep: Path, tmp_path: Path) -> Path:
    """A copy of the results folder with both sweeps."""
    root = tmp_path / "results"
    shutil.copytree(sweep.parent, root)
    assert (root / factorial_sweep.name).is_dir()
    return root


def test_all_variants_are_ranked_as_alone(results: Path) -> None:
    told = compare_sweeps([results / "factorial", results / "hostile"], resamples=200)
    values = {one.label: one.estimate.value for one in told.comparison.variants}
    assert told.comparison.baseline == "factorial: baseline"
    assert len(values) == 8
    assert "The sweeps have no test images in common: only validation is compared." in told.notes
    store = Store(results)
    for name in ("factorial", "hostile"):
        record = read_sweep_record(results / name)
        truths = {"valid": record.ground_truths()["valid"]}
        alone = compare_trials(record.trials, store, truths, "AP", record.baseline, resamples=200)
        for one in alone.variants:
            if one.rank is not None:
                assert values[f"{name}: {one.label}"] == pytest.approx(one.estimate.value)


def test_the_same_training_stands_there_once(results: Path) -> None:
    record = replace(read_sweep_record(results / "factorial"), name="twin")
    write_sweep_record(record, Store(results))
    told = compare_sweeps([results / "factorial", results / "twin"], resamples=200)
    assert len(told.comparison.variants) == 4
    assert "twin: still is the same training as factorial: still." in told.notes


def test_other_images_and_other_metrics_are_refused(results: Path, large_sweep: Path) -> None:
    with pytest.raises(StoreError, match=r"expected the same validation images and boxes.*cannot be compared"):
        compare_sweeps([results / "factorial", large_sweep], resamples=200)
    write_sweep_record(replace(read_sweep_record(results / "factorial"), name="other", metric="AP50"), Store(results))
    both = [results / "factorial", results / "other"]
    with pytest.raises(StoreError, match=r"got 'AP \(factorial\), AP50 \(other\)'; say which with --metric"):
        compare_sweeps(both, resamples=200)
    assert compare_sweeps(both, "AP75", resamples=200).comparison.metric == "AP75"


def test_sweeps_of_two_results_folders(results: Path, tmp_path: Path) -> None:
    apart = tmp_path / "elsewhere"
    shutil.copytree(results, apart)
    for path in (results / "trials").glob("still*"):
        shutil.rmtree(path)
    told = compare_sweeps([results / "hostile", apart / "factorial"], resamples=200)
    assert {one.label for one in told.comparison.variants if one.rank} >= {"hostile: good", "factorial: still"}


def test_sweeps_of_one_name_are_told_apart_by_their_folders(results: Path, tmp_path: Path) -> None:
    apart = tmp_path / "elsewhere"
    shutil.copytree(results, apart)
    record = read_sweep_record(apart / "factorial")
    only = tuple(trial for trial in record.trials if trial.label in ("baseline", "still"))
    write_sweep_record(replace(record, trials=only), Store(apart))
    both = [results / "factorial", apart / "factorial"]
    told = compare_sweeps(both, resamples=200)
    assert told.comparison.baseline == f"{both[0]}: baseline"
    assert f"{both[1]}: still is the same training as {both[0]}: still." in told.notes
    with pytest.raises(StoreError, match="expected different sweeps"):
        compare_sweeps([both[0], both[0]])


def test_the_command_takes_names(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "factorial", "hostile", "--results", str(results), "--resamples", "200"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["notes"] and told["baseline"] == "factorial: baseline"
    assert main(words) == 0
    assert "hostile: good" in capsys.readouterr().out
    assert main(["compare", "factorial", "hostil", "--results", str(results)]) == 2
    assert "did you mean 'hostile'?" in capsys.readouterr().err


def test_a_moved_sweep_is_exported_where_it_is(results: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    before = {path.name: path.stat().st_mtime_ns for path in (results / "hostile").iterdir()}
    write_sweep_record(read_sweep_record(results / "hostile"), Store(results))
    shutil.copytree(results / "hostile", moved)
    assert main(["export", str(moved), "--format", "csv,html"]) == 0  # finds them where they were
    assert (moved / "index.html").stat().st_mtime_ns > before.get("index.html", 0)
    assert not (tmp_path / "trials").exists()
    away = tmp_path / "away"
    results.rename(away)
    assert main(["export", str(moved), "--format", "csv"]) == 2
    assert main(["export", str(moved), "--format", "csv", "--results", str(away)]) == 0
