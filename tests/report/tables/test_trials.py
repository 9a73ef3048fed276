from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.csv_text import to_csv
from agropest.report.tables.classes import class_changes
from agropest.report.tables.trials import per_class_rows, ranking_rows, to_markdown
from agropest.report.tables.variants import comparison_rows, table_texts
from agropest.statistics.inference import Difference, Estimate, Interval

BEST = RankedTrial(
    rank=1,
    label="anchors",
    seed=42,
    status="finished",
    iteration=300,
    max_iter=300,
    val_iteration=200,
    valid={"AP": 41.654, "AP50": 0.0, "APs": None, "AP-Ants": 26.84, "AP-Slugs": None, "AP_deployed-Ants": 20.126},
    test={"AP": 40.0, "APs": None, "AP-Ants": 25.0},
    time_s=12.34,
    signature="0123456789abcdef",
    reason="",
    notes=(),
)
STOPPED = RankedTrial(**{**vars(BEST), "rank": None, "label": "focal", "status": "stopped", "test": {}})


def test_a_missing_metric_differs_from_one_without_ground_truth() -> None:
    first, second = ranking_rows([BEST, STOPPED])
    assert (first["val_AP"], first["val_AP50"], first["val_APs"]) == (41.65, 0.0, "n/a")
    assert (first["test_AP"], first["test_APs"]) == (40.0, "n/a")
    assert (second["rank"], second["test_AP"], second["test_APs"]) == (None, None, None)
    assert list(first)[-5:] == ["val_iteration", "time_s", "signature", "folder", "checkpoint"]


def test_pandas_reads_numbers_as_numbers() -> None:
    frame = pd.read_csv(io.StringIO(to_csv(ranking_rows([BEST, STOPPED]))))
    assert frame["val_AP"].tolist() == [41.65, 41.65]
    assert frame["val_APs"].isna().all()
    assert frame["test_AP"].isna().tolist() == [False, True]


def test_one_row_for_each_trial_split_and_class() -> None:
    rows = [(row["split"], row["class"], row["AP"], row["AP_deployed"]) for row in per_class_rows([BEST])]
    assert rows == [("valid", "Ants", 26.84, 20.13), ("valid", "Slugs", "n/a", None), ("test", "Ants", 25.0, None)]


def test_markdown_escapes_what_would_break_the_table() -> None:
    assert to_markdown([{"a": "x|y", "b": 1.5}]) == "| a | b |\n|---|---|\n| x\\|y | 1.50 |\n"
    assert to_markdown([]) == "(no trials)\n"


def test_classes_of_a_variant_are_of_all_its_seeds() -> None:
    """Of the two trials of "focal" the one that was let finish does not speak for both."""
    trials = [
        replace(BEST, label="base", valid={"AP-Ants": 20.0}),
        replace(BEST, label="anchors", valid={"AP-Ants": 23.0}),
        replace(BEST, label="focal", valid={"AP-Ants": 90.0}),
        replace(BEST, label="focal", seed=1, rank=None, status="stopped", valid={"AP-Ants": 1.0}),
    ]
    assert class_changes(trials, "base", "AP-") == {"anchors": {"Ants": 3.0}}


def test_a_p_value_is_never_shown_as_zero() -> None:
    rows = [{"difference": -16.344, "difference_p": 0.00396, "difference_p_adjusted": 0.0000004}]
    assert to_markdown(rows).splitlines()[-1] == "| -16.34 | 0.004 | &lt;0.001 |"


def test_p_values_in_files_keep_their_digits() -> None:
    told = Difference(-16.3, Interval(-27.0, -5.0), 0.0039648, 0.00000412, "worse", 16.0)
    variant = ComparedVariant("b", Estimate(8.0, None), rank=1, difference=told)
    comparison = Comparison("AP", "a", 40, 40, 17, 2000, 0.95, (variant,), "")
    [row] = comparison_rows(comparison)
    assert (row["images"], row["boxes"]) == (40, 17)
    assert (row["difference_p"], row["difference_p_adjusted"]) == (0.00396, 0.00000412)
    assert "| 0.004 | &lt;0.001 |" in table_texts(comparison, [], "x")["ranking.md"]


def test_a_p_value_is_never_written_as_nothing() -> None:
    table = to_markdown([{"difference_p": 0.00396, "test_difference_p_adjusted": 1e-9, "drop": 0.004}])
    assert table.splitlines()[-1] == "| 0.004 | <0.001 | 0.00 |".replace("<", "&lt;")
