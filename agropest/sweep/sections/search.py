"""``search:``: variants that are drawn, beside those that are written down.

    search:
      method: random              # or grid, optuna, pbt
      num_variants: 20
      space:
        SOLVER.BASE_LR: {loguniform: [1e-4, 1e-2]}
        MODEL.ROI_BOX_HEAD.CLS_LOSS: {choice: [cross_entropy, softmax_focal]}

Grid and random are drawn when the file is read: their variants are in the plan like any other. What Optuna suggests
depends on what came out before, so it is drawn while the sweep runs (``agropest.tuning.search.suggestions``);
so are the generations of population-based training (``agropest.sweep.sections.population``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agropest.errors import nearest
from agropest.sweep.sections.distributions import CHOICE, Distribution, draw_point, problem_of_drawn
from agropest.sweep.sections.search_space import SearchSpace, read_search_space
from agropest.sweep.sections.section import Section

GRID, RANDOM, OPTUNA, PBT = "grid", "random", "optuna", "pbt"
SEARCH_METHODS = (GRID, RANDOM, OPTUNA, PBT)
# Keys that may change while a trial trains: not what the model's parameters are, not how long or on how many images it
# is trained, not how it is evaluated. Batch n stays a function of (config, seed, n), so augmentation may change, too.
MUTABLE_KEYS = (
    "SOLVER.BASE_LR",
    "SOLVER.BIAS_LR_FACTOR",
    "SOLVER.MOMENTUM",
    "SOLVER.WEIGHT_DECAY",
    "SOLVER.WEIGHT_DECAY_NORM",
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE",
    "SOLVER.EMA.DECAY",
    "MODEL.ROI_BOX_HEAD.FOCAL_ALPHA",
    "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT",
    "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA",
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",
    "MODEL.ROI_HEADS.POSITIVE_FRACTION",
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE",
    "MODEL.RPN.POSITIVE_FRACTION",
    "MODEL.RPN.BBOX_REG_LOSS_TYPE",
    "MODEL.RPN.BBOX_REG_LOSS_WEIGHT",
    "MODEL.RPN.LOSS_WEIGHT",
    "MODEL.RPN.SMOOTH_L1_BETA",
    "DATALOADER.REPEAT_THRESHOLD",
    "INPUT.PHOTOMETRIC.BRIGHTNESS",
    "INPUT.PHOTOMETRIC.CONTRAST",
    "INPUT.PHOTOMETRIC.SATURATION",
    "INPUT.ROTATION_DEGREES",
    "INPUT.COPY_PASTE.PROB",
    "INPUT.COPY_PASTE.MAX_OBJECTS",
)
MOST_VARIANTS = 10_000


@dataclass(frozen=True)
class SearchRule:
    """A checked ``search:`` section; without one, ``method`` is empty.

    Attributes:
        method: one of ``SEARCH_METHODS``, or empty.
        space: Detectron2 key, or a name of the file's own, to its distribution.
        num_variants: how many variants are drawn; a grid has as many as it has.
        seed: of what is drawn.
        at_once: variants that Optuna suggests in one round; the next begins when all of them have ended.
        population: members of a generation (``pbt``, as all below).
        interval_iters: iterations of a generation.
        quantile_fraction: share of the members that continues from one of the best as many.
        resample_probability: chance that a value is drawn anew instead of perturbed.
        names: the space with its choices of several keys and its conditions; says what a point sets.
    """

    method: str = ""
    space: Mapping[str, Distribution] = field(default_factory=dict)
    num_variants: int = 0
    seed: int = 0
    at_once: int = 0
    # Not in the representation, by which Optuna's rounds in older stores are known.
    population: int = field(default=0, repr=False)
    interval_iters: int = field(default=0, repr=False)
    quantile_fraction: float = field(default=0.0, repr=False)
    resample_probability: float = field(default=0.0, repr=False)
    names: SearchSpace = field(default_factory=SearchSpace, repr=False)

    @property
    def identity(self) -> str:
        """Everything that decides what is drawn, in words; stored with Optuna's rounds: old ones must still fit."""
        return str(self) if self.names.is_plain else f"{self}, {self.names.choices}, {self.names.conditions}"


