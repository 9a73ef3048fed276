"""From a sweep and a data set to the list of trials: which config each really has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agropest import files
from agropest.errors import DataError, EnvironmentFault, SweepFileError, fault, named_once
from agropest.modeling.config import FCOS, RETINANET
from agropest.sweep.consistency import refuse_inconsistent
from agropest.sweep.detectron2_keys import FlatConfig, default_config
from agropest.sweep.frameworks.command import COMPARED, command_config, is_command, refuse_impossible
from agropest.sweep.sections.derived.evaluations import BEST
from agropest.sweep.sections.derived.extensions import not_prolonged
from agropest.sweep.sections.search import PBT
from agropest.sweep.spec import SweepSpec, Variant
from agropest.sweep.stages.training import is_evaluation_key, training_version
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec, weights_identity
from agropest.sweep.unsupported import refuse_not_done, refuse_replaced
from agropest.sweep.user_code import code_identity

WEIGHTS = ("MODEL.WEIGHTS", "MODEL.TIMM.WEIGHTS")
FITTED = "MODEL.ANCHOR_GENERATOR.FITTED"
GIVEN_ANCHORS = ("MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS")
NUM_CLASSES = ("MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.RETINANET.NUM_CLASSES")

FitAnchors = Callable[[FlatConfig, int, str], FlatConfig]


def expand_trials(
    spec: SweepSpec,
    fingerprint: str,
    class_names: Sequence[str],
    fit_anchors: FitAnchors | None = None,
    other_fingerprints: Mapping[str, str] | None = None,
) -> list[TrialSpec]:
    """Returns one trial for every variant and seed, variants in the file's order, the baseline's first.

    Args:
        spec: the sweep.
        fingerprint: of the data set.
        class_names: of the data set; their number is the model's.
        fit_anchors: returns the anchor keys that ``MODEL.ANCHOR_GENERATOR.FITTED`` comes to, from an effective config,
            the number of sizes for each level, and where it stands (``agropest.data.anchors.fitted.fitted_anchors``).
        other_fingerprints: of what variants train on that is not the whole training split, by its words
            (:meth:`TrainingSelection.in_words`).

    Raises:
        SweepFileError: an effective config cannot be trained (all such faults at once).
        EnvironmentFault: initial weights are named that are not there.
    """
    faults: list[str] = []
    trained = [variant for variant in spec.variants if not variant.source]
    configs = {variant.name: effective_config(spec, variant, len(class_names)) for variant in trained}
    for variant in trained:
        _refuse_contradictions(spec, variant, configs[variant.name], len(class_names), faults)
        _fit_anchors(configs[variant.name], f"{spec.path}: {variant.name}", fit_anchors, faults)
        _check(configs[variant.name], f"{spec.path}: {variant.name}", faults)
        processes = (variant.resources or spec.resources).processes
        if variant.command is not None:
            resources, folder = variant.resources or spec.resources, spec.path.parent
            where = f"{spec.path}: {variant.name}"
            refuse_impossible(variant.command, variant.overrides, resources, folder, where, faults)
        refuse_inconsistent(configs[variant.name], processes, f"{spec.path}: {variant.name}", faults)
    for variant in trained:
        if variant.extends:
            where = f"{spec.path}: extend.{variant.extends}"
            faults += not_prolonged(configs[variant.extends], configs[variant.name], where)
        if spec.search.method == PBT and configs[variant.name]["TEST.PATIENCE"]:
            where, rule = f"{spec.path}: {variant.name}: TEST.PATIENCE", "expected 0 with search.method pbt"
            fix = "take it out: a member's training ends with its generation"
            faults.append(fault(where, rule, configs[variant.name]["TEST.PATIENCE"], fix))
    if faults:
        raise SweepFileError(*_said_once(spec, faults))
    weights = {variant.name: _weights(spec, variant, configs[variant.name], faults) for variant in trained}
    if faults:
        raise EnvironmentFault(*_said_once(spec, faults))
    for variant in spec.variants:
        if variant.source:
            configs[variant.name] = _evaluated_config(spec, variant, configs[variant.source])
    baseline = configs[spec.baseline]
    fingerprints = other_fingerprints or {}
    if faults := _without_checkpoint(spec, configs):
        raise SweepFileError(*faults)
    ordered = sorted(spec.variants, key=lambda variant: variant.name != spec.baseline)
    return [
        TrialSpec(
            label=variant.name,
            seed=seed,
            config={**configs[variant.name], "SEED": seed},
            data=fingerprints.get(variant.training.in_words(), fingerprint),
            weights=weights[variant.source or variant.name],
            training_version=training_version(configs[variant.name]),
            overrides=_overrides(variant, baseline, configs[variant.name]),
            levels=variant.levels,
            resources=variant.resources or spec.resources,
            history=variant.history,
            segment_end=variant.segment_end,
            code=code_identity(configs[variant.name]),
            evaluates=_evaluates(spec, variant, configs),
        )
        for variant in ordered
        for seed in _seeds(spec, variant, configs[variant.name])
    ]


def effective_config(spec: SweepSpec, variant: Variant, num_classes: int) -> FlatConfig:
    """Returns every Detectron2 key with the value it has in ``variant``; the seed is still the default."""
    base = spec.base if variant.base is None else variant.base
    config = {**default_config(), **base, **spec.config, **variant.overrides, **spec.pinned}
    if variant.command is not None:
        config = command_config(variant.command, spec.path.parent, config, num_classes)
    for key in WEIGHTS:
        if config[key] and "://" not in config[key]:  # as everywhere in a sweep file: relative to that file
            from_file = (spec.path.parent / files.without_tilde(config[key])).resolve()
            if key in spec.pinned or not files.is_file(from_file):
                from_file = files.without_tilde(config[key]).resolve()
            config[key] = str(from_file)
    return {
        **config,
        **dict.fromkeys(NUM_CLASSES, num_classes),
        "DATASETS.TRAIN": [variant.training.in_words()],
        "DATASETS.TEST": ["valid"],
        "OUTPUT_DIR": "",
    }


def differences(baseline: Mapping[str, Any], config: Mapping[str, Any]) -> FlatConfig:
    """Returns the keys of ``config`` whose value is not the baseline's; of a command, those that it obeys or is."""
    compared = COMPARED if is_command(config) or is_command(baseline) else config
    return {key: config[key] for key in compared if key in config and baseline.get(key) != config[key]}


