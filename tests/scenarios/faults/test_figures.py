from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.faults.figures import Figures


@pytest.mark.parametrize(
    ("injected", "asked", "is_well"), [(60, 70, True), (59, 70, False), (4, 4, True), (3, 4, False), (0, 4, False)]
)
def test_too_few_faults_say_nothing(injected: int, asked: int, is_well: bool) -> None:
    assert Figures(Counter({"kill": injected})).all_well(asked) == is_well


def test_whatever_was_lost_counts() -> None:
    faults = Counter({"kill": 60})
    assert not Figures(faults, not_survived=["a hang"]).all_well(60)
    for name in ("trials_lost", "finished_run_again", "metrics_differing"):
        assert not Figures(faults, **{name: 1}).all_well(60)
