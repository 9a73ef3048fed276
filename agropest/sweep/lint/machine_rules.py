"""Rules that hold the trials against the machine that the sweep is read on."""

from __future__ import annotations

from collections.abc import Iterator

from agropest.durations import duration
from agropest.sweep.lint.subject import Subject
from agropest.sweep.trial import TrialSpec

LARGE = 256  # channels of a ResNet's second stage from which it is no small model: R50 and up
# One training iteration of R50-FPN, 4 pictures of 800 x 1333 px, is some 2.3e12 operations, of which a core does some
# 5e10 a second.
TFLOP_AN_ITERATION, USUAL_PIXELS, TFLOPS_OF_A_CORE = 2.3, 4 * 800 * 1333, 0.05
LONG_S = 24 * 3600.0


def slow_on_cpu(subject: Subject) -> Iterator[str]:
    """Large models that train for more than a day on the cores that they get."""
    for trial in subject.variants:
        cores = subject.machine.num_cores if "cpus" in trial.resources.auto else trial.resources.num_threads
        seconds = _seconds_on_cpu(trial, cores)
        if trial.resources.gpus == 0 and not _may_get_gpu(trial, subject) and seconds > LONG_S:
            yield (
                f"{trial.label}: trains a large model on {cores} core{'s' if cores > 1 else ''}: about "
                f"{duration(seconds)} a training, by rule of thumb; use a GPU (resources: {{gpus: 1}}), or the small "
                "model of configs/demo.yaml"
            )


def idle_gpu(subject: Subject) -> Iterator[str]:
    """A GPU that no trial asks for."""
    cards = subject.machine.cards
    if cards and all(trial.resources.gpus == 0 and not _may_get_gpu(trial, subject) for trial in subject.trials):
        named = f"{cards[0].name}" if len(cards) == 1 else f"{len(cards)} GPUs ({cards[0].name}, ...)"
        yield f"no trial uses this machine's {named}: write resources: auto, or resources: {{gpus: 1}}"


def _may_get_gpu(trial: TrialSpec, subject: Subject) -> bool:
    return "gpus" in trial.resources.auto and bool(subject.machine.cards)


def _seconds_on_cpu(trial: TrialSpec, cores: int) -> float:
    """Returns what a training takes on so many cores, by rule of thumb; 0 for a small model."""
    config = trial.config
    if config["MODEL.RESNETS.DEPTH"] < 50 or config["MODEL.RESNETS.RES2_OUT_CHANNELS"] < LARGE:
        return 0.0
    if "resnet" not in config["MODEL.BACKBONE.NAME"]:
        return 0.0
    side = max(config["INPUT.MIN_SIZE_TRAIN"])
    pixels = config["SOLVER.IMS_PER_BATCH"] * side * min(config["INPUT.MAX_SIZE_TRAIN"], side * 4 / 3)
    per_iteration = TFLOP_AN_ITERATION * pixels / USUAL_PIXELS / (TFLOPS_OF_A_CORE * cores)
    return float(per_iteration * trial.max_iter)
