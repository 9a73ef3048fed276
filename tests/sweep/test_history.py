from __future__ import annotations

from dataclasses import replace

from agropest.sweep.history import Segment, read_history, stored_history
from agropest.sweep.trial import TrialSpec

RATE = "SOLVER.BASE_LR"
CONFIG = {RATE: 0.2, "SOLVER.MAX_ITER": 300, "TEST.EVAL_PERIOD": 100}
MEMBER = TrialSpec("pbt-001", 42, CONFIG, "data-1", history=(Segment(100, {RATE: 0.1}),), segment_end=200)


def test_a_history_keeps_the_keys_that_earlier_versions_wrote() -> None:
    stored = {"legs": [{"end": 100, "settings": {RATE: 0.1}}], "leg_end": 200}
    assert stored_history(MEMBER.history, MEMBER.segment_end) == stored
    assert read_history(stored) == MEMBER.history
    assert read_history({"label": "a"}) == ()


def test_signatures_are_those_of_the_versions_that_said_legs() -> None:
    assert MEMBER.signature == "4d889af06b71664f"
    assert MEMBER.ancestor is not None
    assert MEMBER.ancestor.signature == "4bc98f86d402607a"
    assert replace(MEMBER, history=(Segment(100, {RATE: 0.3}),)).signature != MEMBER.signature
