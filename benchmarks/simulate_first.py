"""How often the interval of the first of five equal variants holds its true value, with a few seeds of each.

    python -m benchmarks.simulate_first [--sets 150]

Values and resamples are normal, as in ``simulate_seeds --normal``. "plain" is the interval of a variant that nobody
chose; "truth is lower" says in how many sweeps the first was still taken for too good.
"""

from __future__ import annotations

import argparse

import numpy as np

from agropest.analysis.candidates import Candidate
from agropest.analysis.evidence import Bench
from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.inference import Interval, estimate
from agropest.statistics.selection import of_the_first
from agropest.store.records import TrialState
from benchmarks.simulate_seeds import normal_bank
from benchmarks.simulate_verdicts import drawn

TRUTH = 40.0
# Points by which images move a difference, by which a seed moves a training; seeds.
CELLS = [(0.4, 0.06, 2), (0.4, 0.06, 3), (0.4, 0.3, 2), (0.4, 0.6, 2), (0.4, 0.6, 3), (0.4, 1.2, 2), (0.9, 0.6, 2)]
CELLS += [(0.9, 0.6, 5)]


def intervals(images: float, spread: float, seeds: int, random: np.random.Generator) -> tuple[Interval, Interval]:
    """Returns the first's plain interval and the corrected one, of one sweep."""
    arguments = argparse.Namespace(normal=images, images=546, most=seeds, resamples=1000)
    bank, _ = normal_bank(spread, 0.0, arguments, random)
    bench = Bench([Candidate(f"v{i}", TrialState.FINISHED, drawn(row, 42)) for i, row in enumerate(bank)])
    means = [bench.of(AP).mean(one.label, one.shown) for one in bench.candidates]
    known = [mean for mean in means if mean is not None]
    plain, corrected = estimate(max(known, key=lambda one: one.value)).interval, of_the_first(known).interval
    assert plain is not None
    assert corrected is not None
    return plain, corrected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=150)
    sets = parser.parse_args().sets
    print("images  seed sd  seeds   plain  corrected  truth is lower  width")
    for number, (images, spread, seeds) in enumerate(CELLS):
        random = np.random.default_rng([1, number])
        found = [intervals(images, spread, seeds, random) for _ in range(sets)]
        plain = np.mean([one.low <= TRUTH <= one.high for one, _ in found])
        corrected = np.mean([one.low <= TRUTH <= one.high for _, one in found])
        lower, width = np.mean([[one.low > TRUTH, one.high - one.low] for _, one in found], axis=0)
        print(
            f"{images:6.1f} {spread:8.2f} {seeds:6d} {plain:7.1%} {corrected:10.1%} {lower:15.1%} {width:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
