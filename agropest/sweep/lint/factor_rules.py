"""Which factor a Detectron2 key belongs to, and the rules that hold the factors of variants against one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agropest.sweep.factors import APPLIED
from agropest.sweep.lint.subject import Subject
from agropest.sweep.plan import WEIGHTS
from agropest.sweep.trial import NOT_IDENTITY, TrialSpec

# Keys that are one factor together, because one cannot be changed sensibly without the others: a cascade needs boxes
# that are regressed alike for all classes, a longer training later steps, a larger batch another learning rate, a
# backbone its own weights and pixel statistics. Any other key is a factor by its first two parts.
FACTORS = {
    "MODEL.ANCHOR_GENERATOR": "anchors",
    "MODEL.ROI_BOX_HEAD.CLS_LOSS": "classification loss",
    "MODEL.ROI_BOX_HEAD.FOCAL_": "classification loss",
    "MODEL.ROI_BOX_HEAD.PRIOR_PROB": "classification loss",
    "MODEL.ROI_BOX_HEAD.CLASS_WEIGHTS": "classification loss",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_": "box loss",
    "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": "box loss",
    "MODEL.ROI_BOX_HEAD": "box head",
    "MODEL.ROI_BOX_CASCADE_HEAD": "box head",
    "MODEL.ROI_HEADS.NAME": "box head",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": "score threshold",
    "MODEL.RETINANET.SCORE_THRESH_TEST": "score threshold",
    "MODEL.WEIGHTS": "backbone",
    "MODEL.BACKBONE": "backbone",
    "MODEL.RESNETS": "backbone",
    "MODEL.TIMM": "backbone",
    "MODEL.FPN": "backbone",
    "MODEL.PIXEL": "backbone",
    "INPUT.FORMAT": "backbone",
    "INPUT.MIN_SIZE_TRAIN": "train scales",
    "INPUT.MAX_SIZE_TRAIN": "train scales",
    "INPUT.MIN_SIZE_TEST": "test scale",
    "INPUT.MAX_SIZE_TEST": "test scale",
    "INPUT.PHOTOMETRIC": "photometric changes",
    "INPUT.ROTATION_DEGREES": "rotation",
    "INPUT.CROP": "crop",
    "INPUT.COPY_PASTE": "copy-paste",
    "INPUT.RANDOM_FLIP": "flip",
    "TEST.AUG": "test-time augmentation",
    "TEST.EVAL_PERIOD": "schedule",
    "DATASETS.TRAIN": "training pictures",
    "DATALOADER.SAMPLER_TRAIN": "sampler",
    "DATALOADER.REPEAT_": "sampler",
    "DATALOADER.ASPECT_RATIO_GROUPING": "aspect-ratio grouping",
    "SOLVER": "schedule",
    "SOLVER.AMP": "mixed precision",
    "SOLVER.CLIP_GRADIENTS": "gradient clipping",
    "SOLVER.EMA": "weight averaging",
    "SOLVER.OPTIMIZER": "optimizer",
    "SOLVER.ADAMW_BETAS": "momentum",
    "SOLVER.MOMENTUM": "momentum",
    "SOLVER.NESTEROV": "momentum",
    "SOLVER.WEIGHT_DECAY": "weight decay",
}
ARCHITECTURE = "MODEL.META_ARCHITECTURE"
OPTIMIZER = "SOLVER.OPTIMIZER"
# What no two optimizers have alike: a rate, a decay and a momentum that suit the one do not suit the other.
OF_OPTIMIZER = frozenset(
    f"SOLVER.{name}"
    for name in ("OPTIMIZER", "BASE_LR", "WEIGHT_DECAY", "WEIGHT_DECAY_NORM", "MOMENTUM", "NESTEROV", "ADAMW_BETAS")
)
NO_FACTOR = NOT_IDENTITY.difference((*WEIGHTS, "DATASETS.TRAIN")) | {"SEED"}


def factor_of(key: str) -> str:
    """Returns the factor a Detectron2 key belongs to: the longest prefix in ``FACTORS``, or its first two parts."""
    fitting = [prefix for prefix in FACTORS if key.startswith(prefix)]
    return FACTORS[max(fitting, key=len)] if fitting else ".".join(key.split(".")[:2])


def factors_of(keys: Iterable[str]) -> list[str]:
    """Returns the factors that keys belong to, sorted, without those keys that decide no number.

    With another meta-architecture comes another model: all of its keys are one factor. With another optimizer come its
    rate, decay and momentum.
    """
    deciding = set(keys) - NO_FACTOR
    of_model = {key for key in deciding if key.startswith("MODEL.") and ARCHITECTURE in deciding}
    of_optimizer = deciding & OF_OPTIMIZER if OPTIMIZER in deciding else set()
    whole = {"architecture": of_model, "optimizer": of_optimizer}
    found = {factor_of(key) for key in deciding - of_model - of_optimizer}
    return sorted(found | {name for name, keys in whole.items() if keys})


def several_factors(subject: Subject) -> Iterator[str]:
    yield from _bundled_factors(subject)
    for trial in subject.written:
        factors = factors_of(trial.overrides)
        if len(factors) > 1 and not _each_alone(trial, subject):
            yield (
                f"{trial.label}: changes {len(factors)} factors of {subject.baseline.label}: {', '.join(factors)}; "
                "no factor's own effect can be known; vary one at a time, or use factors:"
            )


def _each_alone(trial: TrialSpec, subject: Subject) -> bool:
    """Returns whether other variants change each of a variant's factors alone, in the same way: a 2 x 2 by hand."""
    known = set()
    for other in subject.written:
        own = factors_of(other.overrides)
        if len(own) == 1 and all(trial.config.get(key) == value for key, value in other.overrides.items()):
            known |= {key for key in other.overrides if key not in NO_FACTOR}
    return {key for key in trial.overrides if key not in NO_FACTOR} <= known


def _bundled_factors(subject: Subject) -> Iterator[str]:
    """Levels of a design that change what are several factors by themselves, seen where such a level stands alone."""
    unapplied = (trial for trial in subject.variants if trial.levels and APPLIED not in trial.levels.values())
    base = next(unapplied, subject.baseline)
    for trial in subject.variants:
        applied = [name for name, level in trial.levels.items() if level == APPLIED]
        factors = factors_of(key for key, value in trial.config.items() if base.config.get(key) != value)
        if len(applied) == 1 and len(factors) > 1:
            yield (
                f"factors.{applied[0]}: applying it changes {len(factors)} factors at once: {', '.join(factors)}; the "
                "design cannot tell them apart; make each a factor of its own"
            )


def unequal_augmentation(subject: Subject) -> Iterator[str]:
    for trial in subject.written:
        ours, theirs = trial.config["TEST.AUG.ENABLED"], subject.baseline.config["TEST.AUG.ENABLED"]
        if ours != theirs and len(factors_of(trial.overrides)) > 1:
            has, lacks = ("has", "lacks") if ours else ("lacks", "has")
            yield (
                f"{trial.label}: {has} test-time augmentation, which {subject.baseline.label} {lacks}: its effect "
                "cannot be separated from that of the other changes"
            )
