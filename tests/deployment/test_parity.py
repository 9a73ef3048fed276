"""Two runs of one model: equal, apart, and what may be in one alone."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.deployment.parity import Found, Parity, compare_found


def found(*boxes: tuple[float, float, int]) -> Found:
    """Boxes of 10 px at x, with score and class."""
    corners = np.array([[x, 0, x + 10, 10] for x, _, _ in boxes], dtype=np.float32).reshape(-1, 4)
    return Found(corners, np.array([s for _, s, _ in boxes]), np.array([c for _, _, c in boxes], dtype=np.int64))


def test_the_same_boxes_in_another_order_are_equal() -> None:
    parity = compare_found(found((0, 0.9, 1), (50, 0.8, 2)), found((50, 0.8, 2), (0, 0.9, 1)), 0.05, 100, 1e-4)
    assert parity == Parity(2, 0.0, 0.0, 0, 60.0)
    assert parity.holds(1e-4)


def test_the_largest_difference_counts() -> None:
    parity = compare_found(found((0, 0.9, 1), (50, 0.8, 2)), found((0.25, 0.9, 1), (50, 0.7, 2)), 0.05, 100, 1e-4)
    assert (parity.box_px, parity.score) == (pytest.approx(0.25), pytest.approx(0.1))
    assert not parity.holds(1e-2)
    assert "0.2" in parity.in_words()


def test_large_coordinates_may_be_as_far_apart_as_float32_tells_them() -> None:
    apart = np.float32(np.spacing(np.float32(1200)) * 4)  # 4.9e-4 px
    small, large = (compare_found(found((x, 0.9, 1)), found((x + apart, 0.9, 1)), 0.05, 100, 1e-4) for x in (20, 1200))
    assert small.box_px == pytest.approx(large.box_px, rel=0.01)
    assert (small.holds(1e-4), large.holds(1e-4)) == (False, True)
    beyond = compare_found(found((1200, 0.9, 1)), found((1200.002, 0.9, 1)), 0.05, 100, 1e-4)
    assert not beyond.holds(1e-4)


@pytest.mark.parametrize("other", [found(), found((0, 0.9, 2)), found((5, 0.9, 1))])
def test_a_box_without_its_like_is_a_difference(other: Found) -> None:
    parity = compare_found(found((0, 0.9, 1)), other, 0.05, 100, 1e-4)
    assert parity.unmatched == 1 + len(other.scores)
    assert not parity.holds(100.0)


def test_a_box_at_the_lowest_score_may_be_in_one_alone() -> None:
    assert compare_found(found((0, 0.05005, 1)), found(), 0.05, 100, 1e-4).unmatched == 0
    assert compare_found(found((0, 0.0502, 1)), found(), 0.05, 100, 1e-4).unmatched == 1


def test_the_last_of_as_many_as_are_kept_may_be_another() -> None:
    one, other = found((0, 0.9, 1), (20, 0.3, 1)), found((0, 0.9, 1), (40, 0.3, 1))
    assert compare_found(one, other, 0.05, 2, 1e-4).unmatched == 0
    assert compare_found(one, other, 0.05, 3, 1e-4).unmatched == 2


def test_pictures_add_up() -> None:
    assert Parity(2, 0.1, 0.0, 1) + Parity(3, 0.0, 0.2, 0) == Parity(5, 0.1, 0.2, 1)
