"""What an answer costs, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agropest.planning.answer_cost import SeedSpread, in_words, seed_spread, seeds_for
from agropest.statistics.accuracy.average_precision import AP, evaluate
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.stopping.race import SEED_NOISE
from tests.analysis.test_borrowed_seeds import earlier, trained
from tests.analysis.test_comparison import TRUTH, detect, put

SPREAD = SeedSpread(0.6, "somewhere")


@pytest.mark.parametrize(
    ("size", "sd", "images", "expected"),
    [
        (2.0, 0.6, 5460, 3),  # (2 / 2.8)^2 - 0.169 = 0.341; 0.72 / 0.341 = 2.1
        (4.0, 0.6, 5460, 1),
        (1.0, 0.6, 546, None),  # the images' error alone is 1.3
        (4.0, 1.2, 546, 9),  # 2.041 - 1.69 = 0.351; 2.88 / 0.351 = 8.2
    ],
)
def test_how_many_seeds_a_difference_needs(size: float, sd: float, images: int, expected: int | None) -> None:
    assert seeds_for(size, SeedSpread(sd, ""), images) == expected


def test_the_spread_is_of_this_sweep_then_of_others_then_assumed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = trained(store, {"baseline": 0.3, "high": 0.9}, (1,))
    assert seed_spread(one, store, "baseline", AP) == SeedSpread(
        SEED_NOISE, "assumed: no stored training of this data and baseline has two seeds"
    )
    earlier(store)
    assert "4 degrees of freedom" in seed_spread(one, store, "baseline", AP).source
    two = [*one, put(store, "baseline", 2, TrialState.FINISHED, {100: 0.3})]
    assert seed_spread(one[:1], Store(tmp_path / "other"), "baseline", AP, 2.5).sd == 2.5  # the sweep's seed_noise
    values = [evaluate(TRUTH["valid"], detect(TRUTH["valid"], seed, 0.3))[AP] or 0.0 for seed in (1, 2)]
    found = seed_spread(two, store, "baseline", AP)
    # 0.81 counts ten degrees of freedom, less by (0.81 / seen)^4 where more is seen; what is seen counts one.
    seen = float(np.var(values, ddof=1))
    weight = 10 * min(0.81 / seen, 1.0) ** 4
    assert found.sd == pytest.approx(((weight * 0.81 + seen) / (weight + 1)) ** 0.5)
    assert found.source == (
        f"0.9 assumed, updated by this sweep's finished trials with {seen**0.5:.2f}, 1 degrees of freedom"
    )


def test_what_is_said() -> None:
    """Two variants of half an hour each, two at a time: S seeds each take S / 2 hours."""
    told = in_words(SPREAD, 5460, {"a": 1800.0, "b": 1800.0}, 2.0)
    assert told[0] == "seeds: another training of a variant differs by about 0.60 (sd; somewhere)"
    assert (
        "below about 1.2 points: hardly with 5460 validation images; 2 points: about 3 seeds each, 1.5 h in all; 4 "
        in told[1]
    )
    assert told[1].endswith("8 points: about 2 seeds each, 1.0 h in all")
    few = in_words(SPREAD, 100, {}, 2.0)[1]
    assert "below about 8.5 points: hardly with 100 validation images" in few  # 2.8 * 1.3 * sqrt(546 / 100)
    assert " h in all" not in few
