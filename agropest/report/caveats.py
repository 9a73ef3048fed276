"""What verdicts rest on and what they leave out, in words: seeds, the choice of the first, classes in few images."""

from __future__ import annotations

from math import ceil

from agropest.analysis.compared import Comparison, SeedFacts
from agropest.analysis.open_questions import questions, seed_counts
from agropest.analysis.sentences import ONE_SEED_CAVEAT, in_words, signed_value
from agropest.statistics.inference import UNFINISHED, UNKNOWN
from agropest.statistics.rare_classes import FEW_SOURCES
from agropest.statistics.seed_policy import images_factor, seeds_needed

NAMED_CLASSES = 4
MOST_LINES = 6
NO_DIFFERENCE = 0.005  # percentage points: shown as 0.00
MOST_SEEDS, MOST_GROWTH = 30, 20.0  # more than anyone would train
LEAST_PART = 0.05  # percentage points of a difference that are worth a line


def _spread_of_seeds(metric: str, seeds: SeedFacts) -> str:
    behind = (
        f"{seeds.freedom:.0f} degrees of freedom, {seeds.trainings} trainings of {seeds.variants} variants, from "
        f"{seeds.source}"
    )
    if seeds.sd > 0:
        spread = f"another training moves a variant's {metric} by {seeds.sd:.2f} (standard deviation; {behind})"
    else:  # an estimate of few values, from which what the images do is taken off
        spread = f"trainings differ by no more than the images explain, as far as these few show ({behind})"
    apart = f" {', '.join(seeds.apart)} spread significantly more: judged by that spread alone." if seeds.apart else ""
    return f"Seeds: {spread}. Intervals and verdicts include it.{apart}"


def seed_remarks(comparison: Comparison) -> list[str]:
    """Returns where what is known of seeds is from, and what is not known."""
    if comparison.is_of_checkpoints:
        return [f"These are files of detectors as they are: {ONE_SEED_CAVEAT}."]
    lines, seeds = [], comparison.seeds
    if seeds is not None:
        lines.append(_spread_of_seeds(comparison.metric, seeds))
    differences = [one.difference for one in comparison.variants if one.difference]
    one_seed = any(len(one.seeds) == 1 for one in comparison.variants)
    if seeds is None and one_seed:
        lines.append("One seed per variant: intervals and p cover image sampling only, for these checkpoints.")
    if any(difference.verdict == UNKNOWN for difference in differences):
        lines.append(
            f"'{UNKNOWN}': {ONE_SEED_CAVEAT}. Take two or more seeds of at least one variant (three are better)."
        )
    lines += _of_same_trainings(comparison)
    if any(difference.verdict == UNFINISHED for difference in differences):
        lines.append(f"'{UNFINISHED}': a training was cut short, failed or is running; its figures are no result.")
    return lines


def _of_same_trainings(comparison: Comparison) -> list[str]:
    """Returns what the differences of evaluations of the baseline's own trainings are about, where there are some."""
    within = [one.difference for one in comparison.variants if one.difference and one.difference.is_within]
    lines = []
    if any(difference.knows_seeds for difference in within):
        lines.append(
            f"Evaluations of {comparison.baseline}'s own trainings are compared with it training by training: what a "
            "seed does to both cancels, and what it does to one alone is estimated from how these differences vary."
        )
    if any(not difference.knows_seeds for difference in within):
        lines.append(
            f"Evaluations of {comparison.baseline}'s own training, of one seed, are compared with it on that training: "
            "what the seed does to both cancels, and by how much they differ after another training is not known."
        )
    return lines


def settling_remarks(comparison: Comparison) -> list[str]:
    """Returns what would settle each open question against the baseline: how many seeds, or how many more images."""
    lines: list[str] = []
    if comparison.seeds is None:
        return lines
    seeds = seed_counts(comparison)
    for one in questions(comparison):
        if one.is_decided or one.other != comparison.baseline or one.error == 0 or len(lines) == MOST_LINES:
            continue
        if abs(one.value) < NO_DIFFERENCE:
            continue  # nothing settles which of two alike is better
        now = min(seeds[one.one], seeds[one.other])
        needed, factor = seeds_needed(one, now), images_factor(one)
        ways = [f"about {ceil(needed)} seeds each instead of {now}"] if needed <= MOST_SEEDS else []
        ways += [f"about {comparison.num_images * factor:,.0f} images"] if factor <= MOST_GROWTH else []
        never = f"would be settled neither by {MOST_SEEDS} seeds each nor by {MOST_GROWTH:g} times the images"
        settled = f"would be settled by {' or '.join(ways)}" if ways else never
        share = f"{one.seeds_share:.0%} seeds, {1 - one.seeds_share:.0%} images"
        conclusion = f"a true difference of {signed_value(one.value)} {settled}"
        lines.append(f"{one.one}: of its squared error {share}; {conclusion}.")
    return lines


def selection_remarks(comparison: Comparison) -> list[str]:
    """Returns what is left of the first's value, and of every value, when choosing is taken into account."""
    lines = []
    first = comparison.variants[0] if comparison.variants else None
    if first is not None and first.corrected is not None and first.estimate.value is not None:
        number = sum(one.rank is not None for one in comparison.variants)
        lines.append(
            f"{first.label} was chosen as the highest of {number}, which flatters it: {comparison.metric} "
            f"{in_words(first.corrected)} when that is taken into account (Andrews, Kitagawa and McCloskey 2024)."
        )
    if not comparison.is_of_checkpoints and any(one.rank for one in comparison.variants):
        lines.append(
            "Each value is that of the best of its training's evaluations, which, where there are several, flatters "
            "all of them alike, by about 1 AP; the figure to report is that on test."
        )
    if comparison.low_by is not None:
        lines.append(
            f"{comparison.metric} is the lowest of several noisy values, so it is too low: by about "
            f"{comparison.low_by:.1f}; its intervals are corrected for that."
        )
    return lines


def class_remarks(comparison: Comparison) -> list[str]:
    """Returns which classes are missing, and which differences rest on classes in few images."""
    lines = []
    if comparison.missing:
        lines.append(
            f"{_few(comparison.missing)}: no such object to find; {comparison.metric} is the mean of the other classes."
        )
    for one in comparison.variants:
        if one.few is None or one.difference is None or abs(one.few.part) < LEAST_PART:
            continue
        names = _few([f"{name} ({number})" for name, number in one.few.classes.items()])
        part, whole = signed_value(one.few.part), signed_value(one.difference.value)
        rests = f"rests on classes in fewer than {FEW_SOURCES} images: {names}"
        lines.append(f"{one.label}: {part} of its difference of {whole} {rests}.")
    return lines


def _few(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - NAMED_CLASSES} more" if len(names) > NAMED_CLASSES else ""
    return ", ".join(names[:NAMED_CLASSES]) + more
