"""A sweep file as a value: :func:`load_sweep` reads, checks and returns it, or raises every fault at once.

    question: Which of the study's changes helps?      # shown above the tables
    data: ../data/agropest-12                          # relative to this file; --data overrides; or, drawn if missing:
    # data: {draw_demo: ../data/demo}
    # data: {v1: ../data/v1, v2: ../data/v2}           # several versions: sections/training_data.py
    # split: {valid: 0.15, seed: 0}                    # where the data set has no validation split
    base: ../configs/demo.yaml                         # Detectron2 config, relative to this file or from the model zoo
    config: {SOLVER.MAX_ITER: 300}                     # Detectron2 keys for every trial
    variants:
      baseline: {}
      focal: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}
      tenth: {data_fraction: 0.1}                      # of the training pictures
    evaluate:                                          # of finished trainings: sections/derived/evaluations.py
      nms0.3: {MODEL.ROI_HEADS.NMS_THRESH_TEST: 0.3}
    extend: {focal: 600}                               # sections/derived/extensions.py
    factors:                                           # instead of, or beside, variants (see agropest.sweep.factors)
      anchors: {MODEL.ANCHOR_GENERATOR.SIZES: [[8], [16], [32], [64], [128]]}
    design: full                                       # full: every combination; ablation: alone, all, all but one
    baseline: baseline
    seeds: {start: 2, most: 8, until: decided}         # the default here; or a list: sections/seed_rule.py
    indifference: 0.5                                  # smaller differences do not matter; 0: all do
    reference: ../results/reference/study.yaml         # published figures to show beside (see sections/reference.py)
    metric: AP                                         # what validation selects by
    (agropest.statistics.accuracy.metric) guard: {class: Ants, max_drop: 2}                  # marks variants that lose
    more than this of a class's AP search: {method: random, space: {SOLVER.BASE_LR: {loguniform: [1e-3, 1e-1]}}}    #
    see sections/search.py stop: race                                         # see sections/stop_rule.py; none with
    method: pbt budget: {max_hours: 8}                             # see sections/budget.py
    track: [mlflow]                                    # see sections/tracking.py
    resources: {cpus: 1, gpus: 0}                      # or auto (see sections/resources.py)
    retries: 2
    mirror: s3://bucket/path                           # the results folder is copied there, and brought back
    keep_checkpoints: best_and_last                    # evaluated: every evaluated one stays; none: none stays

Precedence: ``--set`` over variant over ``config`` over ``base`` over Detectron2's defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agropest import files
from agropest.data.set_apart import SetApart
from agropest.data.training_sets.selection import WHOLE, TrainingSelection
from agropest.errors import SweepFileError, fault, nearest
from agropest.readable import readable
from agropest.sweep.command_line.settings import apply_settings
from agropest.sweep.detectron2_keys import FlatConfig, checked, detectron2_folder, flatten, read_config_file
from agropest.sweep.factors import DESIGNS, combine, num_combinations
from agropest.sweep.frameworks.command import Command, read_command
from agropest.sweep.history import Segment
from agropest.sweep.sections.budget import Budget, read_budget
from agropest.sweep.sections.derived.variants import check_derived, with_derived
from agropest.sweep.sections.guard import Guard, read_guards
from agropest.sweep.sections.reference import Reference, read_reference
from agropest.sweep.sections.resources import Resources, read_max_concurrent, read_resources
from agropest.sweep.sections.search import MOST_VARIANTS, OPTUNA, PBT, RANDOM, SearchRule, drawn_variants, read_search
from agropest.sweep.sections.section import Section
from agropest.sweep.sections.seed_rule import SeedRule, read_seeds
from agropest.sweep.sections.stop_rule import ASHA, NONE, RACE, StopRule, read_stop
from agropest.sweep.sections.tracking import Tracker, read_trackers
from agropest.sweep.sections.training_data import DATA_FRACTION, crossed, read_data, read_fraction, read_split
from agropest.sweep.yaml_file import read_yaml

KEEP_BEST_AND_LAST, KEEP_EVALUATED, KEEP_NONE = "best_and_last", "evaluated", "none"
KEEP = (KEEP_BEST_AND_LAST, KEEP_EVALUATED, KEEP_NONE)
OWN_KEYS = ("resources", "base", "command", "files", DATA_FRACTION)  # of a variant
# What the results folder holds beside the sweeps' tables.
RESERVED_NAMES = ("aside", "data", "plans", "probes", "reference", "replicates", "stages", "trials")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,79}")
# What pandas and spreadsheets do not read as a word: 0.10 and 0.1 would become one variant, NA none at all.
NOT_A_WORD = re.compile(
    r"\d[\d.+=_-]*([eE][+-]?\d+)?|(?i:inf|infinity|true|false)|NA|NaN|nan|NULL|null|None",
)


@dataclass(frozen=True)
class Variant:
    """A named set of Detectron2 overrides.

    Attributes:
        overrides: dotted Detectron2 keys to values.
        levels: of a factorial sweep: which level each factor has ("base" where it is not applied).
        resources: where they differ from the sweep's.
        history: what its trials were trained with before; see ``TrialSpec``.
        segment_end: iteration that its trials end at; 0: the end of the schedule.
        seeds: where they differ from the sweep's; empty: the sweep's.
        base: a Detectron2 config in place of the sweep's; None: the sweep's.
        training: which training pictures.
        source: name of the variant whose trained weights it evaluates; empty: it is trained.
        checkpoint: of that variant, ``best``, ``last`` or an iteration.
        extends: name of the variant whose training it continues; empty: it starts from the initial weights.
        command: of another framework, which trains in place of Detectron2.
    """

    name: str
    overrides: Mapping[str, Any]
    levels: Mapping[str, str] = field(default_factory=dict)
    resources: Resources | None = None
    history: tuple[Segment, ...] = ()
    segment_end: int = 0
    seeds: tuple[int, ...] = ()
    base: FlatConfig | None = None
    training: TrainingSelection = WHOLE
    source: str = ""
    checkpoint: str = ""
    extends: str = ""
    command: Command | None = None


@dataclass(frozen=True)
class SweepSpec:
    """A checked sweep file. ``pinned`` are the Detectron2 keys given by ``--set``: they win over everything."""

    path: Path
    name: str
    question: str
    data: Path | None  # of the first version
    draws_demo: bool  # into `data`, where nothing is there yet
    base: FlatConfig
    config: FlatConfig
    pinned: FlatConfig
    variants: tuple[Variant, ...]
    baseline: str
    seeds: tuple[int, ...]
    metric: str
    stop: StopRule
    resources: Resources
    retries: int
    silence: tuple[str, ...] = ()
    design: str = ""
    guards: tuple[Guard, ...] = ()
    search: SearchRule = field(default_factory=SearchRule)
    budget: Budget = field(default_factory=Budget)
    track: tuple[Tracker, ...] = ()
    reference: Reference = field(default_factory=Reference)
    keep_checkpoints: str = KEEP_BEST_AND_LAST
    split: SetApart | None = None
    seed_rule: SeedRule = field(default_factory=SeedRule)
    indifference: float = 0.0
    max_concurrent: int = 0  # trials at a time; 0: as many as fit
    mirror: str = ""
    versions: Mapping[str, Path] = field(default_factory=dict)  # of the data; empty: there is one without a name

    @property
    def with_own_resources(self) -> frozenset[str]:
        """The variants whose resources the file says beside the sweep's."""
        return frozenset(variant.name for variant in self.variants if variant.resources is not None)

    @property
    def stopper(self) -> str:
        """Under what it is on record that this sweep, by its rule and metric, has stopped a trial early.

        Another baseline is another sweep in this: the trial that becomes the baseline is not to be stopped.
        """
        return f"{self.name}: {self.stop.identity}, by {self.metric}, baseline {self.baseline}"


