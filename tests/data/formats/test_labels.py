from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agropest.data.formats.labels import corners_in, fit_box, read_label_line, read_lines

W, H = 200, 100


@pytest.mark.parametrize(
    ("line", "category", "bbox"),
    [
        ("1 0.5 0.5 0.2 0.4", 1, (80, 30, 40, 40)),
        ("0\t0.5\t0.5  0.2 0.4", 0, (80, 30, 40, 40)),
        ("0 5e-1 .5 2E-1 0.4", 0, (80, 30, 40, 40)),
        ("0 +0.5 0.5 0.2 0.4", 0, (80, 30, 40, 40)),
        ("0 0.5 0.5 1 1", 0, (0, 0, 200, 100)),
        ("0 0.5000001 0.5 1 1", 0, (0, 0, 200, 100)),
        ("0 0.504 0.5 1 1", 0, (0.8, 0, 199.2, 100)),  # 0.8 px over the border: a rounding
    ],
)
def test_a_good_line_is_taken_without_a_remark(line: str, category: int, bbox: tuple[float, ...]) -> None:
    box, remarks, _ = read_label_line(line, 2, W, H)
    assert box is not None
    assert (box.class_index, remarks) == (category, [])
    assert box.bbox_xywh == pytest.approx(bbox, abs=1e-3)


@pytest.mark.parametrize(
    ("line", "bbox", "rule", "action"),
    [
        ("0 0.1 0.1 0.9 0.1 0.9 0.6 0.1 0.6", (20, 10, 160, 50), "polygon", "kept"),
        ("0 0.1 0.1 0.9 0.1 0.5 0.6", (20, 10, 160, 50), "polygon", "kept"),
        ("0 0.5 0.5 0.2 0.4 0.93", (80, 30, 40, 40), "sixth-column", "kept"),
        ("1.0 0.5 0.5 0.2 0.4", (80, 30, 40, 40), "class-as-decimal", "kept"),
        ("0 0.0 0.5 0.2 0.4", (0, 30, 20, 40), "over-border", "clipped"),
        ("0 1.0 1.0 0.2 0.4", (180, 80, 20, 20), "over-border", "clipped"),
    ],
)
def test_a_line_that_is_taken_otherwise_says_so(line: str, bbox: tuple[float, ...], rule: str, action: str) -> None:
    box, remarks, _ = read_label_line(line, 2, W, H)
    assert box is not None
    assert box.bbox_xywh == pytest.approx(bbox, abs=1e-3)
    assert [(remark.rule, remark.action) for remark in remarks] == [(rule, action)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("0 0.5 0.5 0.2", "columns"),
        ("0", "columns"),
        ("0 0.1 0.1 0.9 0.1 0.9 0.6 0.1", "columns"),
        ("2 0.5 0.5 0.2 0.4", "class-out-of-range"),
        ("-1 0.5 0.5 0.2 0.4", "class-out-of-range"),
        ("1e300 0.5 0.5 0.2 0.4", "class-out-of-range"),
        ("0.5 0.5 0.5 0.2 0.4", "class-fractional"),
        ("1e999 0.5 0.5 0.2 0.4", "class-fractional"),
        ("Ants 0.5 0.5 0.2 0.4", "class-not-a-number"),
        ("nan 0.5 0.5 0.2 0.4", "class-not-a-number"),
        ("0 0.5 0.5 0.2 0,4", "not-a-number"),
        ("0 0.5 0.5 0.2 0x1", "not-a-number"),
        ("0 0.5 0.5 0.2 1_0", "not-a-number"),
        ("0 0.5 0.5 nan 0.4", "not-finite"),
        ("0 0.5 -inf 0.2 0.4", "not-finite"),
        ("0 0.5 0.5 0.2 1e999", "not-finite"),
        ("0 100 50 40 40", "not-normalised"),
        ("0 0.5 0.5 0 0.4", "no-size"),
        ("0 0.5 0.5 0.2 0", "no-size"),
        ("0 0.5 0.5 -0.2 0.4", "no-size"),
        ("0 0.2 0.1 0.2 0.5 0.2 0.9", "no-size"),
        ("0 0.5 0.5 0.004 0.4", "sub-pixel"),
        ("0 1.5 0.5 0.2 0.4", "outside"),
        ("0 0.5 -0.5 0.2 0.4", "outside"),
        ("0 1.098 0.5 0.2 0.4", "sub-pixel"),  # 0.4 px of it are inside
    ],
)
def test_a_bad_line_is_dropped_for_its_reason(line: str, rule: str) -> None:
    box, remarks, _ = read_label_line(line, 2, W, H)
    assert box is None
    assert remarks[-1].rule == rule
    assert remarks[-1].action == "dropped"


