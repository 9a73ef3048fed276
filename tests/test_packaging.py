"""What ``pip install .`` takes along: the package alone, its templates, its requirements and its command."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_package_requires_what_requirements_txt_lists() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    names = [line for line in lines if line and not line.startswith("-")]
    assert len(names) > 10
    assert PROJECT["dependencies"] == names


@pytest.mark.parametrize(("file", "torch"), [("constraints.txt", "2.11.0"), ("constraints-newest.txt", "2.15.0")])
def test_both_files_of_versions_pin_whatever_is_required(file: str, torch: str) -> None:
    """With the second, Python 3.13 has run the launch of tests/scenarios/test_command_launch.py, the trials of
    tests/training/test_trial.py (what they leave, and that an interruption changes no bit) and the equality of the lean
    modules in tests/modeling/lean."""
    lines = (ROOT / file).read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if line and not line.startswith("#"))
    names = {
        requirement.split("[")[0].split("<")[0].lower().replace("_", "-") for requirement in PROJECT["dependencies"]
    }
    assert len(names) > 20
    assert names - set(pins) - {"setuptools", "wheel"} == set()
    assert pins["torch"] == torch


def test_the_console_command_is_the_one_command_line() -> None:
    assert PROJECT["scripts"] == {"agropest": "agropest.command_line:main"}


@pytest.mark.slow  # pip fetches setuptools for an isolated build
def test_a_wheel_holds_the_package_and_its_templates(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT], check=True)
    names = zipfile.ZipFile(next(tmp_path.glob("agropest-*.whl"))).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"agropest"}
    assert "agropest/report/page/template/page.html" in names
