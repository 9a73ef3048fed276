"""``evaluate:`` as values: which variants it comes to, what they evaluate, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.forward import forward_key, score_floor, with_common_forward
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec

NMS, SCORE, SIZE = "MODEL.ROI_HEADS.NMS_THRESH_TEST", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "INPUT.MIN_SIZE_TEST"
SEARCHED = "space: {SOLVER.BASE_LR: {uniform: [0.1, 1]}}"


def write(tmp_path: Path, evaluate: str, more: str = "") -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"variants: {{baseline: {{}}, slow: {{SOLVER.BASE_LR: 0.01, {SIZE}: 600}}}}\n"
        f"seeds: [1, 2]\n{more}\nevaluate:\n{evaluate}"
    )
    return path


def trials(path: Path, *settings: str) -> dict[str, TrialSpec]:
    return {trial.name: trial for trial in expand_trials(load_sweep(path, settings), "data", ["one", "two"])}


def faults(path: Path, *settings: str) -> list[str]:
    with pytest.raises(SweepFileError) as caught:
        trials(path, *settings)
    return [text.removeprefix(f"{path}: ") for text in caught.value.faults]


def test_each_entry_is_crossed_with_the_variants_and_every_combination_of_values(tmp_path: Path) -> None:
    found = trials(
        write(
            tmp_path,
            f"  a: {{{SIZE}: 500}}\n  b: {{of: slow, {NMS}: {{each: [0.3, 0.4]}}, {SCORE}: {{each: [0.1]}}}}\n",
        )
    )
    assert list(found) == [
        *("baseline/s1", "baseline/s2", "slow/s1", "slow/s2", "baseline+a/s1", "baseline+a/s2", "slow+a/s1"),
        *("slow+a/s2", "slow+b-0.3-0.1/s1", "slow+b-0.3-0.1/s2", "slow+b-0.4-0.1/s1", "slow+b-0.4-0.1/s2"),
    ]
    one = found["slow+b-0.4-0.1/s2"]
    assert one.overrides == {"SOLVER.BASE_LR": 0.01, SIZE: 600, NMS: 0.4, SCORE: 0.1}
    assert one.source is not None
    assert (one.source.signature, one.source.name) == (found["slow/s2"].signature, "slow/s2")
    assert found["slow+a/s1"].config[SIZE] == 500
    assert (one.start_iter, one.evaluates and one.evaluates.choice) == (one.max_iter, "best AP")
    assert found["baseline/s1"].source is None
    assert stage_tree(list(found.values())).num_iters == 4 * one.max_iter
    assert [trial.name for trial in stage_tree([*found.values()]).in_order([one, found["slow/s2"]])][-1] == one.name


def test_what_is_evaluated_is_part_of_the_identity(tmp_path: Path) -> None:
    text = f"  a: {{of: baseline, {NMS}: 0.3}}\n  last: {{of: baseline, checkpoint: last}}\n  same: {{of: baseline}}\n"
    by_ap, by_ap50 = trials(write(tmp_path, text)), trials(write(tmp_path, text), "metric=AP50")
    ours = [trial for trial in by_ap.values() if trial.seed == 1]
    assert len({trial.signature for trial in ours}) == len(ours) == 5
    assert by_ap["baseline/s1"].signature == by_ap50["baseline/s1"].signature
    assert by_ap["baseline+a/s1"].signature != by_ap50["baseline+a/s1"].signature
    assert by_ap["baseline+last/s1"].signature == by_ap50["baseline+last/s1"].signature
    assert by_ap["baseline+last/s1"].overrides == {"checkpoint": "last"}
    a_variant = trials(write(tmp_path, "  {}\n", "factors: {a: {" + f"{NMS}: 0.3" + "}}"))
    assert a_variant["a/s1"].config == by_ap["baseline+a/s1"].config
    assert a_variant["a/s1"].signature != by_ap["baseline+a/s1"].signature


def test_the_command_line_wins(tmp_path: Path) -> None:
    found = trials(write(tmp_path, f"  a: {{{NMS}: 0.3, {SCORE}: 0.2}}\n"), f"{NMS}=0.7")
    assert {trial.config[NMS] for trial in found.values()} == {0.7}
    assert found["baseline+a/s1"].config[SCORE] == 0.2


def test_a_forward_pass_is_common_where_only_the_boxes_are_treated_otherwise(tmp_path: Path) -> None:
    text = f"""
  nms: {{of: baseline, {NMS}: {{each: [0.3, 0.4]}}}}
  few: {{of: baseline, TEST.DETECTIONS_PER_IMAGE: 10, {SCORE}: 0.3}}
  low: {{of: baseline, {SCORE}: 0.001}}
  small: {{of: baseline, {SIZE}: 500}}
  last: {{of: baseline, checkpoint: last}}
  averaged: {{of: baseline, SOLVER.EMA.ENABLED: true}}
