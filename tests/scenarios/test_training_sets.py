"""A sweep over versions of its data and shares of their pictures, from the file to the tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agropest import files
from agropest.__main__ import main
from agropest.machine import Machine
from agropest.store.sweep_record import read_sweep_record
from agropest.tuning.jobs import build_jobs
from agropest.tuning.launch import Launch, LaunchOptions, open_launch


@pytest.fixture
def sweep(tiny_sweep: Path, tiny_folder: Path, tmp_path: Path) -> Path:
    """A sweep with a share of the pictures as a variant, on two versions: in the other a training label differs."""
    shutil.copytree(tiny_folder, tmp_path / "v2")
    sorted((tmp_path / "v2" / "train" / "labels").iterdir())[0].write_text("0 0.5 0.5 0.5 0.5\n")
    text = tiny_sweep.read_text().split("variants:")[0].replace(f"data: {tiny_folder}", "")
    versions = f"data: {{v1: {tiny_folder}, v2: {tmp_path / 'v2'}}}\n"
    tiny_sweep.write_text(f"{text}{versions}stop: none\nvariants: {{baseline: {{}}, half: {{data_fraction: 0.5}}}}\n")
    return tiny_sweep


def opened(sweep: Path, results: Path) -> Launch:
    return open_launch(LaunchOptions(sweep, results=results))


def test_each_trial_is_handed_its_pictures_and_all_the_same_validation(sweep: Path, tmp_path: Path) -> None:
    launch = opened(sweep, tmp_path / "r")
    jobs = build_jobs(launch, launch.trials, Machine("cpu", 1))
    held = {
        name: {split: files.read_json(paths[0]) for split, paths in job.context.splits.items()}
        for name, job in jobs.items()
    }
    assert {name: len(splits["train"]["images"]) for name, splits in held.items()} == {
        "baseline/s1": 10,
        "half/s1": 5,
        "baseline+v2/s1": 10,
        "half+v2/s1": 5,
    }
    assert all(splits["valid"] == held["baseline/s1"]["valid"] for splits in held.values())
    assert held["baseline/s1"]["train"] != held["baseline+v2/s1"]["train"]
    assert len({trial.signature for trial in launch.trials}) == 4


def test_the_command_line_names_no_data_beside_versions(
    sweep: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(sweep), "--data", str(tiny_folder), "--results", str(tmp_path / "r")]) == 2
    assert "--data: expected none where a sweep has several versions" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "v2")
    assert main(["plan", str(sweep), "--results", str(tmp_path / "r")]) == 2
    assert f"{sweep}: data.v2: data set {tmp_path / 'v2'}: expected" in capsys.readouterr().err


def test_a_launch_trains_ranks_and_tells_them(sweep: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["launch", str(sweep), "--results", str(tmp_path / "r"), "--no-dashboard", "--set=silence=[no-effect]"]
    assert main(words) == 0
    told = capfd.readouterr().out
    assert "data: train (50 % of v2): 5 images with " in told
    record = read_sweep_record(tmp_path / "r" / "tiny")
    assert {name: split.num_images for name, split in record.splits.items()} == {
        "train": 10,
        "valid": 6,
        "test": 4,
        "train (50 %)": 5,
        "train (v2)": 10,
        "train (50 % of v2)": 5,
    }
    effects = (tmp_path / "r" / "tiny" / "effects.csv").read_text()
    assert {line.split(",")[1] for line in effects.splitlines()[1:]} == {"half", "data=v2", "half x data=v2"}
    assert "10 train (v2) images" in (tmp_path / "r" / "tiny" / "record.md").read_text()
    assert opened(sweep, tmp_path / "r").pending == []
