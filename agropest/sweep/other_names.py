"""Words of other tools for settings that are called otherwise here."""

from __future__ import annotations

from collections.abc import Iterable

from agropest.errors import nearest

OTHER_NAMES = {
    "lr": "SOLVER.BASE_LR",
    "lr0": "SOLVER.BASE_LR",
    "learning_rate": "SOLVER.BASE_LR",
    "batch": "SOLVER.IMS_PER_BATCH",
    "batch_size": "SOLVER.IMS_PER_BATCH",
    "epochs": "SOLVER.MAX_ITER",
    "iterations": "SOLVER.MAX_ITER",
    "max_iter": "SOLVER.MAX_ITER",
    "momentum": "SOLVER.MOMENTUM",
    "weight_decay": "SOLVER.WEIGHT_DECAY",
    "warmup": "SOLVER.WARMUP_ITERS",
    "warmup_epochs": "SOLVER.WARMUP_ITERS",
    "amp": "SOLVER.AMP.ENABLED",
    "ema": "SOLVER.EMA.ENABLED",
    "imgsz": "INPUT.MIN_SIZE_TRAIN",
    "image_size": "INPUT.MIN_SIZE_TRAIN",
    "weights": "MODEL.WEIGHTS",
    "backbone": "MODEL.BACKBONE.NAME",
    "anchors": "MODEL.ANCHOR_GENERATOR.SIZES",
    "conf": "TEST.DEPLOYED_SCORE_THRESH",
    "score_threshold": "TEST.DEPLOYED_SCORE_THRESH",
    "sampler": "DATALOADER.SAMPLER_TRAIN",
    "workers": "resources.loader_workers",
    "seed": "seeds",
}

# What another unit or another kind of value would make wrong of the same word.
NOTES = {
    "epochs": "in iterations",
    "warmup_epochs": "in iterations",
    "imgsz": "a list, such as [640]",
    "image_size": "a list, such as [640]",
    "seed": "a list, such as [42]",
    "anchors": "a list of lists, in pixels",
    "amp": "true or false",
    "ema": "true or false",
    "conf": "from 0 to 1",
    "score_threshold": "from 0 to 1",
    "backbone": "docs/variants.md has the names",
}


def nearest_setting(word: str, known: Iterable[str]) -> str:
    """Returns what a word of another tool is called here, or the nearest known word."""
    name, note = OTHER_NAMES.get(word.lower()), NOTES.get(word.lower())
    if not name:
        return nearest(word, known)
    return f"did you mean '{name}'" + (f" ({note})?" if note else "?")
