"""The added keys: stock defaults stay, every rule is about a key that is there, and no torch is needed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from agropest.modeling.config import CHOICES, RANGES, add_agropest_config, loss_names


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


@pytest.fixture
def stock() -> Any:
    from detectron2.config import get_cfg

    return get_cfg()


def test_every_stock_key_keeps_its_value(stock: Any, added: dict[str, Any]) -> None:
    before = flat(stock)
    add_agropest_config(stock)
    after = flat(stock)
    assert {key: after[key] for key in before} == before
    assert {key: after[key] for key in set(after) - set(before)} == added


def test_a_plain_yacs_config_takes_them_too(added: dict[str, Any]) -> None:
    from yacs.config import CfgNode

    plain = CfgNode({group: {} for group in ("MODEL", "INPUT", "SOLVER", "TEST")})
    plain.MODEL.ROI_BOX_HEAD, plain.MODEL.ANCHOR_GENERATOR = CfgNode(), CfgNode()
    add_agropest_config(plain)
    assert flat(plain) == added


def test_every_rule_is_of_a_key_whose_default_keeps_it(stock: Any) -> None:
    add_agropest_config(stock)
    defaults = flat(stock)
    assert CHOICES and RANGES
    for key, allowed in CHOICES.items():
        assert defaults[key] in allowed, key
    for key, (low, high) in RANGES.items():
        assert low <= defaults[key] <= high, key


def test_losses_are_found_by_their_files() -> None:
    assert loss_names() == ("cross_entropy", "sigmoid_focal", "softmax_focal", "weighted_cross_entropy")


def test_import_needs_neither_torch_nor_detectron2() -> None:
    code = "import sys, agropest.modeling.config; print([m for m in ('torch', 'detectron2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
