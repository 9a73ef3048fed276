"""What a comparison says, as values: of every variant, of the factors, of seeds, of the metric as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agropest.analysis.guards import GuardResult
from agropest.statistics.inference import Difference, Estimate
from agropest.statistics.rare_classes import FewImages
from agropest.statistics.seed_noise import SeedNoise
from agropest.store.records import TrialState


@dataclass(frozen=True)
class ComparedVariant:
    """One variant, or one prediction file.

    Attributes:
        rank: among the variants of which all seeds have finished, from 1; None for the others.
        status: of the store; of several seeds the best one's, or how many have finished where not all have.
        seeds: of the trials behind the figures.
        iterations: of the evaluations behind the figures, one for each seed.
        estimate: of the metric on validation, mean over seeds; its interval holds image sampling, and with several
            seeds the spread across them too.
        by_seed: of the metric, one for each seed; their intervals hold image sampling only.
        ap_deployed: AP of the boxes at or above the deployed threshold, mean over seeds.
        seed_spread: standard deviation across seeds; None with one seed.
        difference: to the baseline; None for the baseline itself and where nothing can be compared.
        equal_iterations: where the variant or the baseline has not finished: the iterations at which they were
            compared, by seed; empty otherwise.
        ties_with_best: not distinguishable from the variant with the highest value.
        per_class: class to the difference of its AP to the baseline's; each with an interval of its own, exploratory.
        guards: one for each guard of the sweep.
        test: of the same checkpoints on the test split; None where there is none.
        test_ap_deployed: as ``ap_deployed``, of them.
        gap: validation minus test, as :class:`Estimate`.
        test_difference: to the baseline on test; only of the variant that validation ranks first.
        notes: what a reader must know.
        corrected: of the first of several: ``estimate`` less what being chosen as the highest adds to it.
        few: the part of the difference that rests on classes in few images; None where there is none.
        behind: by how much it is behind the highest; None for that itself, and for what has no rank.
    """

    label: str
    estimate: Estimate
    rank: int | None = None
    status: str = TrialState.FINISHED
    seeds: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
    by_seed: tuple[Estimate, ...] = ()
    ap_deployed: float | None = None
    seed_spread: float | None = None
    difference: Difference | None = None
    equal_iterations: tuple[int, ...] = ()
    ties_with_best: bool = False
    per_class: Mapping[str, Estimate] = field(default_factory=dict)
    guards: tuple[GuardResult, ...] = ()
    test: Estimate | None = None
    test_ap_deployed: float | None = None
    gap: Estimate | None = None
    test_difference: Difference | None = None
    notes: tuple[str, ...] = ()
    corrected: Estimate | None = None
    few: FewImages | None = None
    behind: Difference | None = None


@dataclass(frozen=True)
class SeedFacts:
    """What is known of what another seed does to a variant.

    Attributes:
        sd: standard deviation that it makes in the metric of one training.
        freedom: degrees of freedom of its square.
        trainings, variants: behind it.
        source: where they are from, in words.
        apart: variants whose seeds spread significantly more than the others' and are judged by their own spread.
    """

    sd: float
    freedom: float
    trainings: int
    variants: int
    source: str
    apart: tuple[str, ...] = ()

    @staticmethod
    def of(noise: SeedNoise | None) -> SeedFacts | None:
        """Returns the facts for people; None where nothing is known, or files are compared."""
        if noise is None or not noise.num_trainings:
            return None
        behind = noise.num_trainings, noise.num_variants, noise.source
        return SeedFacts(noise.sd, noise.total.freedom, *behind, tuple(noise.apart))


@dataclass(frozen=True)
class Effect:
    """What a factor does; ``kind`` as in :mod:`agropest.statistics.effects`, p values corrected over the effects.

    Attributes:
        difference: of the metric.
        ap_deployed: the same of AP at the deployed threshold, without an interval; None where a variant has none.
    """

    kind: str
    factors: tuple[str, ...]
    difference: Difference
    ap_deployed: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What is known of a metric.

    Attributes:
        metric: of :mod:`agropest.statistics.accuracy.metric`.
        baseline: the label that the others are compared with.
        num_images: of the split.
        num_sources: of which they are copies: the sample size behind the intervals.
        num_boxes: annotations behind the metric.
        resamples: of the bootstrap.
        confidence: of the intervals.
        variants: ranked first, then the others.
        sentence: what is known, in one sentence.
        effects: of the factors, where the sweep has some and their variants have finished.
        damaged: names of finished trials of which something is missing or damaged; they count as interrupted.
        seeds: what is known of seeds; None where nothing is, or where files are compared.
        missing: classes of the metric that the split has nothing of: it is a mean over the others.
        num_classes: that the metric is to be a mean of; 1 where it is no mean.
        is_of_checkpoints: what is compared are prediction files: verdicts are about them, on these images.
        low_by: of ``AP_worst``: by how much it is too low because the lowest of several noisy values is chosen.
    """

    metric: str
    baseline: str
    num_images: int
    num_sources: int
    num_boxes: int
    resamples: int
    confidence: float
    variants: tuple[ComparedVariant, ...]
    sentence: str
    effects: tuple[Effect, ...] = ()
    damaged: tuple[str, ...] = ()
    seeds: SeedFacts | None = None
    missing: tuple[str, ...] = ()
    num_classes: int = 1
    is_of_checkpoints: bool = False
    low_by: float | None = None
