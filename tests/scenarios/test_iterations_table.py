"""docs/performance.md has every sweep's iterations as they are planned now."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_shared_stages import table

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_iterations_is_that_of_the_sweeps_that_are_here() -> None:
    sweeps = sorted((ROOT / "sweeps").glob("*.yaml"))
    lines = list(table(sweeps))
    assert len(lines) == len(sweeps) + 3 > 15
    told = "print it again: python -m benchmarks.bench_shared_stages"
    assert "\n".join(lines) in (ROOT / "docs" / "performance.md").read_text(), told