def load_sweep(path: Path, settings: Sequence[str] = ()) -> SweepSpec:
    """Returns the sweep that a file means.

    Args:
        path: the YAML file.
        settings: ``KEY=VALUE`` words of the command line; a Detectron2 key, or a key of the sweep file.

    Raises:
        SweepFileError: holds every fault of the file and of ``settings``.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        rule, fix = "expected a sweep (keys with values)", "see docs/sweeps.md for a first one"
        raise SweepFileError(fault(str(path), rule, content, fix))
    if "names" in content and "train" in content:
        rule, fix = "expected a sweep file", f"`python -m agropest start {path.parent}` writes one for this data set"
        raise SweepFileError(fault(str(path), rule, "a data set's data.yaml", fix))
    faults: list[str] = []
    content, pinned = apply_settings(content, settings, faults)
    top = Section(content, f"{path}:", faults)
    search = read_search(top)
    variants = _variants(top, path, search, faults)
    folders, draws_demo = read_data(top, path)
    versions = {} if "" in folders else folders
    baseline = ""
    if len(versions) > 1:
        _check_versions(search, top)
        baseline = _baseline(top, variants)
        variants = crossed(variants, list(versions), baseline, bool(search.method))
        _check_crossed(variants, top)
    is_enumerated = not search.method and len(variants) > 1
    variants = with_derived(top, variants, search)
    _check_names([variant for variant in variants if variant.source], top.section("evaluate"), top)
    seeds, seed_rule = read_seeds(top, search.method in (OPTUNA, PBT), is_enumerated)
    spec = SweepSpec(
        path=path,
        name=_label(top, "name", path.stem),
        question=readable(top.text("question")),
        data=next(iter(folders.values()), None),
        versions=versions,
        draws_demo=draws_demo,
        split=read_split(top),
        base=_base(top, path, faults),
        config=_overrides(top, "config", faults),
        pinned=checked(pinned, "--set", faults),
        variants=variants,
        baseline=baseline or _baseline(top, variants),
        seeds=seeds,
        seed_rule=seed_rule,
        indifference=top.number("indifference", 0.0),
        metric=_metric(top),
        stop=read_stop(top, {RANDOM: ASHA, OPTUNA: ASHA, PBT: NONE}.get(search.method, RACE)),
        resources=read_resources(top, is_sweep=True),
        max_concurrent=read_max_concurrent(top),
        retries=top.integer("retries", 2, high=100),
        mirror=top.text("mirror"),
        keep_checkpoints=top.choice("keep_checkpoints", KEEP, KEEP_BEST_AND_LAST),
        silence=tuple(str(word) for word in _words(top, "silence")),
        design=top.text("design"),
        guards=read_guards(top),
        search=search,
        budget=read_budget(top.section("budget")),
        track=read_trackers(top),
        reference=read_reference(top, path, [variant.name for variant in variants]),
    )
    top.refuse_unknown()
    if search.method == PBT:
        _check_population(spec, top)
    check_derived(spec, top, (KEEP_NONE, KEEP_EVALUATED))
    if faults:
        raise SweepFileError(*faults)
    return spec


def _check_population(spec: SweepSpec, top: Section) -> None:
    """Adds what population-based training does not go with."""
    if spec.stop.method != NONE:
        fix = "take it out: a member that does badly continues from one that does well"
        top.fault("stop", "expected none with search.method pbt", spec.stop.method, fix)
    for key in spec.search.space:
        if key in spec.pinned:
            top.fault("search.space", "expected no key that --set holds", key, "take it out of --set or of the space")
    for variant in spec.variants:
        if re.fullmatch(PBT + r"-\d+", variant.name):
            top.fault("variants", "expected another name than a member's", variant.name, "rename the variant")


def _check_versions(search: SearchRule, top: Section) -> None:
    """Adds what several versions of the data do not go with."""
    if search.method in (OPTUNA, PBT):
        fix = "give one data set, or search by random or grid"
        top.fault("data", f"expected one data set with search.method {search.method}", top.raw("data"), fix)
    if top.raw("split") is not None:
        fix = "give the first version a validation split of its own: the others must not train on its pictures"
        top.fault("split", "expected none with several versions of the data", top.raw("split"), fix)


def _check_crossed(variants: Sequence[Variant], top: Section) -> None:
    """Adds the names that variants have on other versions of the data and cannot have."""
    names = [variant.name for variant in variants]
    for variant in variants:
        if variant.training.version and names.count(variant.name) > 1:
            fix = "rename the version or the variant"
            top.fault("data", "expected names that make no variant's name", variant.name, fix)
    section = top.section("data") if isinstance(top.raw("data"), Mapping) else top
    _check_names([variant for variant in variants if variant.training.version], section, section)


def _label(top: Section, key: str, default: str) -> str:
    value = top.text(key, default)
    if not LABEL.fullmatch(value):
        top.fault(key, "expected letters, digits and . _ + = - (at most 80; it names a folder)", value, "rename it")
    if value.lower() in RESERVED_NAMES:
        rule = "expected a name that is free in the results folder"
        top.fault(key, rule, value, "give the sweep another one: `name: ...`")
    return value


def _base(top: Section, sweep_file: Path, faults: list[str]) -> FlatConfig:
    value = top.text("base")
    if not value:
        return {}
    candidates = (
        sweep_file.parent / files.without_tilde(value),
        detectron2_folder() / "model_zoo" / "configs" / value,
    )
    for candidate in candidates:
        if files.is_file(candidate):
            try:
                return read_config_file(candidate)
            except SweepFileError as error:
                faults.extend(f"{top.where} base: {line}" for line in error.faults)
                return {}
    fix = "give a path relative to the sweep file, or a config of Detectron2's model zoo (COCO-Detection/...yaml)"
    top.fault("base", "expected a Detectron2 config file", value, fix)
    return {}


def _overrides(top: Section, key: str, faults: list[str]) -> FlatConfig:
    section = top.section(key)
    return checked(flatten(section.content), section.where, faults)


def _variants(top: Section, path: Path, search: SearchRule, faults: list[str]) -> tuple[Variant, ...]:
    section = top.section("variants")
    _refuse_twice(section)
    variants = [_variant(str(name), section.section(name), path) for name in section.content]
    factors = top.section("factors")
    design = top.choice("design", DESIGNS, "full") if factors.content else top.raw("design", "")
    if design and not factors.content:
        top.fault("design", "expected factors beside it", design, "add `factors:` or take `design` out")
    _refuse_twice(factors)
    number = num_combinations(len(factors.content), design)
    if factors.content and number > MOST_VARIANTS:
        fix = "take `design: ablation`, or fewer factors"
        top.fault("factors", f"expected a design of at most {MOST_VARIANTS} variants", number, fix)
        design = ""
    levels = {str(name): _applied(factors.section(name)) for name in factors.content}
    for name, overrides, level in combine(levels, design if factors.content else ""):
        training = overrides.pop(DATA_FRACTION, WHOLE)
        if all(v.name != name for v in variants):
            variants.append(Variant(name, overrides, level, training=training))
    if not variants and search.method:
        variants.append(Variant("baseline", {}))  # what the drawn ones are compared with
    names = {variant.name for variant in variants}
    variants += [Variant(name, point) for name, point in drawn_variants(search) if name not in names]
    if not variants:
        top.fault("variants", "expected at least one variant", None, "add `variants: {baseline: {}}`")
    _check_names(variants, section, factors)
    return tuple(variants)


def _applied(factor: Section) -> dict[str, Any]:
    """Returns what a factor applies: overrides, and which training pictures, to be combined alike."""
    training = read_fraction(factor)
    rest = {key: value for key, value in factor.content.items() if key != DATA_FRACTION}
    overrides = checked(flatten(rest), factor.where, factor.faults)
    return overrides if training == WHOLE else {**overrides, DATA_FRACTION: training}


def _check_names(variants: Sequence[Variant], section: Section, factors: Section) -> None:
    """Adds the names that are none: they name folders and rows of tables."""
    for variant in variants:
        if not LABEL.fullmatch(variant.name):
            rule = "expected letters, digits and . _ + = - (at most 80; it names a folder)"
            (factors if variant.levels else section).fault(variant.name, rule, variant.name, "rename it")
        elif NOT_A_WORD.fullmatch(variant.name):
            rule = "expected a name that no table takes for a number, true, false or a missing value"
            fix = f"rename it, e.g. to v{variant.name}"
            (factors if variant.levels else section).fault(variant.name, rule, variant.name, fix)


def _refuse_twice(section: Section) -> None:
    """Refuses 1 beside "1": names are text, whatever YAML takes them for."""
    names = [str(name) for name in section.content]
    for name in sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        section.fault(name, "expected different names", name, "rename one of the two")


def _variant(name: str, section: Section, path: Path) -> Variant:
    """Reads one variant: Detectron2's keys are upper case, ours (``OWN_KEYS``) lower case."""
    resources = read_resources(section) if "resources" in section.content else None
    base = _base(section, path, section.faults) if "base" in section.content else None
    training, command = read_fraction(section), read_command(section)
    if command is not None and base is not None:
        section.fault("base", "expected no Detectron2 config beside a command", section.raw("base"), "take it out")
    rest = {key: value for key, value in section.content.items() if key not in OWN_KEYS}
    overrides = checked(flatten(rest), section.where, section.faults)
    return Variant(name, overrides, resources=resources, base=base, training=training, command=command)


def _baseline(top: Section, variants: tuple[Variant, ...]) -> str:
    names = [variant.name for variant in variants]
    value = top.text("baseline", "baseline" if "baseline" in names else (names[0] if names else ""))
    if names and value not in names:
        top.fault("baseline", "expected the name of a variant", value, nearest(value, names))
    return value


def _words(top: Section, key: str) -> list[Any]:
    value = top.raw(key, [])
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    top.fault(key, "expected a list of words", value, "write e.g. [one, two]")
    return []


def _metric(top: Section) -> str:
    value = top.raw("metric", "AP")
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return ",".join(value)
    return top.text("metric", "AP")
