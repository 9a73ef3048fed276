from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.sections.guard import Guard, require_guards
from agropest.sweep.spec import SweepSpec, load_sweep


def sweep(folder: Path, text: str) -> SweepSpec:
    path = folder / "a.yaml"
    path.write_text("variants: {baseline: {}}\n" + text)
    return load_sweep(path)


def test_one_guard_or_several(tmp_path: Path) -> None:
    assert sweep(tmp_path, "").guards == ()
    assert sweep(tmp_path, "guard: {class: Ants, max_drop: 2}").guards == (Guard("Ants", 2.0),)
    two = sweep(tmp_path, "guard: [{class: Ants, max_drop: 2}, {class: Bees, max_drop: 0.5}]").guards
    assert two == (Guard("Ants", 2.0), Guard("Bees", 0.5))


def test_faults_of_guards(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError) as caught:
        sweep(tmp_path, "guard: [{clas: Ants}, {class: Bees, max_drop: -1}]")
    text = str(caught.value)
    for piece in ("guard[0]", "did you mean 'class'?", "guard[1].max_drop", "-1"):
        assert piece in text
    with pytest.raises(SweepFileError, match=r"a.yaml: guard.class: .*'Antz'; did you mean 'Ants'"):
        require_guards([Guard("Antz", 1.0)], ["Ants", "Bees"], "a.yaml: guard")
    require_guards([Guard("Ants", 1.0)], ["Ants", "Bees"], "a.yaml: guard")


def test_a_metric_may_be_a_list_of_classes(tmp_path: Path) -> None:
    assert sweep(tmp_path, "metric: [AP-Ants, AP-Bees]").metric == "AP-Ants,AP-Bees"
    assert sweep(tmp_path, "metric: AP_worst").metric == "AP_worst"
    with pytest.raises(SweepFileError, match="metric: expected text"):
        sweep(tmp_path, "metric: [1, 2]")
