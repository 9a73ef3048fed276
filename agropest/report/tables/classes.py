"""AP of every class under the baseline and each variant's change, of all boxes and at the deployed score threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.report.markdown import plain, table
from agropest.report.verdicts import number, signed
from agropest.statistics.accuracy.average_precision import CLASS_PREFIX, DEPLOYED_CLASS_PREFIX

VARIANTS_ACROSS = 8  # in Markdown

ByClass = Mapping[str, float | None]


@dataclass(frozen=True)
class ClassTable:
    """One such table, on validation.

    Attributes:
        caption: what its figures are, a sentence that needs no escaping in LaTeX.
        base: class to the baseline's AP in percent; None: no ground truth.
        changes: variant to class to the change from it in percentage points.
    """

    caption: str
    base: ByClass
    changes: Mapping[str, ByClass]

    def parts(self, across: int = VARIANTS_ACROSS) -> Iterator[list[str]]:
        """Yields the variants, ``across`` beside one another; none at all as one empty part."""
        labels = list(self.changes)
        for start in range(0, max(len(labels), 1), across):
            yield labels[start : start + across]


def class_tables(comparison: Comparison, trials: Sequence[RankedTrial]) -> list[ClassTable]:
    """Returns the table of all boxes; and that of those at or above the deployed threshold, where it was stored."""
    compared = {
        one.label: {name: estimate.value for name, estimate in one.per_class.items()}
        for one in comparison.variants
        if one.per_class
    }
    caption = "AP of each class on validation: the baseline's, and the change to it in percentage points."
    tables = [ClassTable(caption, class_means(trials, comparison.baseline), compared)]
    deployed = class_means(trials, comparison.baseline, DEPLOYED_CLASS_PREFIX)
    if deployed:
        caption = "The same at the deployed score threshold, of the variants that have finished."
        tables.append(ClassTable(caption, deployed, class_changes(trials, comparison.baseline, DEPLOYED_CLASS_PREFIX)))
    return tables


def class_means(trials: Sequence[RankedTrial], label: str, prefix: str = CLASS_PREFIX) -> dict[str, float | None]:
    """Returns a variant's AP of every class on validation, mean over its finished trials; None: no ground truth.

    Args:
        prefix: ``CLASS_PREFIX``, or ``DEPLOYED_CLASS_PREFIX`` for AP at the deployed threshold.
    """
    own = [trial for trial in trials if trial.label == label and trial.valid]
    ranked = [trial for trial in own if trial.rank is not None] or own
    names = [name for name in (ranked[0].valid if ranked else {}) if name.startswith(prefix)]
    means = {}
    for name in names:
        values = [value for trial in ranked if (value := trial.valid.get(name)) is not None]
        means[name.removeprefix(prefix)] = sum(values) / len(values) if values else None
    return means


def class_changes(trials: Sequence[RankedTrial], baseline: str, prefix: str) -> dict[str, dict[str, float | None]]:
    """Returns how far every finished variant's classes are from the baseline's, where that has finished.

    A variant has finished when all its seeds have.
    """
    unfinished = {trial.label for trial in trials if trial.rank is None}
    finished = [trial for trial in trials if trial.label not in unfinished]
    base = class_means(finished, baseline, prefix)
    means = {label: class_means(finished, label, prefix) for label in dict.fromkeys(t.label for t in finished)}
    return {
        label: {name: _minus(value, base[name]) for name, value in its.items() if name in base}
        for label, its in means.items()
        if label != baseline and base and its
    }


def per_class_markdown(tables: Sequence[ClassTable], baseline: str, title: str) -> str:
    """Returns each table, cut into pieces of so many variants as fit."""
    parts = [f"# {plain(title)}"]
    for one in tables:
        parts.append(plain(one.caption))
        for labels in one.parts():
            rows = [
                [name, number(value), *(_shown(one.changes[label], name) for label in labels)]
                for name, value in one.base.items()
            ]
            parts.append(table(["class", baseline, *labels], rows))
    return "\n\n".join(parts) + "\n"


def _shown(changes: ByClass, name: str) -> str:
    return signed(changes[name]) if name in changes else "-"


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other
