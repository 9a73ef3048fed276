"""Racing: which variants of a sweep need not be trained further, as a pure function of the stored evaluations.

A variant is out as soon as, at an iteration that both have been evaluated at, the paired bootstrap on the validation
images says that it is worse than another one that is still in the race:

    (1)  d - margin > z * se

d: difference of the metric on the same images; z: the quantile of Student's t at this look's part of level / rivals;
se: the standard error of d as a difference between variants, not between two checkpoints: what other images would have
shown, by the resamples, and what training the same again would have given,

    (2)  se^2 = var(d over resamples) + (variance of a seed + of a checkpoint) * (1 / seeds + 1 / rival's seeds)

Of the second part little is known (:mod:`agropest.statistics.race.training_noise`): a seed's variance is assumed, or
is that of finished trainings of the store; a checkpoint's is what the curves of all variants have jumped by at the
iterations before. Where variants have several seeds, their spread says both at once, and is pooled over all variants:
two or three seeds of one variant say too little, and with each pair's own variance 21 % (two seeds) and 13 % (three)
of 8 equal variants were stopped where seeds spread twice as much as images do (level: 5 %). Nobody is then judged at
an iteration before all are there. Student's t has the degrees of freedom of the whole (Welch and Satterthwaite). That
is no exact test: of 2 to 4 equal variants with two seeds each, that spread twice as much as was assumed, up to 6 % are
stopped.

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
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from agropest.statistics.inference import freedom_of_parts
from agropest.statistics.race.entrant import Entrant, Sample, Stop
from agropest.statistics.race.training_noise import (
    ASSUMED_CHECKPOINT_NOISE,
    OF_THIS_SWEEP,
    CheckpointNoise,
    NoiseVariance,
    assumed_seed_noise,
    seen_over_seeds,
)

# The share of the schedule before which variants wait whose learning curves rise differently.
EARLY = 0.25
# With fewer validation images the bootstrap itself says too little: with 40, 7 % of equal variants were stopped.
FEWEST_SOURCES = 100


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
        seed_noise: what another seed does to one training, as far as it is known before the race.
        checkpoint_noise: the same of another checkpoint.
    """

    level: float
    num_entrants: int
    num_sources: int
    allowance: float = 0.0
    equal_allowance: float = 0.0
    indifference: float = 0.0
    seed_noise: NoiseVariance = field(default_factory=assumed_seed_noise)
    checkpoint_noise: NoiseVariance = ASSUMED_CHECKPOINT_NOISE


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
    shown = _Shown(rule)
    for iteration in sorted({t for entrant in entrants for t in entrant.evaluates_at}):
        racing = [entrant for entrant in entrants if entrant.name not in out]
        arrived = [entrant for entrant in racing if iteration in entrant.samples]
        to_come = [one for one in racing if iteration in one.evaluates_at and iteration not in one.samples]
        missing = [one for one in to_come if one.will_come(iteration)]
        noise, is_of_all = shown.noise(iteration, arrived)
        if missing and is_of_all:
            break
        for entrant in arrived:
            stop = judge(entrant, arrived, iteration, rule, noise, known)
            if stop is not None:
                out[entrant.name] = stop
        if missing:
            break
    return out


class _Shown:
    """What the evaluations up to an iteration show of the noise of training, those who are out included till then."""

    def __init__(self, rule: RaceRule) -> None:
        self.rule = rule
        self._newest: dict[str, Sample] = {}
        self._checkpoints = CheckpointNoise()

    def noise(self, iteration: int, arrived: Sequence[Entrant]) -> tuple[NoiseVariance, bool]:
        """Returns the noise of one training, and whether who is still missing at the iteration would change it.

        Checkpoints are compared up to the iteration before, at which nobody is missing. Seeds are at this one, because
        what they do changes while a training continues.
        """
        checkpoint = self.rule.checkpoint_noise.updated(self._checkpoints.seen)
        self._checkpoints.add(iteration, {one.name: (one.curve, one.samples[iteration]) for one in arrived})
        self._newest.update({one.name: one.samples[iteration] for one in arrived})
        over_seeds = seen_over_seeds(self._newest.values())
        # Trainings with other seeds are other checkpoints, too: their spread holds both.
        noise = self.rule.seed_noise.plus(checkpoint).updated(over_seeds, OF_THIS_SWEEP)
        return noise, over_seeds.freedom > 0


def judge(
    entrant: Entrant, rivals: Sequence[Entrant], iteration: int, rule: RaceRule, noise: NoiseVariance, known: Known
) -> Stop | None:
    """Returns why an entrant is out at an iteration, by the rival that is furthest beyond what is needed, or None."""
    if entrant.stays or iteration not in entrant.looks:
        return None
    stops = []
    for rival in rivals:
        key = (entrant.name, rival.name, iteration)
        if rival is not entrant and key not in known:
            known[key] = _compare(entrant, rival, iteration, rule, noise)
        if rival is not entrant and (stop := known[key]) is not None:
            stops.append(stop)
    return max(stops, key=lambda stop: (-stop.difference - stop.needed, stop.rival), default=None)


def _compare(entrant: Entrant, rival: Entrant, iteration: int, rule: RaceRule, noise: NoiseVariance) -> Stop | None:
    ours, theirs = entrant.samples[iteration], rival.samples[iteration]
    ahead = theirs.value - ours.value
    if not ahead > 0:  # nor when one of them is not a number
        return None
    same_curve = entrant.curve == rival.curve
    same_start = same_curve and entrant.start == rival.start
    if not same_start and iteration < EARLY * entrant.evaluates_at[-1]:
        return None
    differences = theirs.replicates - ours.replicates
    of_training = noise.variance * (1 / ours.num_seeds + 1 / theirs.num_seeds)
    variance = float(np.var(differences[~np.isnan(differences)], ddof=1)) + of_training
    is_known = math.isinf(noise.freedom)
    freedom = freedom_of_parts(variance, [] if is_known else [(of_training, max(int(noise.freedom), 1))])
    error = rule.level * entrant.part_of_error(iteration) / max(rule.num_entrants - 1, 1)
    std_error = math.sqrt(variance)
    still = max(entrant.decay_to_come.get(iteration, 0.0), rival.decay_to_come.get(iteration, 0.0))
    share = rule.equal_allowance if same_curve else rule.allowance
    quantile = -float(stdtrit(min(freedom, rule.num_sources - 1), error))
    needed = quantile * std_error + share * still * theirs.value - rule.indifference
    return Stop(iteration, rival.name, -ahead, std_error, needed, noise.sd, noise.source) if ahead > needed else None
