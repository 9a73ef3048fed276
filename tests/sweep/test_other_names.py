"""A word of another tool finds the setting that it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.other_names import OTHER_NAMES, nearest_setting
from agropest.sweep.spec import load_sweep


def test_every_setting_that_is_meant_is_one() -> None:
    ours = {"resources.loader_workers", "seeds"}
    assert OTHER_NAMES
    assert [name for name in OTHER_NAMES.values() if name not in default_config() and name not in ours] == []
    assert nearest_setting("LR", []) == "did you mean 'SOLVER.BASE_LR'?"
    assert nearest_setting("metrik", ["metric", "name"]) == "did you mean 'metric'?"


@pytest.mark.parametrize("setting", ["lr=0.1", "config.lr=0.1", "variants.baseline.lr=0.1"])
def test_set_says_what_it_is_called_here(tiny_sweep: Path, setting: str) -> None:
    with pytest.raises(SweepFileError, match=r"did you mean 'SOLVER\.BASE_LR'\?"):
        load_sweep(tiny_sweep, [setting])
