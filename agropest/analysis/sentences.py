"""What a comparison comes to, in one sentence or a few: nothing is said that the verdicts do not carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.statistics.accuracy.average_precision import AP_DEPLOYED
from agropest.statistics.inference import (
    ALIKE,
    BETTER,
    HIGHER,
    HIGHER_HERE,
    INCONCLUSIVE,
    LOWER,
    LOWER_HERE,
    UNFINISHED,
    UNKNOWN,
    WORSE,
    Difference,
    Estimate,
)

CONTRADICTION = 0.5  # percentage points of AP at the deployed threshold that are worth naming
ONE_SEED_CAVEAT = "what another training would score is not known"


def sentence(comparison: Comparison) -> str:
    """Returns what is known, every finished variant by name."""
    judged = judged_variants(comparison)
    if not judged:
        return f"Nothing has finished that could be compared with {comparison.baseline} ({sample(comparison)})."
    parts = [
        f"{words}: {', '.join(_named(one, difference) for one, difference in group)}"
        for words, group in groups(comparison, judged)
    ]
    unclear = [(one, difference) for one, difference in judged if difference.verdict == INCONCLUSIVE]
    if unclear:
        names = [
            f"{one.label} ({signed_value(difference.value)}, {_seen_from(difference)})" for one, difference in unclear
        ]
        parts.append(f"not established either way: {', '.join(names)}")
    return close(comparison, parts)


def close(comparison: Comparison, parts: Sequence[str]) -> str:
    """Returns the sentence of some parts with what it is of before it, and what must be said after it."""
    result = f"By {comparison.metric}{_classes(comparison)} on {sample(comparison)}: {'; '.join(parts)}."
    return " ".join([result, *_contradictions(comparison), *_first(comparison)])


def judged_variants(comparison: Comparison) -> list[tuple[ComparedVariant, Difference]]:
    """Returns the ranked variants that were compared with the baseline."""
    return [(one, one.difference) for one in comparison.variants if one.rank is not None and one.difference]


def groups(
    comparison: Comparison, judged: Sequence[tuple[ComparedVariant, Difference]]
) -> list[tuple[str, list[tuple[ComparedVariant, Difference]]]]:
    """Returns what can be said of several variants alike, in words, and of which; without the inconclusive ones."""
    name = comparison.baseline

    def unknown(on_images: str) -> Callable[[Difference], bool]:
        return lambda difference: difference.verdict == UNKNOWN and difference.on_images == on_images

    sayings: list[tuple[str, Callable[[Difference], bool]]] = [
        (f"{BETTER} than {name}", lambda difference: difference.verdict == BETTER),
        (f"{WORSE} than {name}", lambda difference: difference.verdict == WORSE),
        (UNFINISHED, lambda difference: difference.verdict == UNFINISHED),
        (f"{ALIKE} from {name}", lambda difference: difference.verdict == ALIKE),
        (f"on this training {HIGHER} than {name}", lambda difference: difference.verdict == HIGHER_HERE),
        (f"on this training {LOWER} than {name}", lambda difference: difference.verdict == LOWER_HERE),
        (f"{HIGHER} than {name} on these images", lambda difference: difference.verdict == HIGHER),
        (f"{LOWER} than {name} on these images", lambda difference: difference.verdict == LOWER),
        (
            f"{UNKNOWN}, though this checkpoint {HIGHER} on these images than {name}'s",
            unknown(HIGHER),
        ),
        (
            f"{UNKNOWN}, though this checkpoint {LOWER} on these images than {name}'s",
            unknown(LOWER),
        ),
        (f"{UNKNOWN}, and the checkpoint is not distinguishable from {name}'s on these images", unknown("")),
    ]
    found = [(words, [pair for pair in judged if fits(pair[1])]) for words, fits in sayings]
    return [(words, group) for words, group in found if group]


def sample(comparison: Comparison) -> str:
    """Returns how much the figures rest on, in words."""
    is_copied = comparison.num_sources < comparison.num_images
    sources = f" of {comparison.num_sources} sources" if is_copied else ""
    return f"{comparison.num_images} images{sources} with {comparison.num_boxes} boxes"


def signed_value(value: float) -> str:
    """Returns two decimals with a sign."""
    return f"{round(value, 2) + 0.0:+.2f}"


def _named(one: ComparedVariant, difference: Difference) -> str:
    return f"{one.label} ({signed_value(difference.value)})"


def _seen_from(difference: Difference) -> str:
    if difference.detectable is not None:
        return f"detectable from {difference.detectable:.1f}"
    return "too few images to call any" if difference.error else "no image tells them apart"


def _classes(comparison: Comparison) -> str:
    if not comparison.missing:
        return ""
    return f" of {comparison.num_classes - len(comparison.missing)} of {comparison.num_classes} classes"


def _contradictions(comparison: Comparison) -> list[str]:
    """Returns where AP at the deployed threshold says the opposite of a verdict: which of the two is wanted?"""
    base = next((one for one in comparison.variants if one.label == comparison.baseline), None)
    if base is None or base.ap_deployed is None or comparison.metric == AP_DEPLOYED:
        return []
    opposed = []
    for one, difference in judged_variants(comparison):
        if one.ap_deployed is None or not difference.on_images:
            continue
        change = one.ap_deployed - base.ap_deployed
        if abs(change) >= CONTRADICTION and change * difference.value < 0:
            opposed.append(f"{one.label} ({signed_value(change)})")
    if not opposed:
        return []
    return [f"At the deployed score threshold AP says the opposite of {', '.join(opposed)}."]


def _first(comparison: Comparison) -> list[str]:
    """Returns the figure to report of the first: on test, else corrected for having been chosen."""
    first = comparison.variants[0] if comparison.variants else None
    if first is None or first.rank != 1 or first.corrected is None:
        return []
    if first.test is not None and first.test.value is not None:
        return [f"First is {first.label}: {comparison.metric} on test {in_words(first.test)}."]
    number = sum(one.rank is not None for one in comparison.variants)
    measured = "" if first.estimate.value is None else f"{first.estimate.value:.2f} as measured, "
    corrected = f"corrected for few images and for being the highest of {number}"
    return [f"First is {first.label}: {comparison.metric} {measured}{in_words(first.corrected)} {corrected}."]


def in_words(estimate: Estimate) -> str:
    """Returns a value with its interval."""
    value = "n/a" if estimate.value is None else f"{round(estimate.value, 2) + 0.0:.2f}"
    interval = estimate.interval
    return value if interval is None else f"{value} ({interval.low:.2f} to {interval.high:.2f})"
