"""What can be read off the numbers of a variant: sentences that are true by construction, without any cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.analysis.sentences import ONE_SEED_CAVEAT, in_words
from agropest.report.verdicts import interval_text, number, probability, signed
from agropest.statistics.accuracy.average_precision import AP, AP_DEPLOYED
from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.inference import ALIKE, INCONCLUSIVE, UNFINISHED, UNKNOWN
from agropest.store.records import TrialState

FAR = 1.0  # percentage points that are worth a sentence


@dataclass(frozen=True)
class ClassCounts:
    """How many classes have a higher, lower and equal AP than under the baseline, to two decimals."""

    improved: int
    degraded: int
    equal: int


def class_counts(variant: ComparedVariant) -> ClassCounts:
    """Returns the counts over the classes that have ground truth."""
    changes = [round(one.value, 2) for one in variant.per_class.values() if one.value is not None]
    return ClassCounts(sum(v > 0 for v in changes), sum(v < 0 for v in changes), sum(v == 0 for v in changes))


def observations(variant: ComparedVariant, comparison: Comparison, trials: Sequence[RankedTrial]) -> list[str]:
    """Returns what the numbers say of a variant.

    Args:
        trials: the variant's own.
    """
    return [
        *_difference(variant, comparison),
        *_classes(variant),
        *_guards(variant),
        *_test(variant, comparison),
        *_seeds(variant),
        *(line for trial in trials for line in _trial(trial, comparison.metric)),
    ]


def _difference(variant: ComparedVariant, comparison: Comparison) -> list[str]:
    difference = variant.difference
    if difference is None:
        return []
    where = ""
    if variant.equal_iterations:
        where = f" at iteration {', '.join(map(str, sorted(set(variant.equal_iterations))))}, which both have evaluated"
    value = round(difference.value, 2)
    high = "higher than" if value > 0 else "lower than" if value < 0 else "to two decimals equal to"
    size = f" by {abs(value):.2f}" if value else ""
    figures = (
        f"95 % interval {interval_text(difference.interval, True)}, adjusted p {probability(difference.p_adjusted)}"
    )
    lines = [f"Validation {comparison.metric} is {high} {comparison.baseline}'s{size}{where} ({figures})."]
    if difference.verdict == UNKNOWN:
        seen = (
            f"On these images the checkpoint {difference.on_images}"
            if difference.on_images
            else "On these images neither checkpoint is clearly better"
        )
        lines.append(f"{seen}; {ONE_SEED_CAVEAT}: nothing is established about the variant.")
    if difference.is_within and not difference.knows_seeds:
        lines.append("Both are evaluations of one training: of another one this says nothing.")
    if difference.verdict == ALIKE:
        lines.append("The difference is smaller than what matters here (`indifference`).")
    if difference.verdict == UNFINISHED:
        lines.append("A training did not end on purpose: no verdict.")
    if difference.verdict == INCONCLUSIVE:
        lines.append(
            "That is not established: on these images a true difference is called with 80 % probability "
            f"from {difference.detectable:.1f} on."
            if difference.detectable is not None
            else "That is not established: so few images do not establish any difference."
            if difference.error
            else "No image tells them apart."
        )
    return lines


def _classes(variant: ComparedVariant) -> list[str]:
    known = {name: one.value for name, one in variant.per_class.items() if one.value is not None}
    if not known:
        return []
    counts = class_counts(variant)
    equal = f", {counts.equal} the same" if counts.equal else ""
    lines = [f"{counts.improved} of {len(known)} classes have a higher AP, {counts.degraded} a lower one{equal}."]
    best, worst = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    if best != worst:
        lines.append(f"Largest change up: {best} ({signed(known[best])}); down: {worst} ({signed(known[worst])}).")
    clear = [
        name
        for name, one in variant.per_class.items()
        if one.interval is not None and (one.interval.low > 0 or one.interval.high < 0)
    ]
    if clear:
        lines.append(
            f"Intervals of {len(clear)} classes leave out 0, each taken alone ({', '.join(clear)}); "
            f"of {len(known)} classes {0.05 * len(known):.1f} would by chance."
        )
    return lines


def _guards(variant: ComparedVariant) -> list[str]:
    return [
        f"The guard on {guard.class_name} (at most {guard.max_drop:g} lower): {guard.state}"
        + (
            f", {signed(guard.difference.value)}, 95 % interval {interval_text(guard.difference.interval, True)}."
            if guard.difference.value is not None
            else "."
        )
        for guard in variant.guards
    ]


def _test(variant: ComparedVariant, comparison: Comparison) -> list[str]:
    if variant.test is None or variant.test.value is None:
        return []
    lines = [f"Test {comparison.metric} is {number(variant.test.value)} ({interval_text(variant.test.interval)})."]
    if variant.gap is not None and variant.gap.value is not None and variant.gap.interval is not None:
        gap = f"{signed(variant.gap.value)}, 95 % interval {interval_text(variant.gap.interval, True)}"
        lines.append(f"Validation minus test: {gap}.")
    if variant.test_difference is not None:
        difference = variant.test_difference
        interval = interval_text(difference.interval, True)
        figures = f"{signed(difference.value)}, 95 % interval {interval}, p {probability(difference.p)}"
        lines.append(f"On test, its difference to {comparison.baseline} is {figures}: {difference.verdict}.")
    if variant.corrected is not None:
        lines.append(f"Corrected for having been chosen as the highest: {in_words(variant.corrected)}.")
    return lines


def _seeds(variant: ComparedVariant) -> list[str]:
    if variant.seed_spread is not None:
        return [f"Standard deviation across {len(variant.seeds)} seeds: {variant.seed_spread:.2f}."]
    return ["One seed of this variant."] if variant.seeds else []


def _trial(trial: RankedTrial, metric: str) -> list[str]:
    name = f"Seed {trial.seed}"
    if trial.status != TrialState.FINISHED:
        reason = f" ({trial.reason})" if trial.reason else ""
        return [f"{name}: {trial.status} after {trial.iteration} of {trial.max_iter} iterations{reason}."]
    lines = []
    value = metric_value(trial.valid, metric)
    if trial.val_iteration is not None and trial.val_iteration < trial.max_iter and value is not None:
        where = f"iteration {trial.val_iteration} of {trial.max_iter}"
        lines.append(f"{name}: the best evaluation was at {where}, not at the end.")
    whole, deployed = trial.valid.get(AP), trial.valid.get(AP_DEPLOYED)
    if whole is not None and deployed is not None and whole - deployed >= FAR:
        lower = f"{whole - deployed:.2f} lower than of all boxes"
        lines.append(f"{name}: at the deployed score threshold AP is {deployed:.2f}, {lower}.")
    return lines
