"""What ``make audit`` says of pip-audit's answer; above all that an unreachable database is not a clean bill."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "checks" / "audit.py"
SKIPPED = {"name": "a", "skip_reason": "not found"}
CLEAN = {"name": "b", "version": "1", "vulns": []}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("packages", "code", "piece"),
    [
        ([SKIPPED, SKIPPED], 0, "NOT AUDITED"),
        ([SKIPPED, CLEAN], 0, "1 of 2 pinned packages audited, 0 known"),
        ([CLEAN, BAD], 1, "c 2: CVE-1, fixed in 3"),
    ],
)
def test_the_verdict(
    packages: list[dict[str, object]], code: int, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    audit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(audit)
    assert audit.tell(packages) == code
    assert piece in capsys.readouterr().out
