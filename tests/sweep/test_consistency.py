from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

WEIGHTS = "MODEL.ROI_BOX_HEAD.CLASS_WEIGHTS"
WEIGHTED = "MODEL.ROI_BOX_HEAD.CLS_LOSS: weighted_cross_entropy"


def faults(tmp_path: Path, config: str, resources: str = "{}") -> list[str]:
    path = tmp_path / "a.yaml"
    path.write_text(f"config: {{{config}}}\nvariants: {{a: {{}}}}\nresources: {resources}\n")
    try:
        expand_trials(load_sweep(path), "f", ["one", "two"])
    except SweepFileError as error:
        return list(error.faults)
    return []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("SOLVER.IMS_PER_BATCH: 6, SOLVER.ACCUMULATION_STEPS: 4", "SOLVER.ACCUMULATION_STEPS: expected a divisor of"),
        ("SOLVER.ADAMW_BETAS: [0.9]", "SOLVER.ADAMW_BETAS: expected two numbers"),
        ("SOLVER.ADAMW_BETAS: [0.9, 1.0]", "SOLVER.ADAMW_BETAS: expected two numbers"),
        (WEIGHTED, f"{WEIGHTS}: expected weights beside"),
        (f"{WEIGHTED}, {WEIGHTS}: [1]", f"{WEIGHTS}: expected 2 weights"),
        (f"{WEIGHTS}: [1, 2, 3, 4]", f"{WEIGHTS}: expected 2 weights"),
        (f"{WEIGHTED}, {WEIGHTS}: [1, -1]", f"{WEIGHTS}: expected numbers from 0 up"),
        (f"{WEIGHTED}, {WEIGHTS}: [1, a]", f"{WEIGHTS}: expected numbers from 0 up"),
        (f"{WEIGHTED}, {WEIGHTS}: [0, 0]", f"{WEIGHTS}: expected a weight above 0"),
    ],
)
def test_a_contradiction_is_refused(config: str, told: str, tmp_path: Path) -> None:
    (found,) = faults(tmp_path, config)
    assert f"a: {told}" in found


@pytest.mark.parametrize(
    "config",
    [
        "SOLVER.IMS_PER_BATCH: 6, SOLVER.ACCUMULATION_STEPS: 3",
        f"{WEIGHTED}, {WEIGHTS}: [2, 1]",
        f"{WEIGHTED}, {WEIGHTS}: [2, 1, 0.5]",
        "SOLVER.OPTIMIZER: AdamW, SOLVER.ADAMW_BETAS: [0, 0.5]",
    ],
)
def test_what_fits_is_taken(config: str, tmp_path: Path) -> None:
    assert faults(tmp_path, config) == []


def test_every_process_accumulates_its_part_of_the_batch(tmp_path: Path) -> None:
    config = "SOLVER.IMS_PER_BATCH: 8, SOLVER.ACCUMULATION_STEPS: 8"
    assert faults(tmp_path, config) == []
    (found,) = faults(tmp_path, config, "{processes: 2}")
    assert "expected a divisor of SOLVER.IMS_PER_BATCH / 2 processes (4), got 8" in found