def _seeds(spec: SweepSpec, variant: Variant, config: FlatConfig) -> Sequence[int]:
    """Returns a variant's seeds; of weights that are not trained here one, because another changes nothing."""
    seeds = variant.seeds or spec.seeds
    return seeds if config["SOLVER.MAX_ITER"] else seeds[:1]


def _evaluated_config(spec: SweepSpec, variant: Variant, source: FlatConfig) -> FlatConfig:
    """Returns the source's config, which may hold fitted anchors, with the variant's settings of evaluation."""
    changed = {key: value for key, value in variant.overrides.items() if is_evaluation_key(key)}
    return {**source, **{key: value for key, value in changed.items() if key not in spec.pinned}}


def _evaluates(spec: SweepSpec, variant: Variant, configs: Mapping[str, FlatConfig]) -> EvaluatedCheckpoint | None:
    """Returns which checkpoint a variant evaluates; None for one that is trained."""
    if not variant.source:
        return None
    choice = f"{BEST} {spec.metric}" if variant.checkpoint == BEST else variant.checkpoint
    own, theirs = configs[variant.name], configs[variant.source]
    return EvaluatedCheckpoint(variant.source, choice, {key: theirs[key] for key in own if own[key] != theirs[key]})


def _without_checkpoint(spec: SweepSpec, configs: Mapping[str, FlatConfig]) -> list[str]:
    """Returns a fault for every checkpoint that an evaluation names and its training will not have."""
    faults = []
    for variant in spec.variants:
        if variant.checkpoint.isdecimal():
            its = TrialSpec(variant.source, 0, configs[variant.source], "").evaluation_iters
            if int(variant.checkpoint) not in its:
                shown = ", ".join(map(str, its[:10])) + (", ..." if len(its) > 10 else "")
                rule = f"expected an iteration at which {variant.source} is evaluated ({shown})"
                where, fix = f"{spec.path}: {variant.name}: checkpoint", "name one of these, or last"
                faults.append(fault(where, rule, variant.checkpoint, fix))
    return faults


def _overrides(variant: Variant, baseline: FlatConfig, config: FlatConfig) -> FlatConfig:
    """Returns what differs from the baseline, for people; another checkpoint among it."""
    choice = {"checkpoint": variant.checkpoint} if variant.checkpoint not in ("", BEST) else {}
    return {**differences(baseline, config), **choice}


def _refuse_contradictions(
    spec: SweepSpec, variant: Variant, config: FlatConfig, num_classes: int, faults: list[str]
) -> None:
    """Adds what the sweep says and the plan would silently replace. (A base config's 80 classes are everybody's.)"""
    layers = ((spec.config, "config"), (variant.overrides, variant.name), (spec.pinned, "--set"))
    refuse_replaced(layers, spec.path, faults)
    for layer, where in layers:
        for key in NUM_CLASSES:
            if layer.get(key, num_classes) != num_classes:
                rule = f"expected the data's number of classes, {num_classes}"
                faults.append(
                    fault(f"{spec.path}: {where}: {key}", rule, layer[key], "leave it out: it comes from the data")
                )
        if "SEED" in layer:
            rule, fix = "expected the seeds of the sweep instead", f"write seeds: [{layer['SEED']}]"
            faults.append(fault(f"{spec.path}: {where}: SEED", rule, layer["SEED"], fix))
        for key in GIVEN_ANCHORS if config[FITTED] and where != "config" and FITTED not in layer else ():
            if key in layer:
                rule, fix = f"expected either it or {FITTED}", f"set {FITTED}: 0 beside it"
                faults.append(fault(f"{spec.path}: {where}: {key}", rule, layer[key], fix))
    faults[:] = dict.fromkeys(faults)  # config and --set are looked at once for each variant


