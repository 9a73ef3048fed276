"""A sweep's folder finds its trials, also after it was moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agropest.errors import StoreError
from agropest.store.upkeep.results_root import results_root

SIGNATURE = "0123456789abcdef"


def results(root: Path, begun: bool = True) -> Path:
    (root / "trials").mkdir(parents=True)
    if begun:
        (root / "trials" / f"baseline-s1-{SIGNATURE}").mkdir()
    return root


def sweep(folder: Path, recorded: Path) -> Path:
    folder.mkdir(parents=True)
    content = {"results": str(recorded), "trials": [{"signature": SIGNATURE}]}
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def test_beside_it_before_where_it_was_and_what_is_given_before_both(tmp_path: Path) -> None:
    old, new = results(tmp_path / "old"), results(tmp_path / "new")
    assert results_root(sweep(new / "demo", old)) == new
    assert results_root(sweep(tmp_path / "moved" / "demo", old)) == old
    assert results_root(tmp_path / "moved" / "demo", new) == new


def test_a_sweep_of_which_nothing_has_begun_is_where_it_lies(tmp_path: Path) -> None:
    root = results(tmp_path / "r", begun=False)
    assert results_root(sweep(root / "demo", root)) == root


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "moved" / "demo", tmp_path / "gone")
    with pytest.raises(StoreError, match=r"expected its 1 trials in .*gone/trials, got 'none of them'; give"):
        results_root(folder)
    with pytest.raises(StoreError, match="--results"):
        results_root(folder, results(tmp_path / "other", begun=False))
