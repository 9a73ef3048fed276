"""Injects faults into real sweeps; see the package."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from agropest.sweep.sections.stop_rule import RACE
from benchmarks.faults.course import Decks, disturb
from benchmarks.faults.disturbed_sweep import DisturbedSweep, write_sweep
from benchmarks.faults.figures import Figures
from benchmarks.faults.lost_nodes import lose_nodes, simulated_cluster
from benchmarks.faults.outcome import Outcome, judge, outcome

FAULTS_PER_SWEEP = 10
# Validation images: a race takes no decision on few.
FEW_IMAGES, RACE_IMAGES = 4, 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=66)
    parser.add_argument("--minutes", type=float, default=12.0, help="after that nothing breaks any more")
    parser.add_argument("--end-minutes", type=float, help="the run is over then in any case (default: 3 later)")
    parser.add_argument("--trials", type=int, default=6, help="of each sweep that train")
    parser.add_argument("--stop", nargs="+", default=["none", RACE, "hyperband"], help="rules of the sweeps, in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=6, help="faults of a simulated cluster, of those; 0: no cluster")
    parser.add_argument("--keep", type=Path, help="folder for results and logs, which then stay")
    arguments = parser.parse_args()
    # A shell ignores SIGINT in what it starts in the background, and so would every launch from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="agropest-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    figures = Figures()
    draw = random.Random(arguments.seed)
    decks = Decks.shuffled(draw)
    try:
        deadline = started + arguments.minutes * 60
        end = started + (arguments.end_minutes or arguments.minutes + 3) * 60
        num_valid = RACE_IMAGES if RACE in arguments.stop else FEW_IMAGES
        files = {stop: write_sweep(folder, arguments.trials, stop, num_valid, evaluate=True) for stop in arguments.stop}
        undisturbed: dict[str, Outcome] = {}
        for stop in dict.fromkeys(["none", *files]):
            file = write_sweep(folder, arguments.trials, stop, num_valid, evaluate=True)
            sweep = DisturbedSweep(file, folder / f"undisturbed-{stop}", draw, figures)
            code = sweep.start().process.wait()
            undisturbed[stop] = outcome(sweep.results)
            if code != 0 or len(undisturbed[stop].ends) < arguments.trials:
                print((sweep.folder / "launch-1.txt").read_text())
                print(f"the undisturbed sweep ended with {code}: {undisturbed[stop].ends}")
                return 1
            ends = Counter(undisturbed[stop].ends.values())
            print(f"undisturbed, stop: {stop}: {dict(ends)} after {time.monotonic() - started:.0f} s", flush=True)
        whole = undisturbed["none"]
        if arguments.nodes:
            with simulated_cluster() as (cluster, nodes):
                print(f"cluster at {cluster.address}", flush=True)
                stop = arguments.stop[0]
                sweep = DisturbedSweep(files[stop], folder / "cluster", draw, figures, cluster.address)
                lose_nodes(sweep, cluster, nodes, arguments.nodes, deadline)
            judge(sweep, undisturbed[stop], whole)
        while (injected := sum(figures.injected.values())) < arguments.faults and time.monotonic() < deadline:
            stop = arguments.stop[figures.sweeps % len(arguments.stop)]
            sweep = DisturbedSweep(files[stop], folder / f"sweep-{figures.sweeps + 1}", draw, figures)
            print(f"sweep {figures.sweeps + 1}, stop: {stop} ({time.monotonic() - started:.0f} s)", flush=True)
            disturb(sweep, decks, min(FAULTS_PER_SWEEP, arguments.faults - injected), deadline, end)
            judge(sweep, undisturbed[stop], whole)
    finally:
        figures.seconds = time.monotonic() - started
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    content = figures.content()
    for name, value in content.items():
        if name != "by kind":
            print(f"{name:27} {json.dumps(value)}")
    print("kind                        injected")
    for kind, number in content["by kind"].items():
        print(f"{kind:27} {number:8}")
    if content["injected"] < arguments.faults:
        print(f"asked for {arguments.faults} faults: the time was too short for them")
    return 0 if figures.all_well(arguments.faults) else 1


if __name__ == "__main__":
    sys.exit(main())
