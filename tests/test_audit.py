"""What ``make audit`` says of pip-audit's answer; above all that an unreachable database is not a clean bill."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "checks" / "audit.py"
SKIPPED = {"name": "a", "skip_reason": "not found"}
CLEAN = {"name": "b", "version": "1", "vulns": []}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.fixture
def audit() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "code", "piece"),
    [
        ([SKIPPED, SKIPPED], 2, "NOT AUDITED"),
        ([SKIPPED, CLEAN], 0, "1 of 2 pinned packages audited, 0 known"),
        ([CLEAN, BAD], 1, "c 2: CVE-1, fixed in 3"),
    ],
)
def test_the_verdict(
    audit: ModuleType, packages: list[dict[str, object]], code: int, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.tell(packages) == code
    assert piece in capsys.readouterr().out


@pytest.mark.parametrize(
    ("is_installed", "answer", "code", "piece"),
    [
        (True, '{"dependencies": [{"name": "b", "version": "1", "vulns": []}]}', 0, "1 of 1 pinned packages audited"),
        (True, "", 2, "could not be asked (no route to host)"),
        (False, "", 2, "has no pip_audit"),
    ],
)
def test_what_was_not_asked_is_not_a_clean_bill(
    audit: ModuleType,
    is_installed: bool,
    answer: str,
    code: int,
    piece: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answered = subprocess.CompletedProcess([], 1, stdout=answer, stderr="no route to host\n")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: answered)
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda _: object() if is_installed else None)
    assert audit.main() == code
    assert piece in capsys.readouterr().out
