"""One flipped bit in what tables are computed from: it is noticed, made again, or changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import launch
from agropest.__main__ import main as agropest
from agropest.errors import StoreError
from agropest.store.sweep_record import read_sweep_record


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """The results of a tiny sweep that has finished."""
    from tests.conftest import write_tiny_sweep

    folder = tmp_path_factory.mktemp("finished")
    sweep = write_tiny_sweep(folder / "tiny.yaml", tiny_folder)
    assert launch.main([str(sweep), "--results", str(folder / "results"), "--no-dashboard"]) == 0
    return folder / "results"


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results"


def tables(results: Path) -> dict[str, str]:
    found = {path.name: path.read_text(encoding="utf-8-sig") for path in sorted(results.glob("tiny/*.csv"))}
    assert found
    return found


def flip(path: Path, at: float, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[min(int(at * len(content)), len(content) - 1)] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("at", [0.01, 0.3, 0.6, 0.999])
def test_damaged_replicates_are_made_again(results: Path, at: float) -> None:
    expected = tables(results)
    files = sorted(results.glob("trials/*/replicates/*.npz"))
    right = [path.read_bytes() for path in files]
    for path in files:
        flip(path, at)
    assert agropest(["export", str(results / "tiny")]) == 0
    assert tables(results) == expected
    assert [path.read_bytes() for path in files] == right or at in (0.01, 0.999)  # a date of the archive says nothing


@pytest.mark.parametrize("bit", [0, 1, 6])
def test_damaged_boxes_change_no_table(results: Path, bit: int) -> None:
    """Without replicates, so that they would be computed from them."""
    for path in results.glob("trials/*/replicates/*.npz"):
        path.unlink()
    expected = {name: text for name, text in tables(results).items() if name == "comparison.csv"}
    flip(sorted(results.glob("trials/*/evaluations/valid-00000004.npz"))[0], 0.5, bit)
    assert agropest(["export", str(results / "tiny")]) == 0
    now = tables(results)["comparison.csv"]
    assert now == expected["comparison.csv"] or "interrupted" in now


@pytest.mark.parametrize("at", [0.1, 0.5, 0.97])
def test_a_damaged_record_of_a_sweep_is_refused_and_written_again_by_a_launch(results: Path, at: float) -> None:
    expected, record = tables(results), results / "tiny" / "sweep.json"
    flip(record, at)
    with pytest.raises(StoreError, match="expected the record of a sweep"):
        read_sweep_record(results / "tiny")
    assert agropest(["export", str(results / "tiny")]) == 2
    assert tables(results) == expected


def test_damaged_annotations_are_refused_by_an_export(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = tables(results)
    (annotations,) = results.glob("data/*/annotations/valid.json")
    flip(annotations, 0.5)
    assert agropest(["export", str(results / "tiny")]) == 2
    assert f"error: {annotations}: expected the annotations as they were converted" in capsys.readouterr().err
    assert tables(results) == expected
