"""Charts are well-formed whatever the names, and say by shape what they say by colour."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from agropest.analysis.compared import ComparedVariant, Comparison, Effect
from agropest.report.page.charts import IntervalRow, Line, interval_chart, line_chart
from agropest.report.page.figures import difference_chart, difference_row, effects_chart
from agropest.report.page.svg import NARROW, Axis, axis_around, for_both_widths, tick_text
from agropest.report.page.tables.boxes import confusion_table
from agropest.report.page.tables.cells import TableOf
from agropest.report.page.tables.classes import heat_map
from agropest.report.page.tables.sweep import effect_table
from agropest.statistics.diagnosis.confusion import ConfusionMatrix
from agropest.statistics.inference import BETTER, INCONCLUSIVE, WORSE, Difference, Estimate, Interval

HOSTILE = "\"/><script>alert(1)</script>&'<"
BASE = Comparison("AP", "base", 10, 10, 20, 100, 0.95, (), "")


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{drawing}</div>")


def difference(value: float, verdict: str) -> Difference:
    return Difference(value, Interval(value - 1, value + 1), 0.01, 0.02, verdict, 2.0)


def test_names_cannot_end_what_they_stand_in() -> None:
    drawings = [
        interval_chart([IntervalRow(HOSTILE, 1.0, 0.5, None, note=HOSTILE)], HOSTILE, 0.0, HOSTILE),
        line_chart([Line(HOSTILE, [(0, 1.0), (1, None), (2, 3.0)], 0, stopped=True)], HOSTILE, HOSTILE),
    ]
    for drawing in drawings:
        tree = parsed(drawing)
        assert not tree.findall(".//script")
        assert any(HOSTILE in (node.text or "") for node in tree.iter("title"))


def test_a_verdict_is_a_shape_and_a_word() -> None:
    rows = [difference_row(verdict, difference(1.0, verdict)) for verdict in (BETTER, WORSE, INCONCLUSIVE)]
    assert [(row.shape, row.note) for row in rows] == [
        ("up", "better"),
        ("down", "worse"),
        ("circle", "inconclusive"),
    ]


def test_every_effect_of_a_factor_is_drawn() -> None:
    effects = (
        Effect("main effect", ("anchors",), difference(2.0, BETTER), 1.5),
        Effect("interaction", ("anchors", "loss"), difference(-3.0, WORSE)),
    )
    drawing = effects_chart(replace(BASE, effects=effects))
    texts = [node.text for node in parsed(drawing).iter("text")]
    assert texts.count("better (main effect)") == texts.count("worse (interaction)") == 1
    assert {"anchors", "anchors x loss"} <= set(texts)
    table = effect_table(replace(BASE, effects=effects))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["main effect", "anchors", "+2.00", "+1.00 to +3.00", "0.010", "0.020", "better", "2.0", "+1.50"],
        ["interaction", "anchors x loss", "-3.00", "-4.00 to -2.00", "0.010", "0.020", "worse", "2.0", "–"],
    ]
    assert effects_chart(BASE) == ""
    assert effect_table(BASE) is None


def test_long_labels_are_written_whole() -> None:
    name = "multi_scale_anchor_generator+focal_loss_alpha_quarter+repeat_factor_sampling_0.08"
    drawing = parsed(interval_chart([IntervalRow(name, 1.0, 0.5, 1.5, note="inconclusive (interrupted)")], "x"))
    lines = [node for node in drawing.iter("text") if node.get("text-anchor") == "end"]
    assert [node.text for node in lines] == [
        "multi_scale_anchor_generator+",
        "focal_loss_alpha_quarter+",
        "repeat_factor_sampling_0.08",
    ]
    heights = [float(node.get("y", "nan")) for node in lines]
    assert heights[1] - heights[0] == heights[2] - heights[1] == 13
    (note,) = (node for node in drawing.iter("text") if node.text == "inconclusive (interrupted)")
    assert float(note.get("x", "nan")) + 6.2 * len("inconclusive (interrupted)") < 760


def test_many_rows_are_several_drawings_on_one_axis() -> None:
    drawings = parsed(interval_chart([IntervalRow(f"v{n:02}", n, n - 1, n + 1) for n in range(50)], "AP")).findall(
        "svg"
    )
    assert [len(one.findall("g")) for one in drawings] == [13, 12, 13, 12]
    ticks = [[node.text for node in one.iter("text") if node.get("text-anchor") == "middle"] for one in drawings]
    assert all(each == ticks[0] for each in ticks)
    assert max(float(one.get("height", "nan")) for one in drawings) < 352  # two of them on a page of A4, on its side


def test_what_has_not_finished_stands_below() -> None:
    variants = (
        ComparedVariant("low", Estimate(1.0, None), 1, difference=difference(-1.0, INCONCLUSIVE)),
        ComparedVariant("stopped", Estimate(1.0, None), None, "stopped", difference=difference(3.0, INCONCLUSIVE)),
        ComparedVariant("high", Estimate(1.0, None), 2, difference=difference(2.0, INCONCLUSIVE)),
    )
    rows = parsed(difference_chart(replace(BASE, variants=variants))).iter("title")
    assert [(row.text or "").split(":")[0] for row in rows] == ["high", "low", "stopped"]


def test_a_legend_shows_marks_only_where_the_line_has_some() -> None:
    lines = [Line("one", [(0.0, 1.0), (1.0, 2.0)], 0)]
    assert len(parsed(line_chart(lines, "x", "y")).findall(".//ul//polygon")) == 1
    assert not parsed(line_chart(lines, "x", "y", marks=False)).findall(".//ul//polygon")


def test_charts_of_nothing_or_of_one_point_do_not_fail() -> None:
    assert parsed(line_chart([], "x", "y")) is not None
    assert parsed(line_chart([Line("one", [(5.0, 1.0)], 0)], "x", "y")).findall(".//rect") == []
    assert parsed(line_chart([Line("none", [(5.0, None)])], "x", "y")) is not None
    assert parsed(interval_chart([IntervalRow("same", 3.0, 3.0, 3.0)], "x", 3.0)) is not None


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-7.6, 5.2, ["-7.5", "-5.0", "-2.5", "0.0", "2.5", "5.0"]),
        (0.0, 25000.0, ["0", "5000", "10000", "15000", "20000", "25000"]),
    ],
)
def test_ticks_are_round_and_have_the_digits_they_need(low: float, high: float, texts: list[str]) -> None:
    ticks = Axis(low, high, 0, 100).ticks()
    assert [tick_text(tick, ticks) for tick in ticks] == texts


def test_an_axis_holds_what_it_is_for() -> None:
    axis = axis_around([1.0, 2.0], 0, 100, include=-1.0)
    assert axis.low < -1.0 < 2.0 < axis.high
    assert axis(axis.low) == 0
    assert axis(axis.high) == 100


def test_many_classes_are_cut_down_to_those_that_matter() -> None:
    names = [f"c{number:03d}" for number in range(100)]
    changes = {name: Estimate(float(number), Interval(number - 1.0, number + 1.0)) for number, name in enumerate(names)}
    shown = heat_map(
        replace(BASE, variants=(ComparedVariant("a", Estimate(1.0, None), per_class=changes),)), [], "base"
    )
    assert shown is not None
    assert list(shown.headings) == ["variant", *names[60:]]
    counts = np.zeros((101, 101), dtype=np.int64)
    counts[3, 7], counts[4, 4] = 5, 9
    detail = type("Detail", (), {"confusion": ConfusionMatrix(tuple(names), 0.5, counts)})()
    assert [[cell.text for cell in row] for row in confusion_table(detail).rows] == [["c003", "c007", "5"]]


def test_a_narrow_chart_has_its_labels_above_the_intervals() -> None:
    rows = [IntervalRow("multi_scale_anchor_generator+focal_loss_alpha_quarter+repeat", 1.0, 0.5, 1.5, note="worse")]
    rows.append(IntervalRow("baseline", 1.0, note="baseline", low=None, high=None))
    drawing = parsed(interval_chart(rows, "AP minus that of multi_scale, percentage points", 0.0, "zero", NARROW))
    texts = [node for node in drawing.iter("text") if node.get("text-anchor") == "start"]
    assert [(node.text, node.get("x")) for node in texts if node.text != "zero"] == [
        ("multi_scale_anchor_generator+focal_loss_alpha_", "2"),
        ("quarter+repeat: worse", "2"),
        ("baseline", "2"),
    ]
    svg = drawing.find("svg")
    assert svg is not None
    assert svg.get("viewBox", "").split()[2] == "360"
    whisker = next(node for node in drawing.iter("line") if "whisker" in node.get("class", ""))
    heights = [float(node.get("y", "nan")) for node in texts if node.text != "zero"]
    assert heights[1] < float(whisker.get("y1", "nan")) < heights[2]


def test_both_widths_are_written_and_nothing_stays_nothing() -> None:
    both = parsed(for_both_widths(lambda width: interval_chart([IntervalRow("a", 1.0, 0.5, 1.5)], "AP", width=width)))
    assert [one.get("class") for one in both.findall("div")] == ["wide", "narrow"]
    assert [one.get("width") for one in both.iter("svg")] == ["760", "360"]
    assert for_both_widths(lambda width: "") == ""


def test_lines_of_a_group_are_one_entry_of_the_legend() -> None:
    lines = [Line(f"focal (seed {seed})", [(0.0, 1.0), (1.0, 2.0)], 0, group="focal") for seed in (1, 2)]
    lines.append(Line("base (seed 1)", [(0.0, 1.0), (1.0, 2.0)], 1, group="base"))
    drawing = parsed(line_chart(lines, "x", "y"))
    assert ["".join(item.itertext()).strip() for item in drawing.iter("li")] == ["focal", "base"]
    assert [node.text for node in drawing.iter("title")][-2:] == ["focal (seed 1)", "focal (seed 2)"]


def test_columns_fold_by_what_they_show() -> None:
    changes = {"small": 0.1, "large": -9.0, "middle": 2.0}
    per_class = {name: Estimate(value, None) for name, value in changes.items()}
    shown = heat_map(
        replace(BASE, variants=(ComparedVariant("a", Estimate(1.0, None), per_class=per_class),)), [], "base"
    )
    assert shown is not None
    assert (list(shown.headings), list(shown.folding)) == (["variant", "small", "large", "middle"], [0, 1, 3, 2])
    counts = np.array([[5, 0, 1], [3, 9, 0], [4, 0, 0]])
    detail = type("Detail", (), {"confusion": ConfusionMatrix(("ant", "bee"), 0.5, counts)})()
    assert list(confusion_table(detail).folding) == [0, 3, 1, 2]
    assert list(TableOf(["a", "b", "c"], [False, True, True], []).folding) == [0, 2, 1]
