"""What a sweep file means but its author can hardly want: said before anything is trained.

Each rule is a function from :class:`Subject` to the texts of its remarks; :data:`RULES` names them, and
``silence: [name]`` in the sweep file turns one off. They warn, and never refuse: what cannot be trained at all is
refused by ``sweep.plan`` and ``training.dry_run.effects``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agropest.data.dataset import Dataset
from agropest.data.training_sets.opened import TrainingSets
from agropest.errors import SweepFileError, fault, named_once, nearest
from agropest.machine import Machine, this_machine
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.lint import config_rules, data_rules, factor_rules, machine_rules, schedule_rules
from agropest.sweep.lint.subject import Subject
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

NO_EFFECT = "no-effect"


@dataclass(frozen=True)
class Remark:
    """One remark on a sweep.

    Attributes:
        rule: a key of ``RULES``; goes into ``silence:``.
        text: what, with the numbers, and what to do.
    """

    rule: str
    text: str


def lint(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    dataset: Dataset,
    idle: Mapping[str, Sequence[str]] | None = None,
    others: Mapping[str, Dataset] | None = None,
    machine: Machine | None = None,
) -> list[Remark]:
    """Returns the remarks of every rule that the sweep file does not silence, in the order of ``RULES``.

    Args:
        idle: overrides that change nothing of what is built, by trial label; needs torch to find out, so it is given.
        others: what trials train on beside the data set's whole training split, by its words.
        machine: that the trials are held against; None: this one.

    Raises:
        SweepFileError: ``silence:`` names a rule that there is not.
    """
    unknown = [name for name in spec.silence if name not in RULES]
    if unknown:
        where, rule = f"{spec.path}: silence", "expected names of lint rules"
        raise SweepFileError(*(fault(where, rule, name, nearest(name, RULES)) for name in unknown))
    own = [trial for trial in trials if not is_command(trial.config)]
    has_own_baseline = any(trial.label == spec.baseline for trial in own)
    sets = TrainingSets(dataset, others or {})
    on = machine or this_machine()
    subject, whole = (Subject(spec, its, sets, idle or {}, on) for its in (own, trials))
    wanted = [name for name in RULES if name not in spec.silence and (has_own_baseline or name in OF_ANY_TRIAL)]
    labels = {trial.label for trial in trials}
    return [
        Remark(name, text)
        for name in wanted
        for text in _said_once(RULES[name](whole if name in OF_ANY_TRIAL else subject), labels)
    ]


def _said_once(texts: Iterable[str], labels: Collection[str]) -> list[str]:
    """Returns the texts ``label: what``, each what once with all its labels before it."""
    split: list[tuple[str, str]] = []
    others = []
    for text in texts:
        label, _, what = text.partition(": ")
        if label in labels:
            split.append((label, what))
        else:
            others.append(text)
    return [*others, *named_once(split, labels, "every variant")]


RULES: dict[str, Callable[[Subject], Iterator[str]]] = {
    "sampler-no-op": data_rules.sampler_no_op,
    "score-threshold": config_rules.score_threshold,
    "several-factors": factor_rules.several_factors,
    "unequal-iterations": config_rules.unequal_iterations,
    "unequal-augmentation": factor_rules.unequal_augmentation,
    "equal-trials": config_rules.equal_trials,
    NO_EFFECT: config_rules.no_effect,
    "schedule": schedule_rules.schedule,
    "population": schedule_rules.population,
    "early-stopping": schedule_rules.early_stopping,
    "single-seed": config_rules.single_seed,
    "reinitialised": config_rules.reinitialised,
    "anchor-range": data_rules.anchor_range,
    "oversized-anchors": data_rules.oversized_anchors,
    "guard-without-boxes": data_rules.guard_without_boxes,
    "split-leakage": data_rules.split_leakage,
    "learning-rate": schedule_rules.learning_rate,
    "slow-on-cpu": machine_rules.slow_on_cpu,
    "idle-gpu": machine_rules.idle_gpu,
}
# Rules that look at seeds and data alone; the others look at settings of Detectron2, which a command does not have.
OF_ANY_TRIAL = ("single-seed", "guard-without-boxes", "split-leakage", "idle-gpu")
