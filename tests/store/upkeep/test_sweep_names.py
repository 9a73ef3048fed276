"""What is said of a sweep that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import StoreError
from agropest.store.upkeep.sweep_names import nearest_sweep, sweep_folder


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for place in ("results/demo", "results/anchors", "moved/pests"):
        Path(place).mkdir(parents=True)
        Path(place, "sweep.json").write_text("{}")
    return Path("results")


def test_a_folder_or_its_name_is_a_sweep(results: Path) -> None:
    assert sweep_folder(Path("moved/pests"), results) == Path("moved/pests")
    assert sweep_folder(Path("demo"), results) == results / "demo"
    with pytest.raises(StoreError, match=r"its name in results, got 'pests'; there are: anchors, demo$"):
        sweep_folder(Path("pests"), results)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("dmeo", "did you mean 'demo'?"),
        ("results/dmeo", "did you mean 'demo'?"),
        ("results/dmeo/baseline/42", "did you mean 'demo'?"),
        ("moved/pest", "did you mean 'moved/pests'?"),
        ("moved/pest/baseline", "did you mean 'moved/pests'?"),
        ("schedule", "there are: anchors, demo"),
    ],
)
def test_the_nearest_one_is_named_as_it_has_to_be_given(path: str, told: str, results: Path) -> None:
    assert nearest_sweep(Path(path), results) == told


def test_where_nothing_was_launched_it_says_so() -> None:
    told = nearest_sweep(Path("demo"), Path("elsewhere"))
    assert told == "nothing was launched into elsewhere yet: launch a sweep first, or give its folder with --results"
