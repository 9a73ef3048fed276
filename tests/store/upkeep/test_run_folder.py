"""No launch writes over the page of another: other data get a folder of their own, a name in use is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agropest.errors import StoreError
from agropest.store.store import Store
from agropest.store.sweep_record import describe_sweep, read_sweep_record, write_sweep_record
from agropest.store.upkeep.run_folder import require_own_page
from agropest.tuning.launch import Launch, LaunchOptions, open_launch
from tests.conftest import write_tiny_sweep

RATE = "SOLVER.BASE_LR=0.003"


@pytest.fixture
def sweep(tmp_path: Path, tiny_folder: Path) -> Path:
    shutil.copytree(tiny_folder, tmp_path / "a" / "pests")
    return write_tiny_sweep(tmp_path / "tiny.yaml", tmp_path / "a" / "pests")


def opened(sweep: Path, *settings: str, data: Path | None = None, name: str = "") -> Launch:
    return open_launch(LaunchOptions(sweep, data, sweep.parent / "r", settings, name))


def launched(sweep: Path, *settings: str, data: Path | None = None, name: str = "") -> str:
    """Stores what a launch stores before it trains; returns its folder's name."""
    launch = opened(sweep, *settings, data=data, name=name)
    record = describe_sweep(launch.spec, launch.trials, launch.dataset, run=launch.run)
    write_sweep_record(record, launch.store)
    return launch.folder.name


def other_pests(sweep: Path, name: str = "b") -> Path:
    """A data set of the same name with other labels."""
    folder = sweep.parent / name / "pests"
    shutil.copytree(sweep.parent / "a" / "pests", folder)
    relabel(folder, name)
    return folder


def relabel(folder: Path, name: str = "b") -> None:
    label = next(path for path in sorted((folder / "train" / "labels").glob("*.txt")) if path.read_text().strip())
    label.write_text(f"{ord(name) % 12} 0.5 0.5 0.25 0.25\n")


def test_another_data_set_whose_folder_has_the_same_name_has_a_run_of_its_own(sweep: Path) -> None:
    assert launched(sweep) == "tiny"
    other = other_pests(sweep)
    assert launched(sweep, data=other) == "tiny+data=pests"
    launch = opened(sweep, data=other)  # the same command continues
    assert launch.folder.name == "tiny+data=pests"
    [line] = launch.run.in_words(launch.folder)
    assert "tiny is of another data set; " in line
    assert "tiny stays as it is; the same command continues)" in line
    assert launched(sweep) == "tiny"
    third = launched(sweep, data=other_pests(sweep, "c"))
    assert third.startswith("tiny+data=pests-")
    assert third == launched(sweep, data=sweep.parent / "c" / "pests")


def test_so_has_the_data_set_of_the_file_where_another_was_launched_first(sweep: Path) -> None:
    assert launched(sweep, data=other_pests(sweep)) == "tiny"
    assert launched(sweep) == "tiny+data=pests"
    assert launched(sweep, RATE) == f"tiny+{RATE}"
    assert launched(sweep, RATE, data=sweep.parent / "b" / "pests") == f"tiny+{RATE}+data=pests"


def test_a_file_that_names_no_data_has_a_run_for_each_set(sweep: Path) -> None:
    first, second = sweep.parent / "a" / "pests", other_pests(sweep).rename(sweep.parent / "b" / "insects")
    sweep.write_text("\n".join(line for line in sweep.read_text().splitlines() if not line.startswith("data:")))
    assert launched(sweep, data=first) == "tiny"
    assert launched(sweep, data=second) == "tiny+data=insects"
    assert launched(sweep, data=first) == "tiny"


def test_the_same_pictures_and_labels_elsewhere_are_the_same_data(sweep: Path) -> None:
    assert launched(sweep) == "tiny"
    shutil.copytree(sweep.parent / "a" / "pests", sweep.parent / "copy" / "pests")
    assert launched(sweep, data=sweep.parent / "copy" / "pests") == "tiny"


def test_labels_mended_in_place_are_the_same_sweep(sweep: Path) -> None:
    assert launched(sweep) == "tiny"
    relabel(sweep.parent / "a" / "pests")
    assert launched(sweep) == "tiny"


def test_a_name_in_use_with_other_settings_is_refused(sweep: Path) -> None:
    assert launched(sweep, RATE, name="try") == "try"
    assert launched(sweep, RATE, name="try") == "try"
    with pytest.raises(StoreError) as refused:
        launched(sweep, "SOLVER.BASE_LR=0.004", name="try")
    [text] = refused.value.faults
    assert text.startswith(f"{sweep.parent / 'r' / 'try'}: expected no page of another launch there, ")
    assert f"got 'tiny with {RATE}, on {sweep.parent / 'a' / 'pests'}'; give another --name" in text
    for settings in ((), ("SOLVER.BASE_LR=0.004", "name=try")):
        with pytest.raises(StoreError, match="give another --name"):
            launched(sweep, *settings, name="" if settings else "try")
    assert launched(sweep, "SOLVER.BASE_LR=0.004", name="try2") == "try2"  # the advice


def test_a_name_in_use_for_other_data_or_another_sweep_is_refused(sweep: Path) -> None:
    assert launched(sweep, name="try") == "try"
    with pytest.raises(StoreError, match="got 'tiny as its file is, on "):
        launched(sweep, data=other_pests(sweep), name="try")
    second = sweep.parent / "second.yaml"
    second.write_text(sweep.read_text().replace("MAX_ITER: 4", "MAX_ITER: 3"))
    with pytest.raises(StoreError, match="got 'tiny as its file is, on "):
        launched(second, name="try")


def test_the_name_of_a_sweep_that_another_run_was_given_is_not_taken_back(sweep: Path) -> None:
    assert launched(sweep, RATE, name="tiny") == "tiny"
    with pytest.raises(StoreError, match="give --name NAME"):
        launched(sweep)
    assert launched(sweep, name="plain") == "plain"


def test_a_name_in_use_takes_more_seeds_and_variants_but_not_fewer(sweep: Path) -> None:
    more = (RATE, "seeds=[1, 2]", "variants.slow.SOLVER.MAX_ITER=3")
    assert launched(sweep, RATE, name="try") == "try"
    assert launched(sweep, *more, name="try") == "try"
    for settings in ((RATE,), (*more, "metric=AP50")):
        with pytest.raises(StoreError, match="expected no page of another launch there"):
            launched(sweep, *settings, name="try")


def test_a_page_that_another_launch_made_since_this_one_was_opened_is_seen(sweep: Path) -> None:
    first, second = opened(sweep, RATE, name="try"), opened(sweep, name="try")
    require_own_page(second.spec, second.trials, second.run, second.dataset, second.store)
    write_sweep_record(describe_sweep(first.spec, first.trials, first.dataset, run=first.run), first.store)
    with pytest.raises(StoreError, match=f"with {RATE}"):
        require_own_page(second.spec, second.trials, second.run, second.dataset, second.store)


def test_a_damaged_record_and_one_of_an_older_version_are_no_reason_to_refuse(sweep: Path) -> None:
    launch = opened(sweep)
    record = describe_sweep(launch.spec, launch.trials, launch.dataset)  # without the sweep's name
    path = write_sweep_record(record, launch.store)
    assert read_sweep_record(path.parent, Store(sweep.parent / "r").root).sweep == ""
    assert launched(sweep) == "tiny"
    path.write_text("{")
    assert launched(sweep, name="tiny") == "tiny"
