"""What a launch changes makes its run's name; what only says how it runs does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.sweep.command_line.run import LONGEST, run_of
from agropest.sweep.spec import LABEL, load_sweep

TEXT = """
base: {base}
data: ../sets/Insects
config: {{SOLVER.MAX_ITER: 30, MODEL.WEIGHTS: detectron2://zoo/model_final.pkl}}
seeds: [1, 2]
stop: none
variants:
  baseline: {{}}
  slow: {{SOLVER.BASE_LR: 0.001}}
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    base = Path(__file__).resolve().parents[3] / "configs" / "demo.yaml"
    path = tmp_path / "pests.yaml"
    path.write_text(TEXT.format(base=base))
    return path


def name(sweep: Path, *settings: str, data: str = "", given: str = "") -> str:
    spec, _ = run_of(load_sweep(sweep, settings), settings, Path(data) if data else None, given)
    return spec.name


def test_a_launch_of_the_file_as_it_is_keeps_the_name(sweep: Path) -> None:
    assert name(sweep) == "pests"


@pytest.mark.parametrize(
    "settings",
    [
        ("resources.cpus=2", "retries=0", "budget.max_hours=1", "silence=[]", "question=Why?"),
        ("SOLVER.MAX_ITER=30",),  # as the file has it
        ("seeds=[1,2]", "stop=none"),
        ("DATALOADER.NUM_WORKERS=1",),  # decides no number
        ("MODEL.WEIGHTS=/elsewhere/model_final.pkl",),  # the same file, from this machine's disk
        ("data=/mnt/insects",),
    ],
)
def test_what_only_says_how_it_runs_makes_no_run(sweep: Path, settings: tuple[str, ...]) -> None:
    assert name(sweep, *settings) == "pests"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("SOLVER.MAX_ITER=40",), "pests+SOLVER.MAX_ITER=40"),
        (("TEST.EVAL_PERIOD=5", "SOLVER.MAX_ITER=40"), "pests+SOLVER.MAX_ITER=40+TEST.EVAL_PERIOD=5"),
        (("seeds=[1,2,3]",), "pests+seeds=1_2_3"),
        (("variants.slow.SOLVER.BASE_LR=0.0020",), "pests+variants.slow.SOLVER.BASE_LR=0.002"),
        (("SOLVER.BASE_LR=0.001",), "pests+SOLVER.BASE_LR=0.001"),  # for the baseline, too
        (("MODEL.WEIGHTS=/elsewhere/other.pkl", "name=mine"), "mine"),
    ],
)
def test_what_changes_the_question_names_the_run(sweep: Path, settings: tuple[str, ...], told: str) -> None:
    assert name(sweep, *settings) == told
    assert name(sweep, *reversed(settings)) == told


def test_other_data_is_another_run_and_the_same_data_elsewhere_is_not(sweep: Path) -> None:
    assert name(sweep, data="/mnt/insects") == "pests"
    assert name(sweep, data="/mnt/bccd") == "pests+data=bccd"
    sweep.write_text(sweep.read_text().replace("data: ../sets/Insects\n", ""))
    assert name(sweep, data="/mnt/bccd") == "pests"  # the file names no data


def test_a_given_name_wins(sweep: Path) -> None:
    spec, run = run_of(load_sweep(sweep), ("SOLVER.MAX_ITER=40",), None, "try2")
    assert (spec.name, run.changes) == ("try2", ("SOLVER.MAX_ITER=40",))
    [line] = run.in_words(Path("results/try2"))
    assert line == "run: results/try2 (SOLVER.MAX_ITER=40 on the command line; the same command continues)"
    assert run.in_words(Path("results/pests")) == []
    (sweep.parent / "pests").mkdir()
    [line] = run.in_words(sweep.parent / "try2")
    assert f"on the command line; {sweep.parent / 'pests'} stays as it is; the same" in line


def test_a_new_variant_is_said_because_it_may_be_a_slip(sweep: Path) -> None:
    settings = ("variants.slwo.SOLVER.BASE_LR=0.1",)
    _, run = run_of(load_sweep(sweep, settings), settings, None)
    assert run.in_words(Path("results/pests")) == [
        "new variant on the command line: slwo (did you mean 'slow'? the file has baseline, slow)"
    ]
    settings = ("variants.slow.SOLVER.BASE_LR=0.1",)
    _, run = run_of(load_sweep(sweep, settings), settings, None)
    assert run.in_words(Path("results/pests")) == []


def test_long_and_strange_values_have_names_of_folders_that_tell_them_apart(sweep: Path) -> None:
    names = [
        name(sweep, f"MODEL.ANCHOR_GENERATOR.SIZES=[[{size}],[32],[64],[128],[256]]", "INPUT.MIN_SIZE_TRAIN=[64]")
        for size in (8, 9)
    ]
    names.append(name(sweep, "variants={baseline: {}, other: {SOLVER.BASE_LR: 0.1}}"))
    assert len(set(names)) == 3
    assert [one for one in names if not LABEL.fullmatch(one) or len(one) > LONGEST] == []
