"""docs/variants.md: its tables are the code's, and its examples work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from agropest.modeling.build import build
from agropest.modeling.config import SAMPLERS, loss_names
from agropest.sweep.detectron2_keys import checked

PAGE = (Path(__file__).parents[2] / "docs" / "variants.md").read_text(encoding="utf-8")
SHOWN = {"empty": ("", []), "false": (False,), "true": (True,), "0.9, 0.999": ([0.9, 0.999],)}


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_has_every_added_key_with_its_default(added: dict[str, Any]) -> None:
    rows = dict(re.findall(r"^\| `([A-Z_.]+)` \| ([^|]+) \|[^|\n]+\|[^|\n]+\|$", PAGE, re.MULTILINE))
    assert set(rows) == set(added)
    for key, text in rows.items():
        shown = text.strip().strip("`")
        assert added[key] in SHOWN.get(shown, (shown,)) or float(shown) == added[key], key


def test_samplers_and_losses_are_all_named() -> None:
    assert re.findall(r"^\| `([A-Za-z]+Sampler)` \|", PAGE, re.MULTILINE) == list(SAMPLERS)
    assert all(f"`{name}`" in PAGE for name in loss_names())


def test_every_variant_is_valid() -> None:
    pages = [yaml.safe_load(text)["variants"] for text in examples("yaml")]
    assert [len(variants) for variants in pages] == [4, 1]
    faults: list[str] = []
    for variants in pages:
        for name, overrides in variants.items():
            checked(overrides, name, faults)
    assert faults == []


def test_the_loss_of_the_page_is_one() -> None:
    namespace: dict[str, Any] = {}
    exec(examples("python")[0], namespace)
    assert namespace["SCORES"] in ("softmax", "sigmoid")
    loss = namespace["loss"](torch.zeros(2, 2), torch.tensor([0, 1]), SimpleNamespace())
    assert loss.item() == pytest.approx(0.6931472, abs=1e-6)  # ln 2
    assert namespace["loss"](torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), SimpleNamespace()).item() == 0


def test_the_backbone_of_the_page_is_built(make_cfg: Callable[..., Any]) -> None:
    exec(examples("python")[1], {})
    model = build(make_cfg("MODEL.BACKBONE.NAME", "build_my_backbone", "MODEL.FPN.IN_FEATURES", []))
    assert sorted(model.backbone.output_shape()) == ["p2", "p3", "p4", "p5", "p6"]
