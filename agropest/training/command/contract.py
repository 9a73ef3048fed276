"""What a command gets, and what it leaves: the contract of docs/frameworks.md.

AGROPEST_TASK                 train, or predict: boxes of one split from the weights of one iteration
AGROPEST_OUTPUT               a folder of the trial's own; what is in it stays from one start to the next
AGROPEST_SEED                 of everything random
AGROPEST_ITERATIONS           to train
AGROPEST_EVALUATE_AT          iterations, ascending, with commas: those whose results are still to be written
AGROPEST_SPLIT, AGROPEST_ITERATION       of a prediction
AGROPEST_TRAIN_ANNOTATIONS, _TRAIN_IMAGES, _VALID_..., _TEST_...    COCO file and folder of each split
AGROPEST_NUM_CLASSES          of the data
AGROPEST_DEVICE               cpu or cuda
AGROPEST_THREADS              of the processor
AGROPEST_GPU_MEMORY_FRACTION  of the card that it may use

OUTPUT/valid-00000220.json    COCO results of an iteration, renamed to this when they are complete
OUTPUT/test-00000220.json     of a prediction
OUTPUT/progress.json          {"iteration": 130}, at any time
OUTPUT/best.json              from us: {"iteration": 220}, whose weights may be asked for
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext

TRAIN, PREDICT = "train", "predict"
PROGRESS, BEST = "progress.json", "best.json"


def results_name(split: str, iteration: int) -> str:
    """Returns the name of the results file of a split at an iteration."""
    return f"{split}-{iteration:08d}.json"


def training_environment(
    trial: TrialSpec, context: RunContext, output: Path, evaluate_at: Sequence[int]
) -> dict[str, str]:
    """Returns the environment of a training.

    The annotations of the test split are not in it: nothing is to be chosen by them.
    """
    named = {"TASK": TRAIN, "EVALUATE_AT": ",".join(map(str, evaluate_at))}
    splits = {name: paths for name, paths in context.splits.items() if name != "test"}
    return _environment(trial, context, output, named, splits)


def prediction_environment(
    trial: TrialSpec, context: RunContext, output: Path, split: str, iteration: int
) -> dict[str, str]:
    """Returns the environment of a prediction."""
    named = {"TASK": PREDICT, "SPLIT": split, "ITERATION": str(iteration)}
    return _environment(trial, context, output, named, context.splits)


def _environment(
    trial: TrialSpec,
    context: RunContext,
    output: Path,
    named: Mapping[str, str],
    splits: Mapping[str, tuple[Path, Path]],
) -> dict[str, str]:
    words = {
        **named,
        "OUTPUT": str(output),
        "SEED": str(trial.seed),
        "ITERATIONS": str(trial.max_iter),
        "NUM_CLASSES": str(trial.config["MODEL.ROI_HEADS.NUM_CLASSES"]),
        "DEVICE": context.device,
        "THREADS": str(context.num_threads),
        "GPU_MEMORY_FRACTION": str(context.gpu_memory_fraction or 1.0),
    }
    for split, (coco_file, folder) in splits.items():
        words |= {f"{split.upper()}_ANNOTATIONS": str(coco_file), f"{split.upper()}_IMAGES": str(folder)}
    ours = {f"AGROPEST_{key}": value for key, value in words.items()}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AGROPEST_")}
    return {**kept, "OMP_NUM_THREADS": str(context.num_threads), "PYTHONUNBUFFERED": "1", **ours}