def test_lines_are_read_as_editors_write_them() -> None:
    content = b"\xef\xbb\xbf0 1\r\n\r\n  \t\n1 2\r2 3\n\xff\xfe\n"
    assert list(read_lines(content)) == [(1, "0 1"), (4, "1 2"), (5, "2 3"), (6, "\ufffd\ufffd")]
    assert list(read_lines(b"")) == []


def test_a_remark_tells_the_corners_it_is_about() -> None:
    _, remarks = fit_box((-10.0, 20.0, 50.5, 60.25), W, H)
    assert corners_in(remarks[0].detail) == (-10.0, 20.0, 50.5, 60.25)
    assert corners_in("no such file") is None


NUMBERS = st.one_of(
    st.floats(-0.5, 1.5).map(str),
    st.floats().map(str),
    st.sampled_from(["0", "1", "-1", "1.0", "nan", "inf", "1e999", "Ants", "1,5", "0x1", "٣", "", "½"]),
    st.text(max_size=5),
)


@given(
    words=st.lists(NUMBERS, max_size=12),
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    num_classes=st.integers(1, 3),
)
@example(words=["0", "0.5", "0.5", "1", "1"], width=1, height=1, num_classes=1)
@example(words=["0", "0.99999999999", "0.5", "0.5", "1e-9"], width=4000, height=4000, num_classes=1)
def test_any_line_gives_a_valid_box_or_a_reason(words: list[str], width: int, height: int, num_classes: int) -> None:
    line = " ".join(words)
    box, remarks, _ = read_label_line(line, num_classes, width, height)
    if box is None:
        assert remarks
        assert remarks[-1].action == "dropped"
        return
    x, y, w, h = box.bbox_xywh
    assert all(map(math.isfinite, (x, y, w, h)))
    assert 0 <= x <= x + w <= width + 1e-9
    assert 0 <= y <= y + h <= height + 1e-9
    assert w > 0.99
    assert h > 0.99
    assert 0 <= box.class_index < num_classes
    assert all(remark.action in ("kept", "clipped") for remark in remarks)
    json.dumps([box.bbox_xywh, [remark.detail for remark in remarks]], allow_nan=False).encode()


@given(st.binary(max_size=400))
def test_any_bytes_are_lines(content: bytes) -> None:
    for number, line in read_lines(content):
        assert number >= 1
        assert line.strip() == line != ""
        read_label_line(line, 3, 64, 64)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.02, 1), st.floats(0.02, 1))
def test_what_lies_inside_is_taken_to_a_hundredth_of_a_pixel(cx: float, cy: float, w: float, h: float) -> None:
    w, h = min(w, 2 * cx, 2 - 2 * cx), min(h, 2 * cy, 2 - 2 * cy)
    box, _, _ = read_label_line(f"0 {cx:.10f} {cy:.10f} {w:.10f} {h:.10f}", 1, 640, 480)
    if w * 640 > 1.001 and h * 480 > 1.001:
        assert box is not None
        expected = ((cx - w / 2) * 640, (cy - h / 2) * 480, w * 640, h * 480)
        assert box.bbox_xywh == pytest.approx(expected, abs=0.01)
