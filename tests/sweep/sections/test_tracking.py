from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import EnvironmentFault
from agropest.sweep.sections.section import Section
from agropest.sweep.sections.tracking import Tracker, read_trackers
from agropest.sweep.spec import load_sweep
from agropest.tuning.watch.trackers import require_trackers


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (None, ()),
        ("mlflow", (Tracker("mlflow"),)),
        (["mlflow", "wandb"], (Tracker("mlflow"), Tracker("wandb"))),
        ({"wandb": {"project": "insects"}}, (Tracker("wandb", {"project": "insects"}),)),
        (["mlflow", {"wandb": {"project": "x"}}], (Tracker("mlflow"), Tracker("wandb", {"project": "x"}))),
    ],
)
def test_the_ways_to_name_trackers(track: object, expected: tuple[Tracker, ...]) -> None:
    faults: list[str] = []
    assert read_trackers(Section({"track": track}, "a.yaml:", faults)) == expected
    assert faults == []


@pytest.mark.parametrize(
    ("track", "pieces"),
    [
        (["mlflo"], ("track", "did you mean 'mlflow'?")),
        ({"wandb": {"projekt": "x"}}, ("track.wandb.projekt", "did you mean 'project'?")),
        ({"wandb": {"api_key": "s3cret"}}, ("track.wandb.api_key", "WANDB_API_KEY")),
        ({"mlflow": 3}, ("track.mlflow", "expected keys with values")),
    ],
)
def test_faults_name_the_place(track: object, pieces: tuple[str, ...]) -> None:
    faults: list[str] = []
    read_trackers(Section({"track": track}, "a.yaml:", faults))
    assert len(faults) == 1
    assert all(piece in faults[0] for piece in pieces), faults
    assert "s3cret" not in faults[0]


def test_a_sweep_file_names_trackers(tiny_sweep: Path) -> None:
    assert load_sweep(tiny_sweep).track == ()
    assert load_sweep(tiny_sweep, ["track=[mlflow]"]).track == (Tracker("mlflow"),)


def test_missing_packages_are_named_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault) as caught:
        require_trackers([Tracker("mlflow"), Tracker("wandb")])
    assert len(caught.value.faults) == 2
    assert "pip install mlflow wandb" in caught.value.faults[0]
    require_trackers([])
