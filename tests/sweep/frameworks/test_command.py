"""A variant of another framework as a value: what its signature is of, what is compared, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import SweepFileError
from agropest.planning.measurement import similar_key, work_key
from agropest.sweep.frameworks.command import FILES, RUN, changed_files, is_command
from agropest.sweep.lint import lint
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec, differing_keys

COMMAND = "{command: [python, train.py, --lr, 0.1], files: [more.py]}"


@pytest.fixture(autouse=True)
def script(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("1\n")
    (tmp_path / "more.py").write_text("2\n")


def plan(tmp_path: Path, text: str, *settings: str) -> list[TrialSpec]:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return expand_trials(load_sweep(path, settings), "data-1", ["one", "two"])


def one(tmp_path: Path, command: str = COMMAND, more: str = "") -> TrialSpec:
    return plan(tmp_path, f"{more}\nvariants: {{baseline: {{}}, other: {command}}}\nseeds: [1]\n")[-1]


def test_its_signature_is_of_the_command_its_files_and_what_it_obeys(tmp_path: Path) -> None:
    trial = one(tmp_path)
    assert trial.config[RUN] == ["python", "train.py", "--lr", "0.1"]
    assert [line.split(" sha256:")[0] for line in trial.config[FILES]] == ["train.py", "more.py"]
    same = [
        one(tmp_path, more="config: {SOLVER.BASE_LR: 0.5, MODEL.WEIGHTS: detectron2://a.pkl}"),
        one(tmp_path, "{command: [python, train.py, --lr, '0.1'], files: [more.py], resources: {cpus: 2}}"),
    ]
    other = [
        one(tmp_path, "{command: [python, train.py, --lr, 0.2], files: [more.py]}"),
        one(tmp_path, "{command: [python, train.py, --lr, 0.1]}"),
        one(tmp_path, more="config: {SOLVER.MAX_ITER: 7}"),
        one(tmp_path, more="config: {TEST.DETECTIONS_PER_IMAGE: 7}"),
    ]
    (tmp_path / "more.py").write_text("3\n")
    other.append(one(tmp_path))
    assert {its.signature for its in same} == {trial.signature}
    assert len({its.signature for its in other} | {trial.signature}) == 6
    assert changed_files(trial.config, tmp_path) == ["more.py"]
    (tmp_path / "train.py").unlink()
    assert changed_files(trial.config, tmp_path) == ["train.py", "more.py"]


def test_only_what_it_is_and_obeys_is_compared_with_other_trials(tmp_path: Path) -> None:
    variants = f"variants:\n  baseline: {{}}\n  slow: {{SOLVER.BASE_LR: 0.1}}\n  other: {COMMAND}\n"
    text = "config: {SOLVER.BASE_LR: 0.5}\n" + variants
    trials = plan(tmp_path, text + "seeds: [1]\n")
    assert [list(trial.overrides) for trial in trials] == [[], ["SOLVER.BASE_LR"], [RUN, FILES]]
    assert differing_keys(trials) == [FILES, RUN, "SOLVER.BASE_LR"]
    assert [is_command(trial.config) for trial in trials] == [False, False, True]
    as_baseline = plan(tmp_path, text + "seeds: [1]\nbaseline: other\n")
    assert [list(trial.overrides) for trial in as_baseline] == [[], [], []]
    assert len({work_key(trial) for trial in trials}) == 2  # a rate makes no other work
    assert len({similar_key(trial.config, "d") for trial in trials}) == 2


def test_it_shares_no_training(tmp_path: Path) -> None:
    longer = "{command: [python, train.py, --lr, 0.1], files: [more.py], TEST.DETECTIONS_PER_IMAGE: 5}"
    text = f"variants:\n  baseline: {COMMAND}\n  longer: {longer}\nseeds: [1]\nconfig: {{SOLVER.MAX_ITER: 10}}\n"
    tree = stage_tree(plan(tmp_path, text))
    assert tree.num_iters == tree.num_iters_unshared == 20


def test_weights_of_the_base_are_not_looked_for(tmp_path: Path) -> None:
    text = f"variants: {{other: {COMMAND}}}\nconfig: {{MODEL.WEIGHTS: not/there.pth}}\n"
    assert plan(tmp_path, text)[0].weights == ""


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("{command: []}", "variants.other.command: expected at least a program"),
        ("{command: train.py}", "variants.other.command: expected a list of words, got 'train.py'"),
        ("{files: [more.py]}", "variants.other.files: expected `command:` beside it"),
        ("{command: [no-such-program]}", "other: command: expected a program"),
        ("{command: [./train.py]}", "other: command: expected a program"),  # it may not be executed
        ("{command: [python, train.py], files: [no.py]}", "other: files: expected files in"),
        ("{command: [python, a], SOLVER.BASE_LR: 1}", "other: SOLVER.BASE_LR: expected no Detectron2 key beside"),
        ("{command: [python, a], base: x.yaml}", "variants.other.base"),
        ("{command: [python, a], resources: auto}", "other: resources: expected numbers, and one process"),
        ("{command: [python, a], resources: {processes: 2}}", "other: resources: expected numbers, and one process"),
    ],
)
def test_what_a_command_cannot_have_is_refused(variant: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SweepFileError) as caught:
        one(tmp_path, variant)
    assert any(told in text for text in caught.value.faults), caught.value.faults


@pytest.mark.parametrize("baseline", ["baseline", "other"])
def test_the_linter_speaks_of_its_seeds_and_not_of_settings_that_it_does_not_have(
    baseline: str, tmp_path: Path, agropest: Dataset
) -> None:
    config = "config: {SOLVER.MAX_ITER: 100, SOLVER.STEPS: [500], SOLVER.WARMUP_ITERS: 5}\n"
    plan(tmp_path, f"{config}variants: {{baseline: {{}}, other: {COMMAND}}}\nseeds: [1]\nbaseline: {baseline}\n")
    spec = load_sweep(tmp_path / "a.yaml")
    found = lint(spec, expand_trials(spec, "d", agropest.class_names), agropest)
    assert not [remark for remark in found if "other" in remark.text.split(":")[0].split(", ")]
    assert "single-seed" in {remark.rule for remark in found}
    assert ("schedule" in {remark.rule for remark in found}) == (baseline == "baseline")
