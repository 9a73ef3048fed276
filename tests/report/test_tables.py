from __future__ import annotations

import io

import pandas as pd

from agropest.csv_text import to_csv
from agropest.report.tables import per_class_rows, ranking_rows, to_markdown
from agropest.results.ranking import RankedTrial

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


def test_a_missing_metric_and_one_without_ground_truth_are_told_apart() -> None:
    first, second = ranking_rows([BEST, STOPPED])
    assert (first["val_AP"], first["val_AP50"], first["val_APs"]) == (41.65, 0.0, "n/a")
    assert (first["test_AP"], first["test_APs"]) == (40.0, "n/a")
    assert (second["rank"], second["test_AP"], second["test_APs"]) == (None, None, None)
    assert list(first)[-3:] == ["val_iteration", "time_s", "signature"]


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


def test_a_p_value_is_never_written_as_nothing() -> None:
    table = to_markdown([{"difference_p": 0.00396, "test_difference_p_adjusted": 1e-9, "drop": 0.004}])
    assert table.splitlines()[-1] == "| 0.004 | <0.001 | 0.00 |".replace("<", "&lt;")
