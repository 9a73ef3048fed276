"""What the candidates' trainings say of a metric, and what is known of the seeds behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from agropest.analysis.candidates import Candidate, Drawn
from agropest.statistics.bootstrap import Replicates
from agropest.statistics.inference import Sampled
from agropest.statistics.seed_noise import NO_SEEDS, SeedNoise, seed_noise
from agropest.statistics.sums import mean_over_seeds, minus, weighted_sum
from agropest.statistics.trainings import Training, trainings_of
from agropest.store.records import TrialState

THIS_SWEEP = "the variants of this sweep"
FARTHEST = 100.0  # percentage points that two values of a metric can be apart


@dataclass(frozen=True)
class Borrowed:
    """Trainings of other sweeps with the same data and baseline, for what a seed does where this one does not show it.

    Attributes:
        drawn: by the name of what was trained.
        source: where they are from, in words.
    """

    drawn: Sequence[tuple[str, Drawn]] = ()
    source: str = ""


@dataclass(frozen=True)
class Evidence:
    """One metric of the candidates.

    Attributes:
        trainings: returns those of one candidate, by label and what was drawn of it.
        finished: of the variants that have finished: what a seed does is estimated from their trainings, each once.
        borrowed: where these show nothing.
        is_of_checkpoints: what is compared are files, not variants.
    """

    trainings: Callable[[str, Drawn], list[Training]]
    finished: Sequence[tuple[str, Drawn]]
    borrowed: Borrowed
    is_of_checkpoints: bool = False

    @cached_property
    def noise(self) -> SeedNoise | None:
        """What another seed does; None where nothing is known of that."""
        if self.is_of_checkpoints:
            return NO_SEEDS
        own = seed_noise(self._all(self.finished), THIS_SWEEP)
        return own or seed_noise(self._all(self.borrowed.drawn), self.borrowed.source)

    def _all(self, drawn: Sequence[tuple[str, Drawn]]) -> list[Training]:
        """Returns each training once, as the first variant that was trained so has evaluated it."""
        found: dict[tuple[str, int], Training] = {}
        for label, each in drawn:
            for one in self.trainings(label, each):
                found.setdefault((one.variant, one.seed), one)
        return list(found.values())

    def mean(self, label: str, drawn: Drawn) -> Sampled | None:
        """Returns the mean over the seeds of a candidate."""
        return mean_over_seeds(self.trainings(label, drawn), self.noise)

    def minus(self, one: tuple[str, Drawn], other: tuple[str, Drawn]) -> Sampled | None:
        """Returns the first less the second."""
        return minus(self.trainings(*one), self.trainings(*other), self.noise)

    def weighted_sum(self, parts: Sequence[tuple[str, Drawn, float]]) -> Sampled | None:
        """Returns a contrast of several."""
        return weighted_sum([(self.trainings(label, drawn), weight) for label, drawn, weight in parts], self.noise)


class Bench:
    """All the candidates, from which the evidence of any metric is had.

    Args:
        candidates: in any state.
        borrowed: see :class:`Borrowed`.
        is_of_checkpoints: what is compared are files, not variants.
    """

    def __init__(
        self, candidates: Sequence[Candidate], borrowed: Borrowed | None = None, is_of_checkpoints: bool = False
    ) -> None:
        self.candidates, self.borrowed = candidates, borrowed or Borrowed()
        self.is_of_checkpoints = is_of_checkpoints
        self._known: dict[tuple[str, str], Evidence] = {}

    def of(self, metric: str) -> Evidence:
        """Returns what there is of the sweep's metric, on validation."""
        return self._evidence("metric", metric, lambda drawn: drawn.metric)

    def of_class(self, metric: str) -> Evidence:
        """Returns what there is of a class's AP, on validation."""
        return self._evidence("class", metric, lambda drawn: drawn.by_class)

    def of_test(self, metric: str) -> Evidence:
        """Returns what there is of the metric on the test split, of the same checkpoints."""
        return self._evidence("test", metric, lambda drawn: drawn.test)

    def of_gap(self, metric: str) -> Evidence:
        """Returns what there is of the metric on validation less that on test, training by training."""
        return self._evidence("gap", metric, lambda drawn: drawn.metric, lambda drawn: drawn.test)

    def _evidence(
        self,
        kind: str,
        metric: str,
        pick: Callable[[Drawn], Sequence[Replicates]],
        less: Callable[[Drawn], Sequence[Replicates]] | None = None,
    ) -> Evidence:
        trained_as = {one.label: one.trained_as or one.label for one in self.candidates}

        def trainings(label: str, drawn: Drawn) -> list[Training]:
            name = trained_as.get(label, label)
            ours = trainings_of(name, drawn.seeds, pick(drawn), metric)
            if less is None:
                return ours
            theirs = trainings_of(name, drawn.seeds, less(drawn), metric)
            return [one.minus(other) for one, other in zip(ours, theirs, strict=True)] if ours and theirs else []

        if (kind, metric) not in self._known:
            ended = [one for one in self.candidates if one.status == TrialState.FINISHED]
            finished = [(one.label, one.shown) for one in ended]
            self._known[kind, metric] = Evidence(trainings, finished, self.borrowed, self.is_of_checkpoints)
        return self._known[kind, metric]
