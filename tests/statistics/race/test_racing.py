from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from agropest.statistics.race.entrant import Entrant, Sample, Stop
from agropest.statistics.race.racing import RaceRule, race
from agropest.statistics.race.training_noise import NoiseVariance

LOOKS = (100, 200, 300, 400)
RULE = RaceRule(level=0.05, num_entrants=3, num_sources=1000)
# As if a training, repeated, gave the same: what is left are the images.
NO_NOISE = NoiseVariance(0.0, math.inf, "none")
ON_IMAGES = replace(RULE, seed_noise=NO_NOISE, checkpoint_noise=NO_NOISE)


def sample(value: float, noise: float = 1.0, seed: int = 0) -> Sample:
    """A metric whose replicates have a standard deviation of about ``noise``, other draws than another seed's."""
    return Sample(value, value + noise * np.random.default_rng(seed).standard_normal(500))


def entrant(name: str, values: Mapping[int, float], **more: object) -> Entrant:
    seed = int.from_bytes(name.encode())
    samples = {t: sample(v, seed=seed) for t, v in values.items()}
    return Entrant(name, LOOKS, samples, **more)  # type: ignore[arg-type]


def flat(name: str, value: float, until: int = 400, **more: object) -> Entrant:
    return entrant(name, {t: value for t in LOOKS if t <= until}, **more)


def test_a_variant_is_out_once_the_bootstrap_says_it_is_worse() -> None:
    out = race([flat("a", 40), flat("b", 30), flat("c", 39)], ON_IMAGES)
    assert set(out) == {"b"}
    assert (out["b"].iteration, out["b"].rival) == (100, "a")
    assert out["b"].difference == -10
    # Two independent standard deviations of 1; 0.05 over 3 looks, of which the first saves 3 of 6, and 2 rivals.
    assert out["b"].std_error == pytest.approx(2**0.5, rel=0.1)
    assert out["b"].needed == pytest.approx(NormalDist().inv_cdf(1 - 0.05 * 3 / 6 / 2) * out["b"].std_error, rel=0.01)
    assert "worse than a at iteration 100: -10.00" in str(out["b"])


def test_the_error_is_spent_where_a_stop_saves_most_and_no_more_than_there_is() -> None:
    one = flat("a", 40)
    assert [one.part_of_error(look) for look in one.looks] == [3 / 6, 2 / 6, 1 / 6]
    late = flat("a", 40, first_look=200)
    assert [late.part_of_error(look) for look in late.looks] == [2 / 3, 1 / 3]


def test_who_begins_further_behind_is_not_judged_in_the_first_quarter() -> None:
    looks = (50, 100, 200, 400)
    noise = np.random.default_rng(0).standard_normal(500)
    samples = {
        name: {t: Sample(v, v + (0.1 + s) * noise) for t in looks} for name, v, s in (("a", 40.0, 0), ("b", 20.0, 1))
    }
    fitting, afresh = (Entrant("b", looks, samples["b"], start=start) for start in ("3 anchors", "9 anchors"))
    leader = Entrant("a", looks, samples["a"], start="3 anchors")
    assert race([leader, fitting], RULE)["b"].iteration == 50
    assert race([leader, afresh], RULE)["b"].iteration == 100


def test_pairing_is_what_counts_not_how_uncertain_each_is() -> None:
    noise = np.random.default_rng(0).standard_normal(500) * 5
    close = [Entrant(n, LOOKS, {100: Sample(v, v + noise)}, is_over=True) for n, v in (("a", 40.0), ("b", 39.9))]
    assert set(race(close, ON_IMAGES)) == {"b"}
    assert race(close, RULE) == {}  # another seed may turn it round


def test_nothing_is_decided_at_the_last_evaluation_nor_in_the_grace_period() -> None:
    assert race([entrant("a", {400: 40}, is_over=True), entrant("b", {400: 10}, is_over=True)], RULE) == {}
    out = race([flat("a", 40), flat("b", 10, first_look=250)], RULE)
    assert out["b"].iteration == 300


def test_what_the_decay_may_still_give_is_allowed_for() -> None:
    rule = RaceRule(level=0.05, num_entrants=2, num_sources=1000, allowance=0.3, equal_allowance=0.02)
    to_come = {100: 1.0, 200: 1.0, 300: 0.09, 400: 0.0}
    other = flat("a", 40, decay_to_come=to_come, curve="x")
    behind = flat("b", 30, decay_to_come=to_come, curve="y")
    alike = flat("b", 30, decay_to_come=to_come, curve="x")
    assert race([other, behind], rule)["b"].iteration == 300  # 12 AP may come until then
    assert race([other, alike], rule)["b"].iteration == 100  # of equal schedules a third of that
    winner = entrant("b", {100: 30, 200: 30, 300: 42, 400: 43}, decay_to_come=to_come, curve="y")
    assert race([other, winner], rule) == {}


