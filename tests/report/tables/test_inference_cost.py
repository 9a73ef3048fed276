"""AP beside cost: the front, the fastest of a tie, and where they are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from agropest.__main__ import main
from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.models.inference_cost import (
    CostRecord,
    InferenceCost,
    cheapest_of_tie,
    costed_variants,
    read_costs,
    write_costs,
)
from agropest.analysis.models.model_choice import signatures_of
from agropest.report.tables.inference_cost import cheapest_sentence, doubts, how_measured
from agropest.statistics.inference import Estimate, Interval
from agropest.store.sweep_record import read_sweep_record

# label: AP, milliseconds, tied with the best
KNOWN = {
    "best": (50.0, 90.0, True),
    "quick": (48.0, 30.0, True),
    "slow": (47.0, 95.0, True),
    "light": (40.0, 10.0, False),
    "waste": (39.0, 30.0, False),
}


def cost(label: str, latency_ms: float, signature: str = "s") -> InferenceCost:
    return InferenceCost(label, 1, signature, 4_200_000, 12.5, latency_ms, latency_ms - 1, latency_ms + 2, 300.0)


def record(costs: list[InferenceCost]) -> CostRecord:
    return CostRecord("a processor, 2 cores", "cpu", 2, 30, (160, 192), tuple(costs))


def comparison(known: dict[str, tuple[float, float, bool]]) -> Comparison:
    variants = tuple(
        ComparedVariant(label, Estimate(ap, Interval(ap - 2, ap + 2)), rank=n, seeds=(1,), ties_with_best=tied)
        for n, (label, (ap, _, tied)) in enumerate(known.items(), start=1)
    )
    return Comparison("AP", "light", 100, 100, 300, 2000, 0.95, variants, "")


def test_the_front_and_the_fastest_of_the_tie() -> None:
    costs = record([cost(label, ms) for label, (_, ms, _) in KNOWN.items()])
    told = costed_variants(comparison(KNOWN), costs, {f"{label}/s1": "s" for label in KNOWN})
    assert [one.variant.label for one in told] == ["light", "quick", "waste", "best", "slow"]
    assert [one.variant.label for one in told if one.on_front] == ["light", "quick", "best"]
    cheapest = cheapest_of_tie(told)
    assert cheapest is not None and cheapest.variant.label == "quick"
    sentence = cheapest_sentence(told, "AP")
    assert "quick (30.0 ms; the slowest of them takes 95.0 ms). Tied with it: best, slow." in sentence


def test_a_best_that_stands_alone_has_no_cheaper_one() -> None:
    alone = {label: (ap, ms, label == "best") for label, (ap, ms, _) in KNOWN.items()}
    costs = record([cost(label, ms) for label, (_, ms, _) in alone.items()])
    told = costed_variants(comparison(alone), costs, {f"{label}/s1": "s" for label in alone})
    assert cheapest_of_tie(told) is None
    assert cheapest_sentence(told, "AP") == ""


def test_runs_that_are_far_apart_are_named() -> None:
    quiet, busy = cost("best", 90.0), replace(cost("quick", 30.0), fast_ms=20.0, slow_ms=60.0)
    told = costed_variants(comparison(KNOWN), record([quiet, busy]), {f"{label}/s1": "s" for label in KNOWN})
    assert "The runs of quick are far apart" in doubts(told)
    assert doubts([one for one in told if one.variant.label == "best"]) == ""


def test_what_was_measured_of_another_training_is_left_out() -> None:
    costs = record([cost("best", 90.0), cost("quick", 30.0, "of another")])
    told = costed_variants(comparison(KNOWN), costs, {f"{label}/s1": "s" for label in KNOWN})
    assert [one.variant.label for one in told] == ["best"]


def test_it_is_read_as_it_was_written_and_damage_is_nothing(tmp_path: Path) -> None:
    costs = record([cost("best", 90.0)])
    path = write_costs(tmp_path, costs)
    assert read_costs(tmp_path) == costs
    path.write_text(path.read_text()[:-20])
    assert read_costs(tmp_path) is None
    assert read_costs(tmp_path / "none") is None


def test_how_it_was_measured_names_the_hardware() -> None:
    told = how_measured(record([]))
    assert "a processor, 2 cores, 2 threads" in told
    assert "192 x 160 px" in told and "30 warmed runs" in told
    assert "threads" not in how_measured(replace(record([]), device="cuda"))


@pytest.fixture
def costed_sweep(sweep: Path) -> Path:
    signatures = signatures_of(read_sweep_record(sweep))
    write_costs(sweep, record([cost("base", 20.0, signatures["base/s1"]), cost("good", 45.0, signatures["good/s1"])]))
    return sweep


def test_table_and_page_have_it(costed_sweep: Path) -> None:
    try:
        assert main(["export", str(costed_sweep)]) == 0
        table = pd.read_csv(costed_sweep / "inference_cost.csv")
        assert table["label"].tolist() == ["base", "good"]
        assert table["latency_ms"].tolist() == [20.0, 45.0]
        assert table["on_front"].tolist() == [1, 1]
        page = (costed_sweep / "index.html").read_text()
        assert "AP over latency of 2 variants" in page
        assert "192 x 160 px" in page
    finally:
        for name in ("inference_cost.json", "inference_cost.csv"):
            (costed_sweep / name).unlink(missing_ok=True)
    assert main(["export", str(costed_sweep), "--format", "html"]) == 0
    assert "At inference" not in (costed_sweep / "index.html").read_text()
