"""``seeds: {start: 2, most: 8, until: decided}``: rounds of seeds, for the variants of which a question is open.

All variants begin with the same few seeds. When they have ended, those of which a verdict or the first place is open,
and may still be settled, get the next seeds (``agropest.statistics.seed_policy``), and so on. Nothing is written down:
the rounds are replayed from the trials that the store holds, so a launch that was killed decides what it would have
decided, and trials of other sweeps that are stored already count as trained.

Variants that only evaluate what another has trained (``evaluate:``) have the seeds of that one, and ask for none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from agropest.analysis.open_questions import questions, seed_counts
from agropest.analysis.sweep_comparison import compare_trials
from agropest.data.dataset import Dataset
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.seed_policy import next_seeds
from agropest.store.completeness import has_ended_for
from agropest.store.store import Store
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec
from agropest.tuning.search.generations import Expand


class SeedRounds:
    """The rounds of one sweep's seeds.

    Args:
        spec: the sweep as its file has it.
        expand: from a sweep to its trials.
        dataset: for the ground truth of validation, by which is decided.
    """

    def __init__(self, spec: SweepSpec, expand: Expand, store: Store, dataset: Dataset) -> None:
        self.spec, self.expand, self.store = spec, expand, store
        self._annotations = dataset.splits["valid"].annotations
        self._begin()
        while self._add_seeds():
            pass  # what earlier launches have trained

    def _begin(self) -> None:
        trained = (variant.name for variant in self.spec.variants if not variant.source)
        self.counts = dict.fromkeys(trained, self.spec.seed_rule.start)
        self._ended: dict[str, int] = {}  # the seeds of the last round that has ended; empty: the first has not
        self._first: Sequence[str] = ()  # whose new seeds tell most per hour
        self._is_settled = self._is_anew = False

    @property
    def is_complete(self) -> bool:
        """Whether every question is settled, or no seed that may be trained would settle it."""
        return self._is_settled

    def sweep(self) -> SweepSpec:
        """Returns the sweep with every variant's seeds so far, those first whose new seeds tell most per hour."""
        return self._with_seeds(self.counts)

    def ended_sweep(self) -> SweepSpec | None:
        """Returns the sweep with the seeds of the round before, all of which have ended; None in the first round."""
        return self._with_seeds(self._ended) if self._ended else None

    def _with_seeds(self, counts: Mapping[str, int]) -> SweepSpec:
        rule = self.spec.seed_rule
        ordered = sorted(self.spec.variants, key=lambda v: (v.name not in self._first, self._place(v.name)))
        variants = [replace(v, seeds=rule.seeds(counts[v.source or v.name])) for v in ordered]
        return replace(self.spec, variants=tuple(variants))

    def _place(self, name: str) -> int:
        return self._first.index(name) if name in self._first else 0

    def in_words(self) -> str:
        """Returns how many seeds the variants have so far."""
        by_count: dict[int, list[str]] = {}
        for name, count in self.counts.items():
            by_count.setdefault(count, []).append(name)
        counts_text = "; ".join(f"{count} of {_few(names)}" for count, names in sorted(by_count.items(), reverse=True))
        most = self.spec.seed_rule.most
        trials = f"{sum(self.counts.values())} of at most {most * len(self.counts)} trials"
        return f"seeds until decided, at most {most}: {counts_text}; {trials}"

    def earlier_trials(self) -> list[TrialSpec]:
        """Returns the trials of rounds that are not in the sweep any more: none."""
        return []

    def restart(self) -> None:
        """Begins with the first round again: what was decided rested on trials that are set aside."""
        self._begin()
        self._is_anew = True

    def next_round(self) -> bool:
        """Adds seeds where all before has ended and a question is open that they may settle; returns whether it did."""
        if self._is_anew:
            self._is_anew = False
            return True
        return self._add_seeds()

    def _add_seeds(self) -> bool:
        trials = [t for t in self.expand(self.sweep()) if t.trains or t.label == self.spec.baseline]
        statuses = {trial.name: self.store.folder(trial).status() for trial in trials}
        if not all(has_ended_for(status, self.spec.stopper) for status in statuses.values()):
            return False
        spec, rule = self.spec, self.spec.seed_rule
        truth = {"valid": GroundTruth.from_coco(self._annotations)}
        comparison = compare_trials(
            trials,
            self.store,
            truth,
            spec.metric,
            spec.baseline,
            looks=rule.looks,
            indifference=spec.indifference,
        )
        times: dict[str, list[float]] = {}
        for trial in trials:
            times.setdefault(trial.label, []).append(statuses[trial.name].time_s)
        costs = {label: max(fmean(its), 1e-3) for label, its in times.items()}
        asked = next_seeds(questions(comparison), seed_counts(comparison), rule.start, rule.most, costs)
        sources = {variant.name: variant.source or variant.name for variant in spec.variants}
        trained = {trial.label for trial in trials if trial.trains}
        wanted = {sources[label]: count for label, count in asked.items() if sources[label] in trained}
        self._ended = dict(self.counts) if wanted else self._ended
        self.counts |= wanted
        self._first, self._is_settled = list(wanted), not wanted
        return bool(wanted)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
