"""A sweep whose machine is taken away is continued on another one from its mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.__main__ import main
from agropest.tuning.ray.connection import RayOptions


def test_a_new_machine_trains_nothing_twice(
    tiny_sweep: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tiny_sweep.read_text().split("variants:")[0]
    tiny_sweep.write_text(f"{text}mirror: {tmp_path / 'far'}\nsilence: [no-effect]\nvariants: {{baseline: {{}}}}\n")
    words = ["launch", str(tiny_sweep), "--no-dashboard", "--results"]
    assert main([*words, str(tmp_path / "old")]) == 0
    assert (tmp_path / "far" / "manifest.json").is_file()
    ranking = (tmp_path / "old" / "tiny" / "ranking.csv").read_text()
    capfd.readouterr()

    def starts(options: RayOptions, *_: object) -> None:
        pytest.fail("everything is there: Ray need not start")

    monkeypatch.setattr("agropest.tuning.run.connected", starts)
    assert main([*words, str(tmp_path / "new")]) == 0
    assert "files brought back from" in capfd.readouterr().out
    assert (tmp_path / "new" / "tiny" / "ranking.csv").read_text() == ranking


def test_an_unknown_kind_of_address_is_refused_before_anything(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["launch", str(tiny_sweep), "--results", str(tmp_path / "r"), "--mirror", "what://ever"]) == 2
    assert "mirror: expected an address, got 'what://ever" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