"""
    found = [trial for trial in trials(write(tmp_path, text)).values() if trial.seed == 1]
    keys = {trial.label.partition("+")[2]: forward_key(trial) for trial in found}
    assert keys["nms-0.3"] == keys["nms-0.4"] == keys["few"]
    others = [keys[name] for name in ("nms-0.3", "low", "small", "last", "averaged")]
    assert len(set(others)) == 5
    assert keys[""] == ""
    assert with_common_forward(found) == {"baseline+nms-0.3/s1", "baseline+nms-0.4/s1", "baseline+few/s1"}
    floors = {trial.label: score_floor(trial) for trial in found}
    assert (floors["baseline+few"], floors["baseline+nms-0.3"], floors["baseline+low"]) == (0.05, 0.05, 0.001)


def test_faults_of_evaluate(tmp_path: Path) -> None:
    text = """
  a: {SOLVER.BASE_LR: 0.1, TEST.EVAL_PERIOD: 5, of: [slo]}
  b: {checkpoint: newest, MODEL.ROI_HEADS.NMS_TRESH_TEST: 0.1}
  c: {of: baseline, MODEL.ROI_HEADS.NMS_THRESH_TEST: {each: 0.3}}
  d: {of: baseline, checkpoint: 7, TEST.PRECISE_BN.ENABLED: true}
"""
    told = "\n".join(faults(write(tmp_path, text)))
    for part in (
        "evaluate.a.of: expected the name of a variant that is trained, got 'slo'; did you mean 'slow'?",
        "evaluate.a.SOLVER.BASE_LR: expected a key that only evaluation reads",
        "write it under `variants:`: it needs a training",
        "evaluate.a.TEST.EVAL_PERIOD: expected a key that one evaluation reads",
        "evaluate.b.checkpoint: expected best, last or an iteration, got 'newest'",
        "evaluate.b.MODEL.ROI_HEADS.NMS_TRESH_TEST: expected a Detectron2 config key",
        "evaluate.c.MODEL.ROI_HEADS.NMS_THRESH_TEST.each: expected a list of numbers, got 0.3",
        "evaluate.d.TEST.PRECISE_BN.ENABLED: expected a key that decides something here",
        "evaluate: expected keep_checkpoints: evaluated where an iteration is named, got 'best_and_last'",
    ):
        assert part in told
    assert told.count("NMS_TRESH_TEST") == 2  # once for both variants, with what it may have meant


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("keep_checkpoints: none", "expected checkpoints to be kept, got 'none'"),
        (
            "search: {method: pbt, population: 4, interval_iters: 10, space: {SOLVER.BASE_LR: {uniform: [0.1, 1]}}}",
            "pbt",
        ),
    ],
)
def test_what_evaluate_does_not_go_with(tmp_path: Path, more: str, told: str) -> None:
    assert told in "\n".join(faults(write(tmp_path, f"  a: {{{NMS}: 0.3}}\n", more)))


def test_a_checkpoint_that_no_evaluation_follows_is_refused(tmp_path: Path) -> None:
    more = "config: {SOLVER.MAX_ITER: 20, TEST.EVAL_PERIOD: 5}\nkeep_checkpoints: evaluated"
    assert trials(write(tmp_path, "  a: {checkpoint: 15}\n", more))["slow+a/s1"].evaluates is not None
    told = faults(write(tmp_path, "  a: {checkpoint: 12}\n", more))
    assert told == [
        f"{name}+a: checkpoint: expected an iteration at which {name} is evaluated (5, 10, 15, 20), got '12'; "
        "name one of these, or last"
        for name in ("baseline", "slow")
    ]


def test_evaluations_and_longer_trainings_do_not_change_how_many_seeds_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"variants: {{baseline: {{}}}}\nextend: 50000\nevaluate: {{a: {{{NMS}: 0.3}}}}\n")
    assert {trial.seed for trial in trials(path).values()} == {42}
    path.write_text(f"variants: {{baseline: {{}}, b: {{}}}}\nevaluate: {{a: {{{NMS}: 0.3}}}}\n")
    assert {trial.seed for trial in trials(path).values()} == {42, 43}


def test_a_command_is_neither_evaluated_otherwise_nor_trained_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = "variants: {baseline: {}, other: {command: [python, train.py]}}\nseeds: [1]\n"
    path.write_text(f"{text}extend: 50000\nevaluate: {{a: {{{NMS}: 0.3}}}}\n")
    names = [variant.name for variant in load_sweep(path).variants]
    assert names == ["baseline", "other", "baseline-to-50000", "baseline+a", "baseline-to-50000+a"]
    path.write_text(f"{text}evaluate: {{a: {{of: other, {NMS}: 0.3}}}}\n")
    with pytest.raises(SweepFileError, match=r"evaluate\.a\.of: expected the name of a variant that is trained"):
        load_sweep(path)
