"""What ``race`` does where trainings vary: equal variants stopped, the best kept, iterations spent.

    python -m benchmarks.bench_stopping_noise [--images 546] [--sweeps 48] [--draws 4] [--seeds 1] [--known 0]
                                              [--seed-noise 0.9] [--level 0.05] [--resamples 100] [--seed 0]

For every size of noise: ``--sweeps`` simulated sweeps of 8 equal variants, of which 7 may be stopped, and as many whose
variants share schedule, augmentation and backbone and end 1, 2, 4 or 8 AP apart (``benchmarks.simulated_sweeps``), each
``--draws`` times with other draws of the noise on the same boxes. The baseline is never stopped. ``--known N``: the
race begins with what N + 1 finished trainings of one variant in other sweeps tell of seeds. Trials run in step, so that
what is spent is the iterations up to each variant's stop.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from agropest.statistics.race.entrant import Entrant, Stop
from agropest.statistics.race.racing import RaceRule, race
from agropest.statistics.race.training_noise import NoiseVariance, SeenVariance, assumed_seed_noise
from agropest.sweep.learning_rate import decay_to_come
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.stopping.race import SEED_NOISE
from benchmarks.simulated_sweeps import (
    END,
    EQUAL,
    KINDS,
    LOOKS,
    PERIOD,
    SPREADS,
    VARIANTS,
    Evaluations,
    Noise,
    Recorded,
    calibrate,
    draw_curves,
)

SEED_SDS = (0.0, 0.3, 0.6, 1.2)
CHECKPOINT_SDS = (0.0, 0.3, 0.5)


def simulate(arguments: argparse.Namespace, kind: str) -> list[Evaluations]:
    """Returns sweeps of one kind; their boxes are drawn when they are asked for."""
    quality, found = calibrate(), []
    for number in range(arguments.sweeps):
        seed = 10_000 * arguments.seed + 1_000 * (kind == EQUAL) + number
        spread = 0.0 if kind == EQUAL else SPREADS[number % len(SPREADS)]
        curves = draw_curves(np.random.default_rng([seed, 0]), kind, bool(number // len(SPREADS) % 2), spread)
        found.append(Evaluations(curves, quality, seed, arguments.images, arguments.resamples))
    return found


def known_noise(arguments: argparse.Namespace, sweep: Recorded) -> NoiseVariance:
    """Returns what the race knows of seeds before it begins."""
    assumed = assumed_seed_noise(arguments.seed_noise)
    if not arguments.known:
        return assumed
    rng = np.random.default_rng([sweep.seed, 5, sweep.noise.draw])
    variance = sweep.noise.variance * rng.chisquare(arguments.known) / arguments.known
    return assumed.updated(SeenVariance(variance, arguments.known, 0.0), "from other sweeps")


def run_race(sweep: Recorded, arguments: argparse.Namespace) -> dict[int, Stop]:
    """Returns who is out, by variant."""
    stop = StopRule("race")
    rule = RaceRule(
        arguments.level,
        VARIANTS,
        arguments.images,
        stop.allowance,
        stop.equal_allowance,
        seed_noise=known_noise(arguments, sweep),
    )
    to_come = {t: decay_to_come(sweep.curves.config, t) for t in LOOKS}
    entrants = [
        Entrant(str(v), LOOKS, {t: sweep.sample(v, i) for i, t in enumerate(LOOKS)}, PERIOD, to_come, stays=v == 0)
        for v in range(VARIANTS)
    ]
    return {int(name): found for name, found in race(entrants, rule).items()}


def row(arguments: argparse.Namespace, equal: Sequence[Recorded], ranked: Sequence[Recorded]) -> str:
    """Returns what the race does with one size of noise, as percentages."""
    stopped = [len(run_race(sweep, arguments)) / (VARIANTS - 1) for sweep in equal]
    spent: dict[float, list[float]] = {}
    kept = []
    for sweep in ranked:
        out = run_race(sweep, arguments)
        iterations = sum(out[v].iteration if v in out else END for v in range(VARIANTS))
        spent.setdefault(sweep.curves.spread, []).append(iterations / (VARIANTS * END))
        kept.append(sweep.keeps_best(set(range(VARIANTS)) - out.keys()))
    by_spread = " ".join(f"{100 * float(np.mean(spent[one])):5.1f}" for one in sorted(spent))
    mean = np.mean([one for values in spent.values() for one in values])
    return f"{100 * np.mean(stopped):7.2f} {100 * np.mean(kept):7.1f} {100 * mean:7.1f}   {by_spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=546, metavar="N")
    parser.add_argument("--sweeps", type=int, default=48, metavar="N", help="of each of two kinds")
    parser.add_argument("--draws", type=int, default=4, metavar="N", help="of the noise, for each sweep")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each variant")
    parser.add_argument("--known", type=int, default=0, metavar="N", help="degrees of freedom from other sweeps")
    parser.add_argument("--seed-noise", type=float, default=SEED_NOISE, metavar="AP", help="as in stop:")
    parser.add_argument("--level", type=float, default=StopRule.level, metavar="P", help="as in stop:")
    parser.add_argument("--seed-sds", type=float, nargs="+", default=SEED_SDS, metavar="AP", help="of the simulation")
    parser.add_argument("--resamples", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    equal, ranked = simulate(arguments, EQUAL), simulate(arguments, KINDS[0])
    print(
        f"{arguments.images} images, seeds of each variant: {arguments.seeds}, freedom from other sweeps: "
        f"{arguments.known}, seed_noise {arguments.seed_noise:g}, level {arguments.level:g}, "
        f"{arguments.sweeps} + {arguments.sweeps} sweeps x {arguments.draws} draws; percent"
    )
    print("seed sd  checkpoint sd   equal stopped   best kept   iterations   by spread 1, 2, 4, 8")
    for seed_sd in arguments.seed_sds:
        for checkpoint_sd in CHECKPOINT_SDS:
            noises = [Noise(seed_sd, checkpoint_sd, draw) for draw in range(arguments.draws)]
            noisy = [[Recorded(one, n, arguments.seeds) for one in many for n in noises] for many in (equal, ranked)]
            print(f"{seed_sd:7g} {checkpoint_sd:14g} {row(arguments, *noisy)}", flush=True)


if __name__ == "__main__":
    main()
