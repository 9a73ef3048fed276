"""Many trivial trials through launch.py: what each costs beside its training, and the driver's memory.

    python -m benchmarks.bench_orchestration [--trials 1000] [--few 50]

Trials train nothing (``benchmarks/trivial``); all else is real: Ray Tune, a forked process and a claim for each,
evaluations written and read. Two launches, with few and with many trials, tell the cost of one more trial from that of
the start. Goal: under 60 ms.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from agropest.data.demo.draw import draw_demo_dataset
from benchmarks.pairs import ROOT, machine_line


def launch(sweep: Path, results: Path) -> tuple[float, float]:
    """Launches a sweep; returns wall seconds and the driver's peak memory in MiB."""
    paths = [str(ROOT / "benchmarks" / "trivial"), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "launch.py"), str(sweep), "--results", str(results), "--no-dashboard"]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=ROOT)
    peak = [0.0]
    thread = threading.Thread(target=_watch, args=(process, peak))
    thread.start()
    code = process.wait()
    thread.join()
    if code:
        raise SystemExit(f"launch.py ended with {code}")
    return time.perf_counter() - started, peak[0]


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            return
        found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
        peak[0] = max([peak[0], *found])
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1000, metavar="N")
    parser.add_argument("--few", type=int, default=50, metavar="N")
    arguments = parser.parse_args()
    print(machine_line(), flush=True)
    walls, peaks = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_demo_dataset(folder / "set", train=8, valid=4, test=4, image_size_px=64)
        for number in (arguments.few, arguments.trials):
            sweep = folder / f"trivial{number}.yaml"
            sweep.write_text(
                f"base: {ROOT / 'configs' / 'demo.yaml'}\ndata: {folder / 'set'}\nvariants: {{baseline: {{}}}}\n"
                f"seeds: {[*range(number)]}\nsilence: [no-effect]\n"
            )
            wall, peak = launch(sweep, folder / f"results{number}")
            walls.append(wall)
            peaks.append(peak)
            print(f"{number} trials: {wall:.1f} s, driver's peak memory {peak:.0f} MiB", flush=True)
    more = arguments.trials - arguments.few
    print(
        f"one more trial: {1000 * (walls[1] - walls[0]) / more:.1f} ms of wall time on {len(os.sched_getaffinity(0))} "
        f"slots, {1024 * (peaks[1] - peaks[0]) / more:.0f} KiB of the driver's memory"
    )


if __name__ == "__main__":
    main()
