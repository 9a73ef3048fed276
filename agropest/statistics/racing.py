"""Racing: which variants of a sweep need not be trained further, as a pure function of the stored evaluations.

A variant is out as soon as, at an iteration that both have been evaluated at, the paired bootstrap on the validation
images says that it is worse than another one that is still in the race:

    (1)  d - margin > z * se

d: difference of the metric on the same images; se: its standard deviation over the same resamples of these images;
z: the quantile of Student's t (the normal distribution's, but for few images) at this look's part of level / rivals.

With several seeds d is a difference of means, and se holds what other seeds would have done to them. Two or three seeds
of one variant say little about that, and at such a small error Student's t makes nothing of it: so all variants are
taken to spread alike, the variance of a seed is estimated from all of them together, and nobody is judged at an
iteration before all of them are there. With each pair's own variance and a normal quantile, 21 % (two seeds) and 13 %
(three) of 8 equal variants were stopped where seeds spread twice as much as images do (level: 5 %); so it is 4 and 1 %.
The approximation is not exact: of 2 to 4 equal variants with two seeds each up to 6 % are stopped.

The error is spent over the looks (iterations at which the variant may be stopped) and the rivals (the other variants),
by Bonferroni's inequality, whatever their dependence: a variant that no other is better than, by the metric on all
images of the kind, is stopped with a chance of at most ``level`` in the whole sweep. Rivals get equal parts; a look
gets one in proportion to the iterations that a stop there saves.

The margin is for what the images cannot tell: a variant may be behind before its learning rate decays and ahead
afterwards. It is ``allowance`` * (the rival's metric) * (the share of the decay that is still to come), with the much
smaller ``equal_allowance`` between variants whose schedule, augmentation and backbone are the same. Once the last decay
is past it is nothing. Variants whose schedules, augmentation or backbones differ are not compared in the first quarter
at all: they rise at different speeds. Nor are those of which one begins further behind: another loss, or a head or a
number of anchors that does not fit the initial weights. benchmarks/bench_stopping.py measures what this costs, and what
it saves.

The sweep's baseline puts others out and is never out itself: everything else is compared with it, at the end of its
schedule.

Order does not matter. Who is in the race at an iteration is settled by the iterations before: nobody is judged at an
iteration before everyone who is still in has been evaluated at all earlier ones, and what a variant did after it was
out counts for nothing. So any order of arrival, and any replay from the store, ends with the same stops.

Sources: Maron and Moore, Hoeffding races (NIPS 1994); Birattari et al., A racing algorithm for configuring
metaheuristics (GECCO 2002), which blocks on instances as this does on images; O'Brien and Fleming (Biometrics 1979) and
Lan and DeMets (Biometrika 1983) on spending an error over looks. Here all images are looked at each time, so the
looks are anything but independent, and a split that adds up is the plain, safe one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from agropest.statistics.bootstrap import variance_of_seed
from agropest.statistics.inference import freedom_of_parts
from agropest.sweep.sections.stop_rule import most_rungs, rung_iteration

FloatArray = npt.NDArray[np.float64]

# The share of the schedule before which variants wait whose learning curves rise differently.
EARLY = 0.25
# With fewer validation images the bootstrap itself says too little: with 40, 7 % of equal variants were stopped.
FEWEST_SOURCES = 100


@dataclass(frozen=True)
class Sample:
    """A variant's metric at one iteration.

    Attributes:
        value: on the images as they are, percent; with several seeds their mean.
        replicates: on each resample of them, [R]; resample r is the same images for every variant.
        num_seeds: trainings behind the value.
        of_seed: the variance that another seed makes in one training (:func:`bootstrap.variance_of_seed`); of one
            training it is not known.
    """

    value: float
    replicates: FloatArray
    num_seeds: int = 1
    of_seed: float = 0.0

    @staticmethod
    def mean(trained: Sequence[Sample]) -> Sample:
        """Returns the mean over trainings of one variant, one from each seed."""
        values = np.array([one.value for one in trained])
        replicates = np.stack([one.replicates for one in trained])
        of_seed = variance_of_seed(values, replicates) if len(trained) > 1 else 0.0
        return Sample(float(values.mean()), replicates.mean(axis=0), len(trained), of_seed)


@dataclass(frozen=True)
class Spread:
    """What another seed does to a training, as far as a number of variants show it together.

    Attributes:
        variance: percent points squared; 0 where each has one seed, and nothing is known.
        freedom: its degrees of freedom.
    """

    variance: float
    freedom: int

    @staticmethod
    def pooled(samples: Sequence[Sample]) -> Spread:
        """Returns the spread that variants have in common."""
        known = [one for one in samples if not math.isnan(one.of_seed)]
        freedom = sum(one.num_seeds - 1 for one in known)
        total = sum((one.num_seeds - 1) * one.of_seed for one in known)
        return Spread(max(total / max(freedom, 1), 0.0), freedom)


@dataclass(frozen=True)
class Entrant:
    """One variant of the race.

    Attributes:
        name: its label.
        evaluates_at: every iteration at which it is evaluated, the last one included, ascending.
        samples: by iteration, those at which every one of its seeds has been evaluated.
        first_look: no decision on it before this iteration.
        decay_to_come: by iteration, share of the learning rate's decay that is still ahead, in [0, 1].
        curve: what the shape of its learning curve depends on; only compared.
        start: what decides how far behind it begins; only compared.
        is_over: no more evaluations will come (it has failed, or is left out of this launch).
        comes_until: the last iteration at which all of its seeds can be there before the next launch.
        stays: it is never out, however far behind: the sweep's baseline.
    """

    name: str
    evaluates_at: tuple[int, ...]
    samples: Mapping[int, Sample]
    first_look: int = 0
    decay_to_come: Mapping[int, float] = field(default_factory=dict)
    curve: str = ""
    start: str = ""
    is_over: bool = False
    comes_until: float = math.inf
    stays: bool = False

    @property
    def looks(self) -> tuple[int, ...]:
        """Iterations at which it may be stopped; at the last there is nothing left to save."""
        return tuple(t for t in self.evaluates_at[:-1] if t >= self.first_look)

    def will_come(self, iteration: int) -> bool:
        """Returns whether an evaluation that is not there yet is waited for."""
        return not self.is_over and iteration <= self.comes_until

    def part_of_error(self, look: int) -> float:
        """Returns the part of the error that is spent at a look; those of all looks add up to 1."""
        end = self.evaluates_at[-1]
        return (end - look) / sum(end - t for t in self.looks)


@dataclass(frozen=True)
class RaceRule:
    """How the race is run.

    Attributes:
        level: the highest chance that a variant that none is better than is ever stopped.
        num_entrants: of the whole sweep: what the level is divided by does not depend on who has arrived.
        num_sources: independent validation images.
        allowance: margin before the decay, as a share of the rival's metric.
        equal_allowance: the same between variants whose learning curves have the same shape.
        indifference: difference in percent points that does not matter, taken off the margin.
    """

    level: float
    num_entrants: int
    num_sources: int
    allowance: float = 0.0
    equal_allowance: float = 0.0
    indifference: float = 0.0


@dataclass(frozen=True)
class Stop:
    """Why a variant is out.

    Attributes:
        iteration: at which it was compared.
        rival: the variant it is worse than.
        difference: of the metric to that variant's, percent points; negative.
        std_error: of the difference; not a number where none was asked for.
        needed: how far behind it had to be.
    """

    iteration: int
    rival: str
    difference: float
    std_error: float
    needed: float

    def __str__(self) -> str:
        if math.isnan(self.std_error):
            return f"{-self.difference:.2f} behind {self.rival}, the last to go on, at iteration {self.iteration}"
        return (
            f"worse than {self.rival} at iteration {self.iteration}: {self.difference:+.2f} "
            f"(standard error {self.std_error:.2f}, {-self.needed:+.2f} was enough)"
        )


Known = dict[tuple[str, str, int], Stop | None]


def race(entrants: Sequence[Entrant], rule: RaceRule, known: Known | None = None) -> dict[str, Stop]:
    """Returns who is out, by name, as far as the stored evaluations settle it; more evaluations only add to it.

    Args:
        known: comparisons of an earlier call with the same rule, by entrant, rival and iteration; is added to.
    """
    known = {} if known is None else known
    out: dict[str, Stop] = {}
    if rule.num_sources < FEWEST_SOURCES:
        return out
    newest: dict[str, Sample] = {}  # of everyone, those who are out included, as of when they went
    for iteration in sorted({t for entrant in entrants for t in entrant.evaluates_at}):
        racing = [entrant for entrant in entrants if entrant.name not in out]
        arrived = [entrant for entrant in racing if iteration in entrant.samples]
        to_come = [one for one in racing if iteration in one.evaluates_at and iteration not in one.samples]
        missing = [one for one in to_come if one.will_come(iteration)]
        newest.update({entrant.name: entrant.samples[iteration] for entrant in arrived})
        spread = Spread.pooled(list(newest.values()))
        if missing and spread.freedom:
            break
        for entrant in arrived:
            stop = judge(entrant, arrived, iteration, rule, spread, known)
            if stop is not None:
                out[entrant.name] = stop
        if missing:
            break
    return out


def judge(
    entrant: Entrant, rivals: Sequence[Entrant], iteration: int, rule: RaceRule, spread: Spread, known: Known
) -> Stop | None:
    """Returns why an entrant is out at an iteration, by the rival that is furthest beyond what is needed, or None."""
    if entrant.stays or iteration not in entrant.looks:
        return None
    stops = []
    for rival in rivals:
        key = (entrant.name, rival.name, iteration)
        if rival is not entrant and key not in known:
            known[key] = _compare(entrant, rival, iteration, rule, spread)
        if rival is not entrant and (stop := known[key]) is not None:
            stops.append(stop)
    return max(stops, key=lambda stop: (-stop.difference - stop.needed, stop.rival), default=None)


def _compare(entrant: Entrant, rival: Entrant, iteration: int, rule: RaceRule, spread: Spread) -> Stop | None:
    ours, theirs = entrant.samples[iteration], rival.samples[iteration]
    ahead = theirs.value - ours.value
    if not ahead > 0:  # nor when one of them is not a number
        return None
    same_curve = entrant.curve == rival.curve
    same_start = same_curve and entrant.start == rival.start
    if not same_start and iteration < EARLY * entrant.evaluates_at[-1]:
        return None
    differences = theirs.replicates - ours.replicates
    of_seeds = spread.variance * (1 / ours.num_seeds + 1 / theirs.num_seeds)
    variance = float(np.var(differences[~np.isnan(differences)], ddof=1)) + of_seeds
    freedom = freedom_of_parts(variance, [(of_seeds, spread.freedom)] if spread.freedom else [])
    error = rule.level * entrant.part_of_error(iteration) / max(rule.num_entrants - 1, 1)
    std_error = math.sqrt(variance)
    still = max(entrant.decay_to_come.get(iteration, 0.0), rival.decay_to_come.get(iteration, 0.0))
    share = rule.equal_allowance if same_curve else rule.allowance
    quantile = -float(stdtrit(min(freedom, rule.num_sources - 1), error))
    needed = quantile * std_error + share * still * theirs.value - rule.indifference
    return Stop(iteration, rival.name, -ahead, std_error, needed) if ahead > needed else None


def halving(entrants: Sequence[Entrant], reduction_factor: float) -> dict[str, Stop]:
    """Returns who is out by HyperBand's rule: brackets of successive halving, each from another first rung.

    Li et al., Hyperband (JMLR 2018), section 3, with a rung at the first evaluation past each share eta^-k of the
    schedule. The brackets are filled in the order of the entrants, the most aggressive first. A rung is decided when
    everyone in the bracket who is still in has reached it, so that the order of arrival does not matter. An entrant
    that stays takes its place where it ranks, and goes on beside those who are kept where it ranks below them.
    """
    out: dict[str, Stop] = {}
    for first_rung, members in _brackets(entrants, reduction_factor):
        out.update(_halve_bracket(members, first_rung, reduction_factor))
    return out


def _brackets(entrants: Sequence[Entrant], eta: float) -> list[tuple[int, list[Entrant]]]:
    """Returns (number of rungs before the end, members) of each bracket."""
    num_looks = max((len(entrant.evaluates_at) for entrant in entrants), default=1)
    most = most_rungs(num_looks, eta)
    brackets, rest, number = [], list(entrants), most
    while rest:
        size = math.ceil((most + 1) / (number + 1) * eta**number)
        brackets.append((number, rest[:size]))
        rest = rest[size:]
        number = number - 1 if number else most
    return brackets


def _halve_bracket(members: Sequence[Entrant], num_rungs: int, eta: float) -> dict[str, Stop]:
    out: dict[str, Stop] = {}
    for rung in range(num_rungs, 0, -1):
        racing = [entrant for entrant in members if entrant.name not in out]
        at = {one.name: rung_iteration(one.evaluates_at, eta**-rung, one.first_look) for one in racing}
        here = [entrant for entrant in racing if at[entrant.name] in entrant.samples]
        if any(entrant.will_come(at[entrant.name]) for entrant in racing if entrant not in here):
            break
        values = {entrant.name: entrant.samples[at[entrant.name]].value for entrant in here}
        ranked = sorted(here, key=lambda entrant: -values[entrant.name])  # stable: of equals the first in the plan
        keep = max(1, int(len(here) / eta))
        for entrant in (one for one in ranked[keep:] if not one.stays):
            last = ranked[keep - 1]
            behind = values[entrant.name] - values[last.name]
            out[entrant.name] = Stop(at[entrant.name], last.name, behind, math.nan, 0.0)
    return out
