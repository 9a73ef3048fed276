from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from agropest import files


def test_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    files.write_json(path, {"AP": 1.5, "APs": None, "name": "Käfer"})
    assert files.read_json(path) == {"AP": 1.5, "APs": None, "name": "Käfer"}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_nan_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"AP": 1.0})
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(path, {"AP": float("nan")})
    assert files.read_json(path) == {"AP": 1.0}


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        files.write_with(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_path_in_the_current_folder_is_shown_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.from_here(tmp_path / "results" / "demo") == Path("results/demo")
    assert files.from_here(tmp_path.parent / "other") == tmp_path.parent / "other"
    assert files.from_here(Path("results")) == Path("results")