def _fit_anchors(config: FlatConfig, where: str, fit: FitAnchors | None, faults: list[str]) -> None:
    """Puts fitted anchors into ``config`` where it asks for them."""
    per_level = config[FITTED]
    if not per_level:
        return
    config[FITTED] = 0
    if fit is None:
        fix = "give MODEL.ANCHOR_GENERATOR.SIZES"
        faults.append(fault(f"{where}: {FITTED}", "expected a data set to fit to", per_level, fix))
        return
    try:
        config.update(fit(config, per_level, where))
    except DataError as error:
        faults += error.faults


def _said_once(spec: SweepSpec, faults: Sequence[str]) -> list[str]:
    """Returns the faults, one that several variants share once for all of them."""
    labels = [variant.name for variant in spec.variants]
    split: list[tuple[str, str]] = []
    others = []
    for line in faults:
        name, separator, text = line.removeprefix(f"{spec.path}: ").partition(": ")
        if separator and name in labels and line.startswith(f"{spec.path}: "):
            split.append((name, text))
        else:
            others.append(line)
    return [*others, *(f"{spec.path}: {line}" for line in named_once(split, labels, "every variant"))]


def _weights(spec: SweepSpec, variant: Variant, config: FlatConfig, faults: list[str]) -> str:
    try:
        return weights_identity(*(config[key] for key in WEIGHTS))
    except EnvironmentFault as error:
        faults += [f"{spec.path}: {variant.name}: {text}" for text in error.faults]
        return ""


def _check(config: FlatConfig, where: str, faults: list[str]) -> None:
    """Adds what no trainer could run: these would fail every trial, hours later or at once."""

    def refuse(key: str, rule: str, fix: str) -> None:
        faults.append(fault(f"{where}: {key}", rule, config[key], fix))

    if config["SOLVER.MAX_ITER"] < 0:
        refuse("SOLVER.MAX_ITER", "expected 0 (MODEL.WEIGHTS as they are) or more", "give a positive number")
    if config["SOLVER.MAX_ITER"] == 0 and not config["MODEL.WEIGHTS"]:
        refuse("MODEL.WEIGHTS", "expected weights to evaluate with SOLVER.MAX_ITER 0", "give a checkpoint file")
    if config["SOLVER.MAX_ITER"] == 0 and config["SOLVER.EMA.ENABLED"]:
        refuse("SOLVER.EMA.ENABLED", "expected false with SOLVER.MAX_ITER 0", "no average is trained; set it to false")
    for key in ("SOLVER.CHECKPOINT_PERIOD", "INPUT.MAX_SIZE_TRAIN", "INPUT.MAX_SIZE_TEST"):
        if config[key] < 1:
            refuse(key, "expected at least 1", "give a positive number")
    if not config["INPUT.MIN_SIZE_TRAIN"]:
        refuse("INPUT.MIN_SIZE_TRAIN", "expected at least one size", "give e.g. [640, 672, 704, 736, 768, 800]")
    if config["SOLVER.BASE_LR"] <= 0:
        refuse("SOLVER.BASE_LR", "expected a number above 0", "a usual value is 0.001 to 0.02")
    if config["TEST.EVAL_PERIOD"] < 0:
        refuse("TEST.EVAL_PERIOD", "expected 0 (only at the end) or more", "a tenth of SOLVER.MAX_ITER is usual")
    refuse_not_done(config, where, faults)
    _check_anchors(config, refuse)


def _check_anchors(config: FlatConfig, refuse: Any) -> None:
    """Detectron2's rule: one list for all FPN levels or one per level, with equally many anchors in each."""
    if config["MODEL.META_ARCHITECTURE"] == FCOS:  # it has none
        return
    is_retinanet = config["MODEL.META_ARCHITECTURE"] == RETINANET
    levels = "MODEL.RETINANET.IN_FEATURES" if is_retinanet else "MODEL.RPN.IN_FEATURES"
    num_levels = len(config[levels])
    for key in ("MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"):
        lists = config[key]
        good = all(isinstance(item, list) and item and all(_positive(n) for n in item) for item in lists)
        if not lists or not good:
            refuse(key, "expected lists of positive numbers", "write e.g. [[32], [64], [128], [256], [512]]")
        elif len(lists) not in (1, num_levels) or len({len(item) for item in lists}) != 1:
            lengths = [len(item) for item in lists]
            rule = f"expected 1 or {num_levels} lists of equal length (got lengths {lengths})"
            refuse(key, rule, f"give every level of {levels} the same number of them (Detectron2's head needs it)")


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