def test_indifference_stops_what_cannot_be_better_by_enough_but_never_the_leader() -> None:
    noise = np.random.default_rng(0).standard_normal(500)
    equal = [Entrant(n, LOOKS, {100: Sample(v, v + 0.1 * s * noise)}, is_over=True) for n, v, s in
             (("a", 40.0, 1), ("b", 39.95, 2), ("c", 40.05, 3))]  # fmt: skip
    assert race(equal, RULE) == {}
    rule = replace(ON_IMAGES, indifference=1.0)
    assert set(race(equal, rule)) == {"a", "b"}


def test_what_is_not_a_number_is_never_stopped_nor_stops_anyone() -> None:
    assert race([flat("a", 40), flat("b", float("nan"))], RULE) == {}


def test_too_few_images_decide_nothing() -> None:
    few = RaceRule(level=0.05, num_entrants=2, num_sources=99)
    assert race([flat("a", 40), flat("b", 10)], few) == {}


def test_any_order_of_arrival_ends_with_the_same_stops() -> None:
    """d beats b at 100; b, had it continued, would have beaten c at 200, where d does not: b must not count there."""
    values = {
        "b": {100: 30, 200: 60, 300: 60, 400: 60},
        "c": {100: 38, 200: 40, 300: 40, 400: 40},
        "d": {100: 40, 200: 40, 300: 40, 400: 40},
    }
    arrivals = [(name, t) for name in values for t in LOOKS]
    rng = np.random.default_rng(0)
    for _ in range(200):
        order = sorted(rng.permutation(len(arrivals)), key=lambda i: arrivals[i][1] + 250 * rng.random())
        seen: dict[str, dict[int, float]] = {name: {} for name in values}
        out: dict[str, int] = {}
        for index in order:
            name, t = arrivals[index]
            seen[name][t] = values[name][t]
            now = {n: s.iteration for n, s in race([entrant(n, seen[n]) for n in values], RULE).items()}
            assert now.items() >= out.items()  # nobody comes back
            out = now
        assert out == {"b": 100}


def test_what_failed_is_not_waited_for() -> None:
    entrants = [flat("a", 40), flat("b", 39, until=100), flat("c", 0, first_look=300)]
    assert race(entrants, RULE) == {}  # b has yet to come to 200
    entrants[1] = flat("b", 39, until=100, is_over=True)
    assert set(race(entrants, RULE)) == {"c"}


def test_one_that_stays_puts_others_out_and_is_never_out() -> None:
    assert set(race([flat("a", 40), flat("b", 30), flat("c", 20)], RULE)) == {"b", "c"}
    out = race([flat("a", 40), flat("b", 30, stays=True), flat("c", 20)], RULE)
    assert set(out) == {"c"}
    assert out["c"].rival == "a"
    assert race([flat("b", 30, stays=True), flat("c", 20)], RULE)["c"].rival == "b"


def test_equal_variants_are_stopped_more_rarely_than_the_level() -> None:
    """500 sweeps of 4 equal variants: the error of every variant, over all looks, which are independent here."""
    rng = np.random.default_rng(1)
    rule = replace(ON_IMAGES, level=0.2, num_entrants=4)
    stopped = 0
    for _ in range(500):
        entrants = []
        for name in "abcd":
            samples = {}
            for t in LOOKS:
                value = rng.standard_normal()
                samples[t] = Sample(40 + value, 40 + value + rng.standard_normal(60))
            entrants.append(Entrant(name, LOOKS, samples))
        stopped += len(race(entrants, rule))
    assert 0.08 < stopped / 2000 <= 0.2


def seeded(values: Sequence[float], rng: np.random.Generator, images: float = 1.0) -> Sample:
    """The mean over trainings of which each has its own replicates, with a standard deviation of ``images``."""
    return Sample.mean([Sample(one, one + images * rng.standard_normal(100)) for one in values])


@pytest.mark.parametrize(("seeds", "of_seed"), [(2, 0.0), (2, 1.0), (2, 3.0), (3, 3.0)])
def test_seeds_do_not_stop_equal_variants_oftener(seeds: int, of_seed: float) -> None:
    """200 sweeps; with every pair's own variance and a normal quantile it is 20 % (2 seeds, 3.0) and 12 %."""
    rng = np.random.default_rng(3)
    rule = RaceRule(level=0.05, num_entrants=4, num_sources=1000)
    stopped = 0
    for _ in range(200):
        true = rng.normal(0, 1, (4, seeds)) + rng.normal(0, of_seed, (4, seeds))
        noise = [{t: seeded(40 + own + rng.normal(0, 0.2, seeds), rng) for t in LOOKS} for own in true]
        stopped += len(race([Entrant(name, LOOKS, s) for name, s in zip("abcd", noise, strict=True)], rule))
    assert stopped / 800 <= 0.07  # the level, and what 200 sweeps do not tell


