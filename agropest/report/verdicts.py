"""What is said of a comparison beside its tables, and how values, intervals and p values are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.sentences import close, groups, judged_variants
from agropest.report.caveats import class_remarks, seed_remarks, selection_remarks, settling_remarks
from agropest.statistics.inference import INCONCLUSIVE, Estimate, Interval

NOTHING = "-"
MOST_NAMED = 6  # in a sentence
EvaluationKey = tuple[str, int, int | None]  # label, seed, iteration


def remarks(comparison: Comparison) -> list[str]:
    """Returns what must be said beside the table: how the intervals come about, guards, notes on variants."""
    sources = comparison.num_sources < comparison.num_images
    lines = [
        f"Intervals: {comparison.confidence:.0%}, paired bootstrap of {comparison.num_images} images"
        + (f" by their {comparison.num_sources} sources" if sources else "")
        + f", {comparison.resamples} resamples; verdicts by p adjusted for all comparisons (max-T)."
    ]
    if not comparison.resamples:  # nothing has finished: there are no intervals
        lines = []
    lines += [*seed_remarks(comparison), *settling_remarks(comparison)]
    lines += [*selection_remarks(comparison), *class_remarks(comparison)]
    by_note: dict[str, list[str]] = {}
    for variant in comparison.variants:
        for note in variant.notes:
            by_note.setdefault(note, []).append(variant.label)
    for note, labels in by_note.items():
        everybody = len(labels) == len(comparison.variants)
        lines.append(f"{'Every variant' if everybody else ', '.join(labels)}: {note}")
    for variant in comparison.variants:
        for guard in variant.guards:
            line = f"{variant.label}: guard on {guard.class_name}: {guard.state}"
            if guard.difference.value is not None:
                change = f"{signed(guard.difference.value)} ({interval_text(guard.difference.interval, True)})"
                line += f", {change}, at most -{guard.max_drop:g} allowed"
            lines.append(line)
    return lines


def headline(comparison: Comparison) -> str:
    """Returns what is known in one sentence that stays short: verdicts by name, what is unclear only counted."""
    judged = judged_variants(comparison)
    if len(judged) <= MOST_NAMED:
        return comparison.sentence
    parts = []
    for words, group in groups(comparison, judged):
        named = ", ".join(f"{one.label} ({signed(line.value)})" for one, line in group[:MOST_NAMED])
        more = f" and {len(group) - MOST_NAMED} more" if len(group) > MOST_NAMED else ""
        parts.append(f"{words}: {named}{more}")
    unclear = [line for _, line in judged if line.verdict == INCONCLUSIVE]
    if unclear:
        values = [difference.value for difference in unclear]
        detectable = sorted(one.detectable for one in unclear if one.detectable is not None)
        seen = (
            f"a true difference is detectable from about {detectable[len(detectable) // 2]:.1f}" if detectable else ""
        )
        parts.append(
            f"not established either way: {len(unclear)} variants ({signed(min(values))} to {signed(max(values))}, "
            f"{seen or 'too few images to call any'})"
        )
    return close(comparison, parts)


def tie_sentence(comparison: Comparison) -> str:
    """Returns which variants are not distinguishable from the best; empty where that is one alone."""
    labels = tie_group(comparison.variants)
    if len(labels) < 2:
        return ""
    ranked = sum(one.rank is not None for one in comparison.variants)
    if len(labels) > 2 * MOST_NAMED:
        return f"{len(labels)} of {ranked} finished variants are not distinguishable from the best ({labels[0]})."
    return f"Not distinguishable from the best: {', '.join(labels)}."


def tie_group(variants: Sequence[ComparedVariant]) -> list[str]:
    """Returns the labels that are not distinguishable from the best, the best first."""
    return [variant.label for variant in variants if variant.ties_with_best]


def seed_intervals(comparison: Comparison) -> dict[EvaluationKey, Interval]:
    """Returns the interval of each seed's metric on validation, of the evaluations that were compared.

    A trial that was compared at an earlier iteration than that of its best evaluation has none for the best.
    """
    return {
        (variant.label, seed, iteration): one.interval
        for variant in comparison.variants
        for seed, iteration, one in zip(variant.seeds, variant.iterations, variant.by_seed, strict=False)
        if one.interval is not None
    }


def number(value: float | None) -> str:
    """Returns two decimals without a negative zero, or n/a."""
    return "n/a" if value is None else f"{round(value, 2) + 0.0:.2f}"


def signed(value: float | None) -> str:
    """Returns two decimals with a sign; what rounds to zero has none."""
    return "n/a" if value is None else "0.00" if round(value, 2) == 0 else f"{value:+.2f}"


def interval_text(interval: Interval | None, is_difference: bool = False) -> str:
    """Returns ``1.2 to 3.4``; with signs for a difference."""
    return NOTHING if interval is None else from_to(interval, signed if is_difference else number)


def from_to(interval: Interval, write: Callable[[float], str]) -> str:
    """Returns an interval, its ends written as told."""
    return f"{write(interval.low)} to {write(interval.high)}"


def estimate_text(estimate: Estimate | None) -> str:
    """Returns ``41.20 (39.10 to 43.30)``."""
    if estimate is None:
        return NOTHING
    return number(estimate.value) + (f" ({interval_text(estimate.interval)})" if estimate.interval else "")


def probability(value: float) -> str:
    """Returns three decimals; never 0."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
