"""A column is declared once, and shown wherever its declaration says."""

from __future__ import annotations

import pytest

from agropest.report.columns.column import CHANGE, CONSOLE, FILES, NO_TRUTH, PAGE, PERCENT, RECORD, Column
from agropest.report.columns.effects import EFFECT_COLUMNS
from agropest.report.columns.inference import inference_columns
from agropest.report.columns.training_cost import COST_COLUMNS, PLACE_COLUMNS
from agropest.report.columns.trials import page_order, trial_columns
from agropest.report.columns.variants import VARIANT_COLUMNS
from agropest.report.columns.writing import file_rows, text_table
from agropest.report.page.tables.sweep import column_table
from agropest.statistics.inference import Estimate, Interval

DECLARED = {
    "variants": VARIANT_COLUMNS,
    "effects": EFFECT_COLUMNS,
    "trials": trial_columns("AP"),
    "trials by a class": trial_columns("AP-{ant}"),
    "inference": inference_columns("AP"),
    "cost": COST_COLUMNS,
    "places": PLACE_COLUMNS,
}
# (name, AP, change)
ROWS = [("a", Estimate(41.234, Interval(-0.004, 50.0)), 1.5), ("b", Estimate(None, None), None), ("c", None, None)]
COLUMNS = (
    Column("name", "{what}", lambda row: row[0], always=True),
    Column("ap", "AP", lambda row: row[1], PERCENT, spread="95 %"),
    Column("change", "change", lambda row: row[2], CHANGE, folds=1),
    Column("secret", "", lambda row: 7, PERCENT, frozenset({FILES})),
    Column("empty", "empty", lambda row: None),
)


@pytest.mark.parametrize("name", DECLARED)
def test_every_key_is_declared_once_and_whatever_people_see_has_a_heading(name: str) -> None:
    columns = DECLARED[name]
    keys = [key for column in columns for key in (column.key, *(column.edges or ()))]
    assert len(set(keys)) == len(keys) > 3
    assert [column.key for column in columns if not column.shown] == []
    assert [column.key for column in columns if column.shown != {FILES} and not column.heading] == []


def test_one_declaration_shows_in_files_console_record_and_page() -> None:
    first, second, third = file_rows(COLUMNS, ROWS)
    assert first == {
        "name": "a", "ap": 41.23, "ap_low": 0.0, "ap_high": 50.0, "change": 1.5, "secret": 7.0, "empty": None
    }  # fmt: skip
    assert (second["ap"], third["ap"], third["ap_low"]) == (NO_TRUTH, None, None)
    for view in (CONSOLE, RECORD):
        told = text_table(COLUMNS, ROWS, view, {"what": "detector"})
        assert told.headings == ["detector", "AP [95 %]", "change"]
        assert list(told.rows[0]) == ["a", "41.23 [0.00, 50.0]", "+1.50"]
        assert [row[1] for row in told.rows[1:]] == [NO_TRUTH, "-"]
    page = column_table(COLUMNS, ROWS, {"what": "detector"})
    assert (page.headings, page.folds) == (["detector", "AP", "95 %", "change"], [0, 0, 0, 1])
    assert [cell.text for cell in page.rows[0]] == ["a", "41.23", "0.00 to 50.00", "+1.50"]
    assert [(cell.text, cell.sort) for cell in page.rows[1]][1:] == [(NO_TRUTH, None), ("–", None), ("–", None)]


def test_a_narrow_console_leaves_out_what_folds_first() -> None:
    told = text_table(COLUMNS, ROWS, CONSOLE, {"what": "detector"}, width=40)
    assert told.headings == ["detector", "AP [95 %]"]
    assert len(text_table(COLUMNS, ROWS, CONSOLE, {"what": "detector"}, width=1).headings) == 2  # nothing else folds


@pytest.mark.parametrize(("metric", "tested"), [("AP", 1), ("AP-{ant}", 1)])
def test_the_page_has_the_metric_that_ranks_first_and_once(metric: str, tested: int) -> None:
    on_page = [column for column in page_order(trial_columns(metric)) if PAGE in column.shown]
    headings = [column.heading.format_map({}) for column in on_page]
    assert headings.index(f"val {metric}") < min(headings.index(name) for name in ("val AP50", "val APl", "test AP"))
    assert headings.count(f"val {metric}") == 1
    assert headings.count(f"test {metric}") == tested