def test_with_seeds_nobody_is_judged_before_all_are_there() -> None:
    rng = np.random.default_rng(0)
    here = {name: {100: seeded([value, value + 0.1], rng)} for name, value in (("a", 40.0), ("b", 30.0))}
    entrants = [Entrant(name, LOOKS, samples) for name, samples in here.items()]
    assert race([*entrants, flat("c", 39, until=0)], RULE) == {}
    assert set(race([*entrants, flat("c", 39, until=0, is_over=True)], RULE)) == {"b"}
    assert set(race(entrants, RULE)) == {"b"}


def test_the_spread_of_seeds_is_that_of_all_variants_together() -> None:
    """b is 6 behind a; a's own seeds and b's agree, those of c and d say that a seed moves a training by 6."""
    rng = np.random.default_rng(0)
    values = {"a": (40.0, 40.2), "b": (34.0, 34.2), "c": (33.0, 43.0), "d": (42.0, 32.0)}
    entrants = [Entrant(name, LOOKS, {100: seeded(v, rng)}, is_over=True) for name, v in values.items()]
    assert set(race(entrants[:2], RULE)) == {"b"}
    assert race(entrants, RULE) == {}


@pytest.mark.parametrize("sd", [0.6, 0.9])
def test_seeds_nobody_has_seen_do_not_stop_equal_variants(sd: float) -> None:
    """300 sweeps of 4 equal variants with one seed each; on 1,000 images as good as exact, and checkpoints of 0.3."""
    rng = np.random.default_rng(5)
    stopped = {"assumed": 0, "on images": 0}
    for _ in range(300):
        off = sd * rng.standard_normal(4)
        entrants = [
            Entrant(name, LOOKS, {t: sample(40 + one + rng.normal(0, 0.3), 0.2, i) for t in LOOKS})
            for i, (name, one) in enumerate(zip("abcd", off, strict=True))
        ]
        stopped["assumed"] += len(race(entrants, replace(RULE, num_entrants=4)))
        stopped["on images"] += len(race(entrants, replace(ON_IMAGES, num_entrants=4)))
    assert stopped["assumed"] / 1200 <= 0.05
    assert stopped["on images"] / 1200 > 0.3


LONG = tuple(range(100, 1001, 100))


def jumping(name: str, level: float, jump: float, looks: Sequence[int] = LONG) -> Entrant:
    """A variant whose evaluations jump up and down; every variant in its own rhythm."""
    rng = np.random.default_rng(int.from_bytes(name.encode()))
    values = {t: level + jump * float(rng.standard_normal()) for t in LONG}
    return Entrant(name, LONG, {t: sample(values[t], 0.1, 7) for t in looks}, first_look=500)


def test_curves_that_jump_decide_later_than_smooth_ones() -> None:
    rule = replace(RULE, num_entrants=6)
    levels = {"a": 40.0, "b": 40.0, "c": 40.0, "d": 40.0, "e": 40.0, "f": 34.0}
    smooth = race([jumping(n, v, 0.1) for n, v in levels.items()], rule)
    assert {name: stop.iteration for name, stop in smooth.items()} == {"f": 500}
    assert smooth["f"].training_sd == pytest.approx(0.9, abs=0.05)  # what another seed is taken to do
    jumpy = race([jumping(n, v, 2.0) for n, v in levels.items()], rule)
    assert {name: stop.iteration for name, stop in jumpy.items()} == {"f": 700}
    assert jumpy["f"].training_sd == pytest.approx((0.9**2 + 2.0**2) ** 0.5, rel=0.3)


def test_the_noise_of_training_is_the_same_in_any_order_of_arrival() -> None:
    rule = replace(RULE, num_entrants=4)
    levels = {"a": 40.0, "b": 38.0, "c": 36.0, "d": 30.0}
    arrivals = [(name, t) for name in levels for t in LONG]
    whole = race([jumping(n, v, 0.6) for n, v in levels.items()], rule)
    assert "d" in whole
    rng = np.random.default_rng(0)
    for _ in range(50):
        order = sorted(rng.permutation(len(arrivals)), key=lambda i: arrivals[i][1] + 250 * rng.random())
        seen: dict[str, list[int]] = {name: [] for name in levels}
        out: dict[str, Stop] = {}
        for index in order:
            seen[arrivals[index][0]].append(arrivals[index][1])
            now = race([jumping(n, v, 0.6, seen[n]) for n, v in levels.items()], rule)
            assert now.keys() >= out.keys()  # nobody comes back
            out = now
        assert out == whole  # with every figure of every stop


def test_a_stop_says_what_training_was_taken_to_add() -> None:
    known = NoiseVariance(0.25, 20.0, "from 6 finished trainings of other sweeps")
    rule = replace(RULE, seed_noise=known, checkpoint_noise=NO_NOISE)
    stop = race([flat("a", 40), flat("b", 20)], rule)["b"]
    assert str(stop).endswith("a training varies by 0.50, from 6 finished trainings of other sweeps)")
