"""Detectron2 keys that a trial does not obey: what a sweep sets there is refused, and never replaced in silence.

A base config may say anything in the keys of :data:`REPLACED`: every config of Detectron2's zoo names COCO's data sets.
What it switches on of :data:`NOT_DONE` is refused wherever it comes from, because the trial would be another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agropest.errors import fault
from agropest.sweep.detectron2_keys import FlatConfig, default_config

# Key, or a prefix that ends with a dot, to where the same is said instead.
REPLACED = {
    "DATASETS.": "write `data:` in the sweep file, or give --data",
    "OUTPUT_DIR": "give --results: every trial has its folder there",
    "MODEL.DEVICE": "write `resources: {gpus: 1}` for a card, 0 for the CPU",
    "DATALOADER.NUM_WORKERS": "write `resources: {loader_workers: 2}`",
    "VIS_PERIOD": "take it out: the page shows the boxes of every evaluation",
    "SOLVER.REFERENCE_WORLD_SIZE": "take it out: batch and rate are the whole trial's, however many processes it has",
    "TEST.EXPECTED_RESULTS": "take it out: `guard:` and `reference:` hold results against expected ones",
}
# Key to what the trial would lack; each is off by default.
NOT_DONE = {
    "MODEL.MASK_ON": "boxes alone are trained on and evaluated; MODEL.MASK_ON: false trains a Mask R-CNN's box branch",
    "MODEL.KEYPOINT_ON": "no key points are read, trained on or evaluated; set it to false",
    "MODEL.LOAD_PROPOSALS": "no precomputed proposals are read; set it to false",
    "TEST.PRECISE_BN.ENABLED": "no statistics are estimated anew before an evaluation; set it to false",
}


def refuse_replaced(layers: Iterable[tuple[Mapping[str, Any], str]], path: object, faults: list[str]) -> None:
    """Adds a fault for every key of a sweep that would not be used, unless it says what Detectron2 does anyway.

    Args:
        layers: the keys that a sweep gives, each with where they stand.
        path: of the sweep file.
        faults: is extended.
    """
    for layer, where in layers:
        for key, value in layer.items():
            name = next((name for name in REPLACED if key == name or (name[-1] == "." and key.startswith(name))), None)
            if name is not None and value != default_config()[key]:
                rule = "expected a key that decides something here"
                faults.append(fault(f"{path}: {where}: {key}", rule, value, REPLACED[name]))


def refuse_not_done(config: FlatConfig, where: str, faults: list[str]) -> None:
    """Adds a fault for everything that an effective config switches on and no trial does."""
    for key, lacks in NOT_DONE.items():
        if config.get(key):
            faults.append(fault(f"{where}: {key}", "expected false", config[key], lacks))
