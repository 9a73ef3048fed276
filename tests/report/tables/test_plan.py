"""The plan's table: keys in few letters, what all trials have alike once, no word broken."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from agropest.report.tables.plan import plan_table, print_remarks, short_keys
from agropest.store.store import Store
from agropest.sweep.lint import Remark
from agropest.sweep.sections.resources import Resources
from agropest.sweep.trial import TrialSpec

ANCHORS = [[8, 12, 16], [24, 32, 40], [48, 64, 80], [96, 128, 160], [192, 224, 256]]
WEIGHTS = "detectron2://COCO-Detection/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl"


def trial(label: str, levels: dict[str, str] | None = None, iterations: int = 30, **overrides: object) -> TrialSpec:
    changed = {key.replace("__", "."): value for key, value in overrides.items()}
    config = {"SOLVER.MAX_ITER": iterations, **changed}
    return TrialSpec(label, 1, config, data="f" * 64, overrides=changed, levels=levels or {}, resources=Resources())


def shown(trials: list[TrialSpec], folder: Path, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(plan_table(trials, Store(folder), "baseline", "a: none"))
    return stream.getvalue()


def test_a_key_is_shown_by_its_shortest_end_that_no_other_has() -> None:
    keys = {"SOLVER.BASE_LR", "MODEL.RPN.NAME", "MODEL.ROI_HEADS.NAME", "NAME"}
    assert short_keys(keys) == {
        "SOLVER.BASE_LR": "BASE_LR",
        "MODEL.RPN.NAME": "RPN.NAME",
        "MODEL.ROI_HEADS.NAME": "ROI_HEADS.NAME",
        "NAME": "NAME",
    }


def test_no_word_is_broken_at_80_columns(tmp_path: Path) -> None:
    trials = [
        trial("baseline"),
        trial("focal", MODEL__ROI_BOX_HEAD__CLS_LOSS="softmax_focal"),
        trial("anchors_of_five_levels", MODEL__ANCHOR_GENERATOR__SIZES=ANCHORS),
        trial("other_weights", MODEL__WEIGHTS=WEIGHTS),
    ]
    text = shown(trials, tmp_path)
    assert max(map(len, text.splitlines())) <= 80
    words = set(re.findall(r"[\w.:]{3,}", text))
    assert {"CLS_LOSS:", "softmax_focal", "anchors_of_five_levels", "SIZES:", "WEIGHTS:", "224"} <= words
    assert ".../model_final_280758.pkl" in text


def test_what_all_trials_have_alike_stands_above(tmp_path: Path) -> None:
    alike = shown([trial("baseline"), trial("slow", SOLVER__BASE_LR=0.1)], tmp_path)
    assert "2 trials: 2 new; each: 30 iterations, 1 CPU, 0 GPU" in alike
    assert "resources" not in alike
    other = shown([trial("baseline"), trial("long", iterations=60, SOLVER__BASE_LR=0.1)], tmp_path)
    assert "iterations" in other.partition("\n")[2]
    assert "each: 1 CPU, 0 GPU" in other


def test_a_combination_names_its_factors(tmp_path: Path) -> None:
    levels = {"lr": "on", "focal": "on"}
    text = shown([trial("baseline"), trial("lr+focal", levels, SOLVER__BASE_LR=0.1)], tmp_path)
    assert "lr and focal, as above" in text


def test_a_launch_counts_the_remarks_that_it_has_made_before() -> None:
    stream = io.StringIO()
    remarks = [Remark("schedule", "the steps are late"), Remark("single-seed", "one seed")]
    print_remarks(remarks, Console(file=stream, width=80), {"one seed"})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "lint: 1 remark as at the last launch (--plan shows all)"
    assert lines[1] == "lint: the steps are late [schedule]"
    stream.truncate(0)
    print_remarks(remarks, Console(file=stream, width=80), {"one seed", "the steps are late"})
    assert stream.getvalue().strip("\0").splitlines() == ["lint: 2 remarks as at the last launch (--plan shows all)"]
