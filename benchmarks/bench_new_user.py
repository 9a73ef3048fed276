"""A new user's commands on a data set, with their times: ``python -m benchmarks.bench_new_user DATA``.

Runs what the README says for a set of one's own, each as a process: the first sweep, its plan, the ranking, the
detector that won, its boxes on a picture. With ``--finished`` only the last two, of a sweep that has ended. CPU time is
that of a command and all its processes; on a busy machine only that means something.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = ("{agropest} start {data}", "{launch} mine.yaml --plan", "{launch} mine.yaml --no-dashboard {settings}")
END = ("{agropest} model {sweep} detector", "{agropest} predict detector {picture}")


def timed(words: list[str], folder: Path) -> tuple[float, float]:
    """Runs a command; returns its wall time and the CPU time of it and its processes, in seconds."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return time.monotonic() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a data set's folder; with --finished the picture that is predicted")
    parser.add_argument(
        "--finished", type=Path, metavar="results/SWEEP", help="time only model and predict, of this sweep"
    )
    parser.add_argument("--iterations", type=int, help="of each training, in place of what start proposes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        sweep, picture, commands = arguments.finished, arguments.data.resolve(), END
        settings = ""
        if sweep is None:
            if arguments.iterations:
                settings = f"--name mine --set SOLVER.MAX_ITER={arguments.iterations} "
                settings += (
                    f"TEST.EVAL_PERIOD={arguments.iterations // 2} SOLVER.CHECKPOINT_PERIOD={arguments.iterations // 2}"
                )
            pictures = (one for one in sorted(picture.glob("*/images/*")) if one.suffix in (".jpg", ".png"))
            sweep, picture, commands = Path("results/mine"), next(pictures), (*START, *END)
        words = {
            "agropest": f"{sys.executable} -m agropest",
            "launch": f"{sys.executable} {ROOT / 'launch.py'}",
            "data": arguments.data.resolve(),
            "sweep": sweep.resolve() if arguments.finished else sweep,
            "picture": picture,
            "settings": settings,
        }
        for command in commands:
            wall_s, cpu_s = timed(["env", f"PYTHONPATH={ROOT}", *shlex.split(command.format(**words))], Path(place))
            shown = command.format(**words | {"agropest": "python -m agropest", "launch": "python launch.py"})
            print(f"{wall_s:7.1f} s, {cpu_s:7.1f} s of CPU: {shown}", flush=True)


if __name__ == "__main__":
    main()