def read_search(top: Section) -> SearchRule:
    """Returns the rule of a sweep file's ``search:``."""
    if top.raw("search") is None:
        return SearchRule()
    section = top.section("search")
    if not section.content:
        return SearchRule()
    method = section.choice("method", SEARCH_METHODS, RANDOM)
    names = read_search_space(section.section("space"))
    if not section.raw("space"):
        section.fault("space", "expected at least one key", None, "write e.g. {SOLVER.BASE_LR: {choice: [0.01, 0.02]}}")
    rule = SearchRule(
        method=method,
        space=names.laws,
        names=names,
        num_variants=section.integer("num_variants", 0 if method in (GRID, PBT) else 10, high=MOST_VARIANTS),
        seed=section.integer("seed", 0, high=2**31 - 1),
        at_once=section.integer("at_once", 4, low=1, high=1000) if method == OPTUNA else 0,
        **(_population(section) if method == PBT else {}),
    )
    section.refuse_unknown()
    _check(rule, section)
    return rule


def drawn_variants(rule: SearchRule) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields name and overrides of every variant that can be known before the sweep runs; each point once."""
    if rule.method not in (GRID, RANDOM):
        return
    if rule.method == GRID:
        values = [law.arguments for law in rule.space.values()]
        points = [dict(zip(rule.space, point, strict=True)) for point in itertools.product(*values)]
    else:
        points = [draw_point(rule.space, rule.seed, number) for number in range(rule.num_variants)]
    seen = []
    for number, point in enumerate(rule.names.overrides(point) for point in points):
        if point not in seen:
            seen.append(point)
            yield variant_name(rule, number), point


def variant_name(rule: SearchRule, number: int) -> str:
    """Returns the label of a drawn variant, e.g. ``random-007``."""
    return f"{rule.method}-{number:03d}"


def is_drawn(rule: SearchRule, name: str) -> bool:
    """Returns whether a variant has the label of a drawn one."""
    return bool(rule.method) and re.fullmatch(rf"{rule.method}-\d{{3,}}", name) is not None


def _check_normal(rule: SearchRule, section: Section) -> None:
    """Refuses normal distributions where they cannot be drawn from, and those that give a value that cannot be."""
    space = section.section("space")
    for key, law in rule.space.items():
        if not law.is_normal or rule.method == GRID:  # a grid refuses them itself
            continue
        if rule.method != RANDOM:
            fix = "use uniform or loguniform, or search with method: random"
            space.fault(key, f"expected a distribution that {rule.method} can suggest from", law.kind, fix)
            continue
        drawn = [draw_point({key: law}, rule.seed, number)[key] for number in range(rule.num_variants)]
        bad = [(number, value, found) for number, value in enumerate(drawn) if (found := problem_of_drawn(key, value))]
        if bad:
            number, value, found = bad[0]
            rule_text = (
                f"{found}; {len(bad)} of {len(drawn)} drawn values are none, first {variant_name(rule, number)}'s"
            )
            space.fault(key, rule_text, value, "lower the standard deviation, or use uniform or loguniform")


def _population(section: Section) -> dict[str, Any]:
    if section.raw("interval_iters") is None:
        fix = "give e.g. a tenth of SOLVER.MAX_ITER"
        section.fault("interval_iters", "expected the iterations of a generation", None, fix)
    return {
        "population": section.integer("population", 8, low=2, high=1000),
        "interval_iters": section.integer("interval_iters", 1, low=1),
        "quantile_fraction": section.number("quantile_fraction", 0.25, high=0.5),
        "resample_probability": section.number("resample_probability", 0.25, high=1.0),
    }


def _check(rule: SearchRule, section: Section) -> None:
    _check_normal(rule, section)
    if rule.method == GRID:
        size = 1
        for key, law in rule.space.items():
            if law.kind != CHOICE:
                fix = "list its values under choice, or search by random"
                section.section("space").fault(key, "expected {choice: [...]} in a grid", law.kind, fix)
            size *= len(law.arguments)
        if size > MOST_VARIANTS:
            section.fault("space", f"expected a grid of at most {MOST_VARIANTS} points", size, "search by random")
        if rule.num_variants:
            section.fault("num_variants", "expected none with a grid", rule.num_variants, "take it out")
    elif rule.method == PBT:
        if rule.num_variants:
            section.fault("num_variants", "expected none with pbt", rule.num_variants, "say population: ...")
        if rule.names.conditions:
            fix = "take `when` out, or search by random or optuna"
            section.fault("space", "expected no condition with pbt", list(rule.names.conditions), fix)
        for key in rule.space:
            if key not in MUTABLE_KEYS:
                fix = f"{nearest(key, MUTABLE_KEYS)}; docs/search.md lists them; the others make variants"
                section.section("space").fault(key, "expected a key that may change while a trial trains", key, fix)
    elif rule.num_variants == 0:
        section.fault("num_variants", "expected at least 1", 0, "say how many variants to draw")
